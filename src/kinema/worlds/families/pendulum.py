"""Pendulum: bobs swing on rods from a beam, alone, side by side, against each other or against what stands below."""

from __future__ import annotations

import math

from kinema.data import BodyInfo
from kinema.worlds.scene import Body, Draw, Kick, Prop, Rod, Scene, Vec3, axis_angle, reach, resting

ABOUT = "bobs swing on rods, sometimes into each other or into a body on the floor"
BEAM_M = 2.6  # height of the anchors
EDGE_M = 1.68
LOSS_PER_S = 0.02  # of the swing's energy


def draw(draw: Draw) -> Scene:
    """One of four: a bob alone; two of different lengths; one that hits another at rest; one that hits a body."""
    kind = draw.weighted({"alone": 0.4, "pair": 0.2, "cradle": 0.2, "strikes": 0.2})
    sign = draw.sign()  # the side on which the first bob begins
    bob = draw.info(("small", "medium") if kind in ("alone", "strikes") else ("small",))
    kicks: list[Kick] = []
    if kind == "alone":
        bodies = [_hung(bob, draw.uniform(-0.15, 0.15), draw.uniform(1.1, 1.75), sign * draw.uniform(0.5, 1.1))]
    elif kind == "pair":
        phase = draw.sign()
        bodies = [
            _hung(info, side * sign * 0.88, draw.uniform(0.95, 1.75), sign * way * draw.uniform(0.3, 0.4))
            for info, side, way in ((bob, 1, 1), (draw.info(("small",)), -1, phase))
        ]
    elif kind == "cradle":
        other = draw.info(("small",), ("sphere", "cube", "cylinder"))
        apart = (bob.half_size_m[0] + other.half_size_m[0]) / 2 + 0.008
        length = draw.uniform(1.3, 1.7)
        bodies = [
            _hung(bob, sign * apart, length, sign * draw.uniform(0.45, 0.65)),
            _hung(other, -sign * apart, length, 0.0),
        ]
    else:
        anchor = sign * 0.4
        bodies = [_hung(bob, anchor, BEAM_M - max(bob.half_size_m) - 0.08, sign * draw.uniform(0.36, 0.48))]
        target = draw.info(("small",))
        orientation, height = resting(target, draw.uniform(-0.3, 0.3))
        place = (anchor - sign * (bob.half_size_m[0] + reach(target) + 0.03), 0.0, height)
        bodies.append(Body(target, place, orientation))
        kicks = [Kick(time_s, 1, towards=place, flight_s=0.6) for time_s in draw.encores(3.6, 3.0)]  # and again
    beam = Prop("beam", draw.prop_color(), (2.6, 0.05, 0.05), (0.0, 0.0, BEAM_M + 0.05))
    first = bodies[0].rod
    assert first is not None
    facts = {
        "length_m": math.dist(first.anchor_m, bodies[0].position_m),
        "anchor_m": first.anchor_m,
        "kind": kind,
    }
    return draw.scene(bodies, backdrop=0.15, props=(beam,), kicks=tuple(kicks), facts=facts)


def _hung(info: BodyInfo, x: float, length_m: float, angle_rad: float) -> Body:
    """A bob at rest on its rod at an angle from the vertical, positive to the right; less if it would leave view."""
    extent = math.hypot(info.half_size_m[0], info.half_size_m[2])
    widest = math.asin(min(1.0, (EDGE_M - abs(x) - extent) / length_m))
    angle_rad = math.copysign(min(abs(angle_rad), widest), angle_rad)
    anchor: Vec3 = (x, 0.0, BEAM_M)
    place = (x + length_m * math.sin(angle_rad), 0.0, BEAM_M - length_m * math.cos(angle_rad))
    damping = LOSS_PER_S * info.mass_kg * length_m**2
    return Body(info, place, axis_angle((0.0, 1.0, 0.0), -angle_rad), rod=Rod(anchor, damping=damping))

"""Ramp: bodies go down a slope. Balls and lying capsules roll; others slide, or stay if friction holds them."""

from __future__ import annotations

import math

from kinema.data import BodyInfo
from kinema.worlds import palette
from kinema.worlds.scene import Body, Draw, Kick, Prop, Scene, Vec3, axis_angle, half_height, reach, resting

ABOUT = "bodies roll, slide or stay on a ramp"
LENGTH_M, THICKNESS_M = 2.1, 0.12  # the length at most
FOOT_M = 0.15  # where the upper face meets the floor
FRICTIONS = (0.08, 0.12, 0.25, 0.5, 0.7)  # of the floor and the ramp


def draw(draw: Draw) -> Scene:
    """A ramp on one side with one or two bodies on it, sometimes another that waits on the floor."""
    on_ramp = draw.count((0.7, 0.3))
    sign = draw.sign()  # +1: down to the right
    angle = draw.uniform(0.3, 0.52)
    infos = [draw.info(("small", "medium")[: 3 - on_ramp]) for _ in range(on_ramp)]
    length = min(LENGTH_M, (1.73 + FOOT_M) / math.cos(angle))  # its upper end is in view
    friction = _decided(draw, infos, angle)
    along = (math.cos(angle), -math.sin(angle))  # x and z downhill, for a ramp that goes down to the right
    normal = (math.sin(angle), math.cos(angle))

    def at(uphill: float, y: float, above: float) -> Vec3:
        x = FOOT_M - uphill * along[0] + above * normal[0]
        return (sign * x, y, -uphill * along[1] + above * normal[1])

    tilt = axis_angle((0.0, 1.0, 0.0), sign * angle)
    half_width = 0.62 if on_ramp == 1 else 1.0
    middle = at(length / 2, 0.0, -THICKNESS_M / 2)
    ramp = Prop("ramp", draw.prop_color(), (length / 2, half_width, THICKNESS_M / 2), middle, tilt)
    bodies, kicks = [], []
    for index, info in enumerate(infos):
        lane = 0.0 if on_ramp == 1 else (0.5, -0.5)[index]
        uphill = length - reach(info) - 0.05 - 0.55 * index
        # a capsule lies across the slope
        above = info.half_size_m[0] if info.shape == "capsule" else half_height(info)
        orientation = resting(info, math.pi / 2)[0] if info.shape == "capsule" else tilt
        bodies.append(Body(info, at(uphill, lane, above), orientation))
    if draw.chance(0.35):
        waiting = draw.info(("small", "medium"))
        orientation, height = resting(waiting, draw.uniform(0, math.pi / 2))
        bodies.append(Body(waiting, (sign * (FOOT_M + draw.uniform(0.65, 1.0)), 0.0, height), orientation))
    for time_s in draw.encores(2.7, 2.4):  # thrown back up
        index = int(draw.rng.integers(on_ramp))
        kicks.append(Kick(time_s, index, towards=bodies[index].position_m, flight_s=draw.uniform(0.8, 1.0)))
    facts = {
        "towards": "right" if sign > 0 else "left",
        "angle_deg": math.degrees(angle),
        "ways": [way(info, angle, friction) for info in infos],
    }
    return draw.scene(bodies, backdrop=0.15, floor_friction=friction, props=(ramp,), kicks=tuple(kicks), facts=facts)


def way(info: BodyInfo, angle_rad: float, friction: float) -> str:
    """``rolls``, ``slides`` or ``stays``: what is not round stays where the tangent of the slope is below friction."""
    if info.shape in ("sphere", "capsule"):
        return "rolls"
    return "stays" if math.tan(angle_rad) < friction * palette.MATERIALS[info.material].friction else "slides"


def _decided(draw: Draw, infos: list[BodyInfo], angle_rad: float) -> float:
    """A friction at which each body clearly slides or clearly stays."""
    for index in draw.rng.permutation(len(FRICTIONS)):
        friction = FRICTIONS[int(index)]
        ways = {way(info, angle_rad, friction * margin) for info in infos for margin in (0.8, 1.0, 1.2)}
        if all(way(info, angle_rad, friction * 0.8) == way(info, angle_rad, friction * 1.2) for info in infos):
            if ways != {"stays"} or draw.chance(0.5):
                return friction
    return FRICTIONS[0]

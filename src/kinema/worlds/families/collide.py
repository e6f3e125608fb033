"""Collide: a moving body hits resting ones; equal balls hand their speed on, others stick less or more together."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.data import BodyInfo
from kinema.worlds.scene import Body, Draw, Kick, Scene, Vec3, reach, resting

ABOUT = "a moving body hits resting ones: billiard balls, bumps and pile-ups"
EDGE_M = 1.74  # bodies begin inside
MOVERS = ("sphere", "sphere", "sphere", "cube", "cylinder", "cone", "capsule", "slab")
ELASTIC_RESTITUTION = 0.97


def draw(draw: Draw) -> Scene:
    """A body comes in from one side along the floor; one to three others wait in its way, or one comes to meet it."""
    sign = draw.sign()  # +1: moves to the right
    count = 1 + draw.count((0.55, 0.3, 0.15))
    sizes = ("small", "medium", "large")[: max(1, 4 - count)]
    mover = draw.info(sizes, MOVERS)
    elastic = mover.shape == "sphere" and draw.chance(0.6)
    if elastic:
        others = [replace(mover, color=draw.info(sizes, ("sphere",)).color) for _ in range(count - 1)]
    else:
        others = [draw.info(sizes) for _ in range(count - 1)]
    rolled = draw.chance(0.5)  # a capsule may roll on its side or slide along its length
    turn = math.pi / 2 if mover.shape == "capsule" and rolled else draw.uniform(-0.2, 0.2)
    orientation, height = resting(mover, turn)
    speed = draw.uniform(2.0, 3.2)
    velocity, spin = _going(mover, speed, rolled)
    place = (-sign * (EDGE_M - reach(mover)), 0.0, height)
    bodies = [Body(mover, place, orientation, (sign * velocity[0], 0.0, 0.0), (0.0, sign * spin[1], 0.0))]
    bodies += _waiting(draw, others, -EDGE_M + 2 * reach(mover), sign, elastic)
    if count == 2 and draw.chance(0.25):
        velocity, spin = _going(others[0], draw.uniform(0.8, 1.6), False)
        bodies[1] = replace(
            bodies[1], velocity_mps=(-sign * velocity[0], 0.0, 0.0), spin_radps=(0.0, -sign * spin[1], 0.0)
        )
    kicks = []
    for time_s in draw.encores(2.6, 1.9):  # one of them strikes another
        first, second = (int(index) for index in draw.rng.permutation(count)[:2])
        velocity, spin = _going(bodies[first].info, draw.uniform(2.0, 3.0), False)
        kicks.append(Kick(time_s, first, velocity, spin, towards=second))
    return draw.scene(
        bodies,
        backdrop=0.15,
        floor_friction=0.1,
        body_restitution=ELASTIC_RESTITUTION if elastic else None,
        kicks=tuple(kicks),
        facts={"towards": "right" if sign > 0 else "left", "elastic": elastic},
    )


def _going(info: BodyInfo, speed_mps: float, rolled: bool) -> tuple[Vec3, Vec3]:
    """Velocity to the right, and the spin of what rolls."""
    rolls = info.shape == "sphere" or (info.shape == "capsule" and rolled)
    return (speed_mps, 0.0, 0.0), (0.0, speed_mps / info.half_size_m[0] if rolls else 0.0, 0.0)


def _waiting(draw: Draw, infos: list[BodyInfo], x: float, sign: int, elastic: bool) -> list[Body]:
    """Resting bodies in a row or, of two, sometimes side by side; ``x`` is the mover's front if it goes right."""
    widths = [2 * reach(info) for info in infos]
    abreast = len(infos) == 2 and draw.chance(0.4)
    room = EDGE_M - x - (max(widths) if abreast else sum(widths)) - 0.03 * len(infos)
    x += min(draw.uniform(0.45, 0.75), room)
    bodies = []
    for index, info in enumerate(infos):
        orientation, height = resting(info, draw.uniform(0, math.pi / 2))
        sway = 0.02 if elastic else 0.08
        y = draw.uniform(-sway, sway)
        if abreast:
            y = (1 - 2 * index) * (widths[index] / 2 + draw.uniform(0.01, 0.04))
        bodies.append(Body(info, (sign * (x + widths[index] / 2), y, height), orientation))
        if not abreast:
            x += widths[index] + min(draw.uniform(0.02, 0.1), max(0.02, EDGE_M - x - sum(widths[index:])))
    return bodies

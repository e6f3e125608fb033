"""Dominoes: each falls and makes the next one fall, unless the gap is too wide."""

from __future__ import annotations

import math
from dataclasses import replace

from kinema.worlds import palette
from kinema.worlds.scene import Body, Draw, Kick, Quat, Scene, reach

ABOUT = "a row of dominoes falls one after the other; sometimes a gap stops it"
HALF_HEIGHT_M = {5: 0.37, 6: 0.35, 7: 0.31, 8: 0.28}  # the last one falls within view
MATERIALS = ("matte", "metal", "wood")  # what bounces more does not stay within its gap
ROOM_M = 2.25  # from the first to the last
THICKNESS = 0.13  # half, as a share of half the height
WIDTH = 0.62
SPACING = 0.95  # from one domino to the next, in half heights
GAP = 3.5


def draw(draw: Draw) -> Scene:
    """Five to eight slabs of one colour in a row; a ball rolls into the first, or the first already leans."""
    count = int(draw.rng.integers(5, 9))
    slab = draw.info(("small",), ("slab",), MATERIALS)
    gap_after = int(draw.rng.integers(3, count - 1)) if draw.chance(0.3) else None  # dominoes before the gap
    steps = [GAP if index == gap_after else SPACING for index in range(1, count)]
    half = min(HALF_HEIGHT_M[count], ROOM_M / sum(steps)) * draw.uniform(0.96, 1.0)
    extent = (half, WIDTH * half, THICKNESS * half)  # its long axis will be upright
    mass = 8 * math.prod(extent) * palette.MATERIALS[slab.material].density
    slab = replace(slab, half_size_m=extent, mass_kg=mass)
    along = [half * sum(steps[:index]) for index in range(count)]
    pushed = draw.chance(0.65)
    slant = draw.uniform(-0.22, 0.22)
    heading = slant if draw.chance(0.5) else math.pi + slant
    ball = draw.info(("small",), ("sphere",), ("matte", "rubber", "wood")) if pushed else None
    start = -1.62 + 2 * (reach(ball) if ball else 0.0) + draw.uniform(0.24, 0.3)
    bodies = []
    for index, distance in enumerate(along):
        lean = math.atan(THICKNESS) + draw.uniform(0.045, 0.07) if index == 0 and not ball else 0.0
        # it turns about the lower edge in front
        forward = start + distance + THICKNESS * half * (1 - math.cos(lean)) + half * math.sin(lean)
        height = half * math.cos(lean) + THICKNESS * half * math.sin(lean)
        place = (forward * math.cos(heading), forward * math.sin(heading), height)
        bodies.append(Body(slab, place, _standing(heading, lean)))
    kicks = []
    if ball:
        back, speed = -1.62 + reach(ball), draw.uniform(0.8, 1.1)
        ahead = (math.cos(heading), math.sin(heading), 0.0)
        place = (back * ahead[0], back * ahead[1], ball.half_size_m[2])
        spin = speed / ball.half_size_m[0]
        velocity, rolling = (speed * ahead[0], speed * ahead[1], 0.0), (-spin * ahead[1], spin * ahead[0], 0.0)
        bodies.append(Body(ball, place, velocity_mps=velocity, spin_radps=rolling))
    for time_s in draw.encores(3.0, 2.2):  # a fallen domino, or the ball, jumps
        index = int(draw.rng.integers(len(bodies)))
        goal = bodies[index].position_m
        tumble = (draw.uniform(-2.0, 2.0), draw.uniform(-4.0, 4.0), 0.0)
        kicks.append(Kick(time_s, index, spin_radps=tumble, towards=goal, flight_s=draw.uniform(0.7, 1.0)))
    facts = {
        "count": count,
        "gap_after": gap_after,
        "towards": "right" if math.cos(heading) > 0 else "left",
        "starts": "ball" if ball else "leans",
    }
    return draw.scene(bodies, backdrop=0.15, floor_friction=1.0, body_restitution=0.3, kicks=tuple(kicks), facts=facts)


def _standing(heading_rad: float, lean_rad: float) -> Quat:
    """The body's x axis upright, its thin z axis along the row: a turn about y, then one about z."""
    about_y, about_z = (lean_rad - math.pi / 2) / 2, heading_rad / 2
    cosine, sine = math.cos(about_y), math.sin(about_y)
    return (
        math.cos(about_z) * cosine,
        -math.sin(about_z) * sine,
        math.cos(about_z) * sine,
        math.sin(about_z) * cosine,
    )

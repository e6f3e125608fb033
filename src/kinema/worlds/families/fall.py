"""Fall and bounce: bodies are let go in the air."""

from __future__ import annotations

import math

from kinema.worlds.scene import Body, Draw, Kick, Scene, Vec3, axis_angle, half_height, reach, resting, yaw

ABOUT = "one to six bodies fall onto the floor, or onto each other, and bounce as their material lets them"
CEILING_M = 2.7  # the top of the view
WALL_M = 1.75  # how far to the side bodies begin


def draw(draw: Draw) -> Scene:
    """Bodies above the floor, at rest, sometimes tilted or turning; sometimes one lies below another."""
    count = draw.count((0.3, 0.28, 0.18, 0.12, 0.07, 0.05))
    infos = [draw.info(("small", "medium", "large")[: max(1, 4 - count)]) for _ in range(count)]
    rows = [infos] if count <= 3 else [infos[: count // 2], infos[count // 2 :]]
    bodies = []
    for row, depth in zip(rows, (0.0,) if len(rows) == 1 else (-0.62, 0.72), strict=True):
        for info, x in zip(row, draw.places(row, -1.65, 1.65), strict=True):
            extent = math.hypot(*info.half_size_m)
            height = min(half_height(info) + draw.uniform(0.6, 1.75), CEILING_M - extent)
            turn, spin = yaw(draw.uniform(0, math.pi / 2)), draw.uniform(-1.0, 1.0)
            if draw.chance(0.3):
                axis = (0.0, 1.0, 0.0) if count == 1 else (1.0, 0.0, 0.0)  # neighbours would be in the way
                turn, height = axis_angle(axis, draw.uniform(-1.2, 1.2)), max(height, extent + 0.4)
                x = _beside_the_wall(x, extent) if count == 1 else x
            place = (x, depth + draw.uniform(-0.12, 0.12), height)
            bodies.append(Body(info, place, turn, spin_radps=(0.0, 0.0 if info.shape == "sphere" else spin, 0.0)))
    if count in (2, 3) and draw.chance(0.25):
        bodies[:2] = _one_above_the_other(draw, bodies[0], bodies[1])
    return draw.scene(bodies, backdrop=0.15, kicks=tuple(_hops(draw, bodies)))


def _one_above_the_other(draw: Draw, upper: Body, lower: Body) -> list[Body]:
    """The first body falls onto the second, which lies on the floor."""
    turn, height = resting(lower.info, draw.uniform(-0.3, 0.3))
    x, y, _ = lower.position_m
    top = 2 * height + math.hypot(*upper.info.half_size_m)
    beside = _beside_the_wall(x + draw.uniform(-0.12, 0.12), reach(upper.info))
    place = (beside, y, draw.uniform(top + 0.35, max(top + 0.4, CEILING_M - 0.4)))
    return [
        Body(upper.info, place, upper.orientation, spin_radps=upper.spin_radps),
        Body(lower.info, (x, y, height), turn),
    ]


def _beside_the_wall(x: float, extent: float) -> float:
    """The place nearest to x at which a body of this extent to either side is within the walls."""
    return math.copysign(min(abs(x), WALL_M - extent), x)


def _hops(draw: Draw, bodies: list[Body]) -> list[Kick]:
    """In long clips bodies jump up again, each to a place of its own."""
    kicks = []
    places: list[Vec3] = [(body.position_m[0], body.position_m[1], reach(body.info)) for body in bodies]
    for time_s in draw.encores(2.6, 2.2):
        first = int(draw.rng.integers(len(bodies)))
        for index in range(len(bodies)):
            if index == first or draw.chance(0.4):
                spin = (0.0, draw.uniform(-3.0, 3.0), 0.0)
                flight_s = draw.uniform(0.8, 1.15)
                kicks.append(Kick(time_s, index, spin_radps=spin, towards=places[index], flight_s=flight_s))
    return kicks

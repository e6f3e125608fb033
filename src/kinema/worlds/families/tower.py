"""Tower: a stack of blocks stands, is hit, or is built so far off centre that it topples."""

from __future__ import annotations

from dataclasses import replace

from kinema.data import BodyInfo
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Body, Draw, Kick, Scene, body_info, half_height, reach, yaw

ABOUT = "a stack of blocks stands, is hit by a ball, or topples because it is built off centre"
BLOCKS = ("cube", "slab", "cylinder")
HEIGHT_M = 1.95  # at most
OVERHANG_M = 0.075  # of the upper blocks' centre of mass beyond the edge of the lowest, in a tower that leans
SPEED_MPS = (3.2, 4.2)


def draw(draw: Draw) -> Scene:
    """Three to five blocks, and a ball that strikes them or rolls past."""
    how = draw.weighted({"stands": 0.34, "is hit": 0.36, "leans": 0.3})
    count = 2 + draw.count((0.4, 0.35, 0.25))
    sign = draw.sign()  # the side to which it topples
    infos = [draw.info(("small",), BLOCKS, ("matte", "rubber", "wood", "glass")) for _ in range(count)]
    scale = min(1.0, HEIGHT_M / sum(2 * half_height(info) for info in infos))
    infos = [_scaled(info, scale) for info in infos]
    step = sign * _lean(infos) if how == "leans" else 0.0
    middle = draw.uniform(-0.2, 0.2) - sign * (0.4 if how == "is hit" else 0.25 if how == "leans" else 0.0)
    bodies, top = [], 0.0
    for index, info in enumerate(infos):
        jitter = 0.0 if how == "leans" else draw.uniform(-0.015, 0.015)
        turn = 0.0 if how == "leans" else draw.uniform(-0.15, 0.15)
        place = (middle + index * step + jitter, 0.0, top + half_height(info))
        bodies.append(Body(info, place, yaw(turn)))
        top += 2 * half_height(info)
    if how == "stands" and count < 5 and draw.chance(0.65):  # the last block is only now put on top
        x, y, z = bodies[-1].position_m
        bodies[-1] = replace(bodies[-1], position_m=(x, y, z + draw.uniform(0.12, 0.25)))
    elif how == "stands" or how == "is hit":
        bodies.append(_ball(draw, infos, sign, middle, top, how == "is hit"))
    kicks = []
    for time_s in draw.encores(2.9, 2.1):  # blocks jump back to their places, one after the other
        index = int(draw.rng.integers(len(bodies)))
        kicks.append(Kick(time_s, index, towards=bodies[index].position_m, flight_s=draw.uniform(0.75, 1.0)))
    facts = {"stable": how == "stands", "how": how, "count": count, "towards": "right" if sign > 0 else "left"}
    stick = 0.2 if how == "stands" else None  # what is put on a tower that stands hardly bounces
    return draw.scene(bodies, backdrop=0.15, body_restitution=stick, kicks=tuple(kicks), facts=facts)


def _scaled(info: BodyInfo, scale: float) -> BodyInfo:
    x, y, z = info.half_size_m
    return replace(info, half_size_m=(scale * x, scale * y, scale * z), mass_kg=scale**3 * info.mass_kg)


def _lean(infos: list[BodyInfo]) -> float:
    """How far each block stands beyond the one below, so that all but the lowest tip over its edge together."""
    masses = [info.mass_kg for info in infos[1:]]
    centre = sum(index * mass for index, mass in enumerate(masses, start=1)) / sum(masses)  # in steps
    return (infos[0].half_size_m[0] + OVERHANG_M) / centre


def _ball(draw: Draw, infos: list[BodyInfo], sign: int, middle: float, top: float, hits: bool) -> Body:
    """A ball that flies at the upper half of the tower, or rolls past in front of it."""
    drawn = draw.info(("small",), ("sphere",))
    if not hits:
        speed = sign * draw.uniform(1.0, 1.6)
        place = (-sign * 1.35, -0.95, drawn.half_size_m[2])
        return Body(drawn, place, velocity_mps=(speed, 0.0, 0.0), spin_radps=(0.0, speed / drawn.half_size_m[0], 0.0))
    ball = body_info("sphere", drawn.color, "metal" if draw.chance(0.5) else "rubber", "small", 0.9)
    speed = draw.uniform(*SPEED_MPS)
    start, aim = top * draw.uniform(0.5, 0.7), top * draw.uniform(0.55, 0.72)
    x = -sign * (1.74 - reach(ball))
    flight_s = (abs(middle - x) - reach(ball) - max(info.half_size_m[0] for info in infos)) / speed
    rise = (aim - start) / flight_s + GRAVITY_MPS2 * flight_s / 2
    return Body(ball, (x, 0.0, start), velocity_mps=(sign * speed, 0.0, rise))

"""Ripple: drops and stones fall into a shallow pool; rings spread, cross each other and come back from the walls."""

from __future__ import annotations

from kinema.data import CameraInfo
from kinema.worlds import palette
from kinema.worlds.scene import Body, Draw, Scene, Vec3, Water, body_info, reach

ABOUT = "drops and small bodies fall into a pool; rings spread over the water, cross each other and come back"
HALF_WIDTH_M, HALF_LENGTH_M = 1.6, 1.4
STONE = 0.55  # size, of what bodies have elsewhere
DROP = 0.3
DROP_COLORS = {"clear": "white", "blue": "blue", "green": "green"}
MOST = 6  # bodies on the bottom, in long clips


def draw(draw: Draw) -> Scene:
    """Stones one after another, a tap that drips, rain, or both stones and rain."""
    kind = "stones" if draw.held_out else draw.weighted({"stones": 0.45, "drip": 0.2, "rain": 0.2, "both": 0.15})
    level, tint = draw.uniform(0.5, 0.65), draw.choice(tuple(palette.WATER))
    bodies: list[Body] = []
    if kind in ("stones", "both"):
        count = draw.count((0.35, 0.4, 0.25)) if kind == "stones" else 1
        moments = [draw.uniform(0.3, 0.55) * index for index in range(count)] + draw.encores(2.6, 2.2)
        bodies += [_stone(draw, time_s, level) for time_s in moments[:MOST]]
    drops = {"stones": 0, "drip": 1, "rain": 4, "both": 3}[kind]
    first = len(bodies)
    for index in range(drops or (1 if draw.duration_s > 2.6 + 2.2 * MOST else 0)):
        every_s = draw.uniform(0.9, 1.1) if drops == 1 else draw.uniform(1.0, 1.5)
        start_s = 0.0 if index == 0 and drops else draw.uniform(0.0, every_s)
        bodies.append(_drop(draw, start_s, every_s, tint))
    camera = CameraInfo((draw.uniform(-0.5, 0.5), -7.0, draw.uniform(6.0, 6.8)), (0.0, 0.0, 0.6), 25.0)
    wall = draw.weighted({"white": 0.4, "grey": 0.3, "brown": 0.2, "black": 0.1})
    water = Water((-HALF_WIDTH_M, HALF_WIDTH_M), (-HALF_LENGTH_M, HALF_LENGTH_M), level, tint, wall)
    facts = {"water": tint, "basin": wall, "drops": list(range(first, len(bodies))), "kind": kind}
    return draw.scene(bodies, water=water, camera=camera, facts=facts)


def _stone(draw: Draw, time_s: float, level: float) -> Body:
    info = draw.info(("small", "medium", "large"), materials=("rubber", "metal", "glass"))
    info = body_info(info.shape, info.color, info.material, info.size, STONE * draw.uniform(0.95, 1.05))
    return Body(info, _place(draw, reach(info), level + draw.uniform(1.2, 1.6)), released_s=(time_s,) if time_s else ())


def _drop(draw: Draw, start_s: float, every_s: float, tint: str) -> Body:
    """A drop that falls again and again; each time it becomes part of the water."""
    info = body_info("sphere", DROP_COLORS[tint], "water", "small", DROP * draw.uniform(0.9, 1.1))
    moments, time_s = [], start_s
    while time_s < draw.duration_s:
        moments.append(time_s)
        time_s += every_s
    return Body(info, _place(draw, 0.3, 2.3), velocity_mps=(0.0, 0.0, -1.5), released_s=tuple(moments))


def _place(draw: Draw, room: float, height: float) -> Vec3:
    across, along = HALF_WIDTH_M - room - 0.1, HALF_LENGTH_M - room - 0.1
    return (draw.uniform(-across, across), draw.uniform(-along, along), height)

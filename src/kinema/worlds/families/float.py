"""Float: bodies fall into a basin; what is lighter than water comes up and floats, what is heavier sinks."""

from __future__ import annotations

import math

from kinema.data import BodyInfo, CameraInfo
from kinema.worlds import palette
from kinema.worlds.scene import Body, Draw, Kick, Scene, Water, axis_angle, body_info, reach

ABOUT = "one to four bodies fall into a basin of water: wood floats and bobs, rubber, glass and metal sink"
HALF_WIDTH_M, HALF_LENGTH_M = 1.5, 1.1
SCALE = 0.8  # of the sizes that bodies have elsewhere, so that there is room in the basin
MOST = 5  # bodies in a basin, in long clips


def draw(draw: Draw) -> Scene:
    """Bodies side by side above the water, some tilted; in long clips others follow, and all leap up again."""
    level = draw.uniform(0.95, 1.1)
    infos = [_info(draw) for _ in range(draw.count((0.3, 0.3, 0.25, 0.15)))]
    bodies = []
    rows = [infos] if len(infos) < 3 else [infos[:2], infos[2:]]
    for row, y in zip(rows, (0.0,) if len(rows) == 1 else (-0.52, 0.52), strict=True):
        bodies += [
            _above(draw, info, (x, y), level) for info, x in zip(row, draw.places(row, -1.42, 1.42), strict=True)
        ]
    kicks = []
    for time_s in draw.encores(2.6, 2.2):
        if len(bodies) < MOST and draw.chance(0.6):
            info = _info(draw)
            place = (draw.uniform(-1.4 + reach(info), 1.4 - reach(info)), draw.uniform(-0.5, 0.5))
            bodies.append(_above(draw, info, place, level, (time_s,)))
        else:
            index = int(draw.rng.integers(len(infos)))
            sinks = palette.MATERIALS[infos[index].material].density > 1000
            speed = draw.uniform(5.0, 6.0) if sinks else draw.uniform(3.0, 4.0)
            velocity = (draw.uniform(-0.4, 0.4), draw.uniform(-0.2, 0.2), speed)
            kicks.append(Kick(time_s, index, velocity, (draw.uniform(-2.0, 2.0), draw.uniform(-2.0, 2.0), 0.0)))
    tint = draw.choice(tuple(palette.WATER))
    wall = draw.weighted({"glass": 0.7, "white": 0.12, "grey": 0.12, "brown": 0.06})
    water = Water((-HALF_WIDTH_M, HALF_WIDTH_M), (-HALF_LENGTH_M, HALF_LENGTH_M), level, tint, wall)
    height = draw.uniform(3.6, 4.4) if wall == "glass" else draw.uniform(5.0, 6.0)
    camera = CameraInfo((draw.uniform(-0.5, 0.5), -8.2, height), (0.0, 0.0, 1.0), 25.0)
    return draw.scene(bodies, water=water, camera=camera, kicks=tuple(kicks), facts={"water": tint, "basin": wall})


def _info(draw: Draw) -> BodyInfo:
    materials = ("wood",) if draw.chance(0.5) else ("rubber", "metal", "glass")
    info = draw.info(("small", "medium"), materials=materials)
    return body_info(info.shape, info.color, info.material, info.size, SCALE * draw.uniform(0.95, 1.05))


def _above(
    draw: Draw, info: BodyInfo, place: tuple[float, float], level: float, released_s: tuple[float, ...] = ()
) -> Body:
    """A body over the water, some way off it; what comes later starts above the view."""
    turn = axis_angle((1.0, 0.0, 0.0), draw.uniform(-0.6, 0.6))
    height = level + math.hypot(*info.half_size_m) + (1.6 if released_s else draw.uniform(0.15, 0.6))
    return Body(info, (*place, height), turn, released_s=released_s)

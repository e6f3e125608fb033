"""What colour an opaque surface point has and how it is lit: bodies, floors, wet paint, cubes."""

from __future__ import annotations

import math

from kinema.worlds.render import solids
from kinema.worlds.render.compiled import device, rare
from kinema.worlds.render.lighting import light
from kinema.worlds.render.meeting import BASIN, BODY, GROUND, VOXEL
from kinema.worlds.render.patterns import PLAIN, on_body, on_floor
from kinema.worlds.render.solids import ACCENT, ALBEDO, BOX, CENTRE, CONVEX, GLOSS, KIND, PATTERN, PERIOD
from kinema.worlds.render.stage import (
    BASIN_ACCENT,
    BASIN_FLOOR,
    BASIN_PATTERN,
    BASIN_PERIOD,
    EYE,
    FAR_END,
    FLOOR,
    FLOOR_ACCENT,
    FLOOR_PATTERN,
    FLOOR_PERIOD,
    FRAME,
    HORIZON,
    NEAR_END,
    PAINT,
    PAINT_X0,
    PAINT_X1,
    PAINT_Y0,
    PAINT_Y1,
    SKYLIGHT,
    VOXEL_CELL,
    VOXEL_ORIGIN,
    Floats,
    World,
)
from kinema.worlds.render.voxel_rays import crease

_WET_GLOSS = 0.06  # of paint


@rare
def _body_pattern(world: World, b: int, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> float:
    """Share of the accent colour at a point of a body's surface."""
    bodies_BK = world.bodies_BK
    px, py, pz = x - bodies_BK[b, CENTRE], y - bodies_BK[b, CENTRE + 1], z - bodies_BK[b, CENTRE + 2]
    lx, ly, lz = solids.to_body(bodies_BK, b, px, py, pz)
    mx, my, mz = solids.to_body(bodies_BK, b, nx, ny, nz)
    round_ = bodies_BK[b, KIND] != BOX and bodies_BK[b, KIND] != CONVEX
    return on_body(int(bodies_BK[b, PATTERN]), bodies_BK[b, PERIOD], round_, lx, ly, lz, mx, my, mz)


@rare
def _painted(world: World, x: float, y: float) -> float:
    """1 where the floor bears paint in this frame; between the cells' centres the edge is straight."""
    scenery, paint_XY = world.scenery, world.paint_XY
    u = (x - scenery[PAINT_X0]) / (scenery[PAINT_X1] - scenery[PAINT_X0]) * paint_XY.shape[0] - 0.5
    v = (y - scenery[PAINT_Y0]) / (scenery[PAINT_Y1] - scenery[PAINT_Y0]) * paint_XY.shape[1] - 0.5
    if u < -0.5 or v < -0.5 or u > paint_XY.shape[0] - 0.5 or v > paint_XY.shape[1] - 0.5:
        return 0.0
    i, j = int(math.floor(u)), int(math.floor(v))
    covered = 0.0
    for a in range(2):
        for b in range(2):
            column = min(max(i + a, 0), paint_XY.shape[0] - 1)
            row = min(max(j + b, 0), paint_XY.shape[1] - 1)
            if paint_XY[column, row] <= scenery[FRAME]:
                covered += (u - i if a == 1 else 1.0 - u + i) * (v - j if b == 1 else 1.0 - v + j)
    return 1.0 if covered >= 0.5 else 0.0


@device
def _fade(scenery: Floats, x: float, y: float) -> float:
    """How far the floor has faded into the horizon, 0 to 1."""
    across = math.sqrt((x - scenery[EYE]) ** 2 + (y - scenery[EYE + 1]) ** 2)
    fade = min(max((across - scenery[NEAR_END]) / (scenery[FAR_END] - scenery[NEAR_END]), 0.0), 1.0)
    return float(fade * fade * (3.0 - 2.0 * fade))


@rare
def _voxel_color(
    world: World, color: int, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:
    """Albedo of a cube's face at a point, and its share of the skylight."""
    scenery, cell = world.scenery, world.scenery[VOXEL_CELL]
    axis = 0 if nx != 0.0 else (1 if ny != 0.0 else 2)
    ox, oy, oz = x - scenery[VOXEL_ORIGIN], y - scenery[VOXEL_ORIGIN + 1], z - scenery[VOXEL_ORIGIN + 2]
    open_, seam = crease(world.voxels_XYZ, axis, nx + ny + nz, ox / cell, oy / cell, oz / cell)
    palette_K3 = world.palette_K3
    return palette_K3[color, 0] * seam, palette_K3[color, 1] * seam, palette_K3[color, 2] * seam, open_


@device
def _floor_color(
    world: World, thing: int, x: float, y: float, wide: float, deep: float
) -> tuple[float, float, float, float]:
    """Albedo and reflectance of the ground or the basin's floor; a pixel sees ``wide`` by ``deep`` metres of it."""
    scenery = world.scenery
    floor, accent, pattern, period = FLOOR, FLOOR_ACCENT, FLOOR_PATTERN, FLOOR_PERIOD
    if thing == BASIN:
        floor, accent, pattern, period = BASIN_FLOOR, BASIN_ACCENT, BASIN_PATTERN, BASIN_PERIOD
    red, green, blue = scenery[floor], scenery[floor + 1], scenery[floor + 2]
    if scenery[pattern] != PLAIN:
        unit = scenery[period]
        share, tone = on_floor(int(scenery[pattern]), x / unit, y / unit, wide / unit, deep / unit)
        red = tone * (red + share * (scenery[accent] - red))
        green = tone * (green + share * (scenery[accent + 1] - green))
        blue = tone * (blue + share * (scenery[accent + 2] - blue))
    if thing == GROUND and scenery[PAINT_X1] > scenery[PAINT_X0]:
        wet = _painted(world, x, y)
        red += wet * (scenery[PAINT] - red)
        green += wet * (scenery[PAINT + 1] - green)
        blue += wet * (scenery[PAINT + 2] - blue)
        return red, green, blue, wet * _WET_GLOSS
    return red, green, blue, 0.0


@device
def _body_color(
    world: World, b: int, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:
    """Albedo and reflectance at a point of a body's surface."""
    bodies_BK = world.bodies_BK
    red, green, blue = bodies_BK[b, ALBEDO], bodies_BK[b, ALBEDO + 1], bodies_BK[b, ALBEDO + 2]
    if bodies_BK[b, PATTERN] != PLAIN:
        share = _body_pattern(world, b, x, y, z, nx, ny, nz)
        red += share * (bodies_BK[b, ACCENT] - red)
        green += share * (bodies_BK[b, ACCENT + 1] - green)
        blue += share * (bodies_BK[b, ACCENT + 2] - blue)
    return red, green, blue, bodies_BK[b, GLOSS]


@device
def shade(
    world: World,
    thing: int,
    which: int,
    wet: bool,
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    wide: float,
    deep: float,
) -> tuple[float, float, float, float]:
    """Colour that an opaque surface point scatters towards everyone, and its reflectance at normal incidence.

    ``thing`` and ``which`` are those of ``meet``; ``wide`` by ``deep`` metres is what a pixel sees of a floor.
    """
    scenery = world.scenery
    fade = _fade(scenery, x, y) if thing == GROUND else 0.0
    if fade >= 1.0:
        return scenery[HORIZON], scenery[HORIZON + 1], scenery[HORIZON + 2], 0.0
    own, open_ = -1, 1.0
    if thing == BODY:
        own = which
        red, green, blue, gloss = _body_color(world, which, x, y, z, nx, ny, nz)
    elif thing == VOXEL:
        red, green, blue, open_ = _voxel_color(world, which, x, y, z, nx, ny, nz)
        gloss = 0.0
    else:
        red, green, blue, gloss = _floor_color(world, thing, x, y, wide, deep)
    sun_r, sun_g, sun_b, near = light(world, own, wet, x, y, z, nx, ny, nz)
    near *= open_
    ground = 0.5 - 0.5 * nz  # share of the skylight that takes the floor's colour
    red *= sun_r + near * scenery[SKYLIGHT] * (1.0 - ground + ground * scenery[FLOOR])
    green *= sun_g + near * scenery[SKYLIGHT + 1] * (1.0 - ground + ground * scenery[FLOOR + 1])
    blue *= sun_b + near * scenery[SKYLIGHT + 2] * (1.0 - ground + ground * scenery[FLOOR + 2])
    return (
        red + fade * (scenery[HORIZON] - red),
        green + fade * (scenery[HORIZON + 1] - green),
        blue + fade * (scenery[HORIZON + 2] - blue),
        gloss,
    )

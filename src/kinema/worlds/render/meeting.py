"""What a ray meets first: a body, the ground, a cube of a voxel world, or water."""

from __future__ import annotations

import math

from kinema.worlds.render import solids
from kinema.worlds.render.compiled import device, rare
from kinema.worlds.render.lighting import NUDGE
from kinema.worlds.render.solids import FAR
from kinema.worlds.render.stage import (
    VOXEL_CELL,
    VOXEL_ORIGIN,
    WATER_HIGH,
    WATER_INDEX,
    WATER_LOW,
    WATER_X0,
    WATER_X1,
    WATER_Y0,
    WATER_Y1,
    World,
)
from kinema.worlds.render.voxel_rays import first_voxel
from kinema.worlds.render.water_rays import HEIGHT, SLOPE_X, SLOPE_Y, crossing, surface

SKY, BODY, GROUND, BASIN, VOXEL, WATER = range(6)  # what a ray may meet


@device
def in_water(world: World, x: float, y: float, z: float) -> bool:
    """Whether a point is below the water's surface."""
    scenery = world.scenery
    if scenery[WATER_INDEX] == 0.0 or z > scenery[WATER_HIGH]:
        return False
    x0, x1, y0, y1 = scenery[WATER_X0], scenery[WATER_X1], scenery[WATER_Y0], scenery[WATER_Y1]
    if x < x0 - NUDGE or x > x1 + NUDGE or y < y0 - NUDGE or y > y1 + NUDGE:
        return False
    return surface(world.surface_XY4, HEIGHT, x0, x1, y0, y1, x, y) > z


@rare
def _water_normal(world: World, x: float, y: float) -> tuple[float, float, float]:
    """Upward unit normal of the surface."""
    scenery = world.scenery
    x0, x1, y0, y1 = scenery[WATER_X0], scenery[WATER_X1], scenery[WATER_Y0], scenery[WATER_Y1]
    slope_x = surface(world.surface_XY4, SLOPE_X, x0, x1, y0, y1, x, y)
    slope_y = surface(world.surface_XY4, SLOPE_Y, x0, x1, y0, y1, x, y)
    scale = 1.0 / math.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    return -slope_x * scale, -slope_y * scale, scale


@rare
def _meet_voxel(
    world: World, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, limit: float
) -> tuple[float, int, int]:
    """Like ``first_voxel``, for a ray in metres."""
    scenery = world.scenery
    cell = scenery[VOXEL_CELL]
    ox, oy, oz = ox - scenery[VOXEL_ORIGIN], oy - scenery[VOXEL_ORIGIN + 1], oz - scenery[VOXEL_ORIGIN + 2]
    return first_voxel(world.voxels_XYZ, ox / cell, oy / cell, oz / cell, dx / cell, dy / cell, dz / cell, limit)


@rare
def _meet_water(world: World, wet: bool, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Distance to the water's surface, from above or (``wet``) from below."""
    scenery = world.scenery
    x0, x1, y0, y1 = scenery[WATER_X0], scenery[WATER_X1], scenery[WATER_Y0], scenery[WATER_Y1]
    low, high, side = scenery[WATER_LOW], scenery[WATER_HIGH], -1.0 if wet else 1.0
    return crossing(world.surface_XY4, x0, x1, y0, y1, low, high, side, ox, oy, oz, dx, dy, dz)


@device
def meet(
    world: World,
    start: int,
    past: int,
    listed: bool,
    wet: bool,
    skip: int,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> tuple[float, int, int, float, float, float]:
    """The first thing that a ray outside all bodies meets among the bodies ``start`` to ``past`` and the scenery.

    Returns:
        Distance, kind of thing (``SKY`` …), row of the body or colour of the voxel, and its outward normal.
    """
    bodies_BK, planes_P4, scenery = world.bodies_BK, world.planes_P4, world.scenery
    nearest, thing, which = FAR, SKY, -1
    for k in range(start, past):
        b = world.screen_N[k] if listed else k
        if b == skip:
            continue
        enter, leave = solids.interval(bodies_BK, planes_P4, b, ox, oy, oz, dx, dy, dz)
        if enter < nearest and enter <= leave and leave > NUDGE:
            nearest, thing, which = max(enter, 0.0), BODY, b
    if dz < 0.0:
        t = max(-oz / dz, 0.0)
        if t < nearest:
            nearest, thing, which = t, GROUND, -1
    axis = 2
    if scenery[VOXEL_CELL] > 0.0:
        t, hit_axis, color = _meet_voxel(world, ox, oy, oz, dx, dy, dz, nearest)
        if t < nearest:
            nearest, thing, which, axis = t, VOXEL, color, hit_axis
    if scenery[WATER_INDEX] > 0.0:
        t = _meet_water(world, wet, ox, oy, oz, dx, dy, dz)
        if t < nearest:
            nearest, thing, which = t, WATER, -1
    nx, ny, nz = 0.0, 0.0, 1.0
    x, y, z = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
    if thing == BODY:
        nx, ny, nz = solids.normal(bodies_BK, planes_P4, which, x, y, z)
    elif thing == WATER:
        nx, ny, nz = _water_normal(world, x, y)
    elif thing == VOXEL:
        nx = -math.copysign(1.0, dx) if axis == 0 else 0.0
        ny = -math.copysign(1.0, dy) if axis == 1 else 0.0
        nz = -math.copysign(1.0, dz) if axis == 2 else 0.0
    elif thing == GROUND and wet:
        thing = BASIN
    return nearest, thing, which, nx, ny, nz

"""The light's path from the eye: what it meets, what colour that has, and where the light goes on.

A path goes on at mirrors and gloss, where its weight falls, and through glass and water, where it follows the refracted
ray; the reflection at the first such surface is kept for later and followed once the main path has ended.
"""

from __future__ import annotations

import math

from kinema.worlds import solids
from kinema.worlds.compiled import device, rare
from kinema.worlds.lighting import light, sky
from kinema.worlds.meeting import BASIN, BODY, GROUND, SKY, VOXEL, WATER, in_water, meet
from kinema.worlds.optics import ABSORPTION_M, fresnel, schlick, transmit
from kinema.worlds.patterns import PLAIN, on_body, on_floor
from kinema.worlds.solids import ACCENT, ALBEDO, BOX, CENTRE, CONVEX, GLOSS, ID, INDEX, KIND, METALLIC, PATTERN, PERIOD
from kinema.worlds.stage import (
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
    WATER_INDEX,
    WATER_TINT,
    Floats,
    World,
)
from kinema.worlds.voxel_rays import crease

MAX_SEGMENTS, LAST_OF_MAIN = 14, 8  # straight pieces of a path with its kept reflection; the last before that
_NONE, _WAITS, _FOLLOWED = range(3)  # states of the kept reflection
_FAINT = 0.01  # a path that weighs less is not followed
_SUN_GLOW = 4.0  # brightness of the soft sun disc that glossy bodies mirror
_MIRROR = 0.5  # from this reflectance on a body shows what is there, without that disc
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
    return fade * fade * (3.0 - 2.0 * fade)


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
def _albedo(
    world: World, thing: int, which: int, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float, float]:
    """Colour of a surface point, its reflectance at normal incidence, and its share of the skylight."""
    if thing == BODY:
        bodies_BK = world.bodies_BK
        share = 0.0
        if bodies_BK[which, PATTERN] != PLAIN:
            share = _body_pattern(world, which, x, y, z, nx, ny, nz)
        red = bodies_BK[which, ALBEDO] + share * (bodies_BK[which, ACCENT] - bodies_BK[which, ALBEDO])
        green = bodies_BK[which, ALBEDO + 1] + share * (bodies_BK[which, ACCENT + 1] - bodies_BK[which, ALBEDO + 1])
        blue = bodies_BK[which, ALBEDO + 2] + share * (bodies_BK[which, ACCENT + 2] - bodies_BK[which, ALBEDO + 2])
        return red, green, blue, bodies_BK[which, GLOSS], 1.0
    if thing == VOXEL:
        red, green, blue, open_ = _voxel_color(world, which, x, y, z, nx, ny, nz)
        return red, green, blue, 0.0, open_
    scenery = world.scenery
    floor, accent, pattern, period = FLOOR, FLOOR_ACCENT, FLOOR_PATTERN, FLOOR_PERIOD
    if thing == BASIN:
        floor, accent, pattern, period = BASIN_FLOOR, BASIN_ACCENT, BASIN_PATTERN, BASIN_PERIOD
    red, green, blue = scenery[floor], scenery[floor + 1], scenery[floor + 2]
    if scenery[pattern] != PLAIN:
        share, tone = on_floor(int(scenery[pattern]), scenery[period], x, y)
        red = tone * (red + share * (scenery[accent] - red))
        green = tone * (green + share * (scenery[accent + 1] - green))
        blue = tone * (blue + share * (scenery[accent + 2] - blue))
    gloss = 0.0
    if scenery[PAINT_X1] > scenery[PAINT_X0] and thing == GROUND:
        wet = _painted(world, x, y)
        red, green, blue = red + wet * (scenery[PAINT] - red), green + wet * (scenery[PAINT + 1] - green), blue + wet * (scenery[PAINT + 2] - blue)
        gloss = wet * _WET_GLOSS
    return red, green, blue, gloss, 1.0


@device
def _shade(
    world: World, thing: int, which: int, wet: bool, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:
    """Colour that an opaque surface point scatters towards everyone, and its reflectance at normal incidence."""
    scenery = world.scenery
    fade = _fade(scenery, x, y) if thing == GROUND else 0.0
    if fade >= 1.0:
        return scenery[HORIZON], scenery[HORIZON + 1], scenery[HORIZON + 2], 0.0
    red, green, blue, gloss, open_ = _albedo(world, thing, which, x, y, z, nx, ny, nz)
    sun_r, sun_g, sun_b, near = light(world, which if thing == BODY else -1, wet, x, y, z, nx, ny, nz)
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


@device
def _mirror(
    world: World, thing: int, which: int, gloss: float, facing: float
) -> tuple[float, float, float]:
    """Reflectance in three colours: a metal's takes its own colour when seen straight on."""
    red, green, blue = schlick(facing, gloss), schlick(facing, gloss), schlick(facing, gloss)
    if thing == BODY and world.bodies_BK[which, METALLIC] > 0.0:
        r, g, b = world.bodies_BK[which, ALBEDO], world.bodies_BK[which, ALBEDO + 1], world.bodies_BK[which, ALBEDO + 2]
        most = max(r, g, b, 1e-3)
        red, green, blue = schlick(facing, gloss * r / most), schlick(facing, gloss * g / most), schlick(facing, gloss * b / most)
    return red, green, blue


@device
def _ratio(world: World, thing: int, which: int, inside: int, wet: bool, x: float, y: float, z: float) -> float:
    """Refractive index on this side of a transparent surface over that beyond it."""
    here = world.scenery[WATER_INDEX] if wet else 1.0
    if inside >= 0:
        beyond = world.scenery[WATER_INDEX] if in_water(world, x, y, z) else 1.0
        return float(world.bodies_BK[inside, INDEX] / beyond)
    if thing == WATER:
        return float(here / (1.0 if wet else world.scenery[WATER_INDEX]))
    return float(here / world.bodies_BK[which, INDEX])


@device
def _absorbed(
    world: World, inside: int, wet: bool, t: float, red: float, green: float, blue: float
) -> tuple[float, float, float]:
    """What is left of a path's weight after ``t`` metres of glass or water."""
    t = min(t, 100.0)
    if inside >= 0:
        return (
            red * transmit(world.bodies_BK[inside, ALBEDO], t, ABSORPTION_M),
            green * transmit(world.bodies_BK[inside, ALBEDO + 1], t, ABSORPTION_M),
            blue * transmit(world.bodies_BK[inside, ALBEDO + 2], t, ABSORPTION_M),
        )
    if wet:
        return (
            red * transmit(world.scenery[WATER_TINT], t, 1.0),
            green * transmit(world.scenery[WATER_TINT + 1], t, 1.0),
            blue * transmit(world.scenery[WATER_TINT + 2], t, 1.0),
        )
    return red, green, blue


@device
def follow(
    world: World, start: int, past: int, dx: float, dy: float, dz: float
) -> tuple[float, float, float, int, int, float]:
    """Follows the light that reaches the eye along a unit ray.

    Args:
        world: the frame.
        start: where the list of bodies that the ray may meet begins in ``world.screen_N``.
        past: where it ends.
        dx: direction, like dy and dz.

    Returns:
        Red, green, blue; the first body met, looking through water (−1 is the scenery); the opaque body that is seen
        through that first one if it is glass, else −1; and the distance to the first surface.
    """
    bodies_BK, planes_P4 = world.bodies_BK, world.planes_P4
    x, y, z = world.scenery[EYE], world.scenery[EYE + 1], world.scenery[EYE + 2]
    red, green, blue, depth = 0.0, 0.0, 0.0, -1.0
    weight_r, weight_g, weight_b = 1.0, 1.0, 1.0
    first, behind, seeing = -1, -1, True  # bodies count as seen until the first opaque or mirroring surface
    inside, skip, glow = -1, -1, 0.0  # the glass body that the ray is in; the body that it has just left
    listed, wet = True, in_water(world, x, y, z)
    kept, kept_wet, kept_skip = _NONE, False, -1
    kx, ky, kz, kdx, kdy, kdz, kept_r, kept_g, kept_b = x, y, z, dx, dy, dz, 0.0, 0.0, 0.0
    for segment in range(MAX_SEGMENTS):
        if inside >= 0:
            thing, which = BODY, inside
            _, t = solids.interval(bodies_BK, planes_P4, inside, x, y, z, dx, dy, dz)
            t = max(t, 0.0)  # a ray that grazes the edge leaves at once
            nx, ny, nz = solids.normal(bodies_BK, planes_P4, inside, x + t * dx, y + t * dy, z + t * dz)
        else:
            t, thing, which, nx, ny, nz = meet(world, start, past, listed, wet, skip, x, y, z, dx, dy, dz)
            start, past, listed = 0, world.count, False
        if depth < 0.0:
            depth = t
        if inside >= 0 or wet:
            weight_r, weight_g, weight_b = _absorbed(world, inside, wet, t, weight_r, weight_g, weight_b)
        x, y, z = x + t * dx, y + t * dy, z + t * dz
        facing = -(nx * dx + ny * dy + nz * dz)
        ended = False
        if thing == SKY:
            r, g, b = sky(world.scenery, glow, dx, dy, dz)
            red, green, blue, ended = red + weight_r * r, green + weight_g * g, blue + weight_b * b, True
        elif thing == WATER or (thing == BODY and bodies_BK[which, INDEX] > 0.0):
            if seeing and first < 0 and thing == BODY:
                first = int(bodies_BK[which, ID])
            if facing < 0.0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            ratio = _ratio(world, thing, which, inside, wet, x, y, z)
            mirrored, through = fresnel(facing, ratio)
            bounce = mirrored >= 1.0
            if inside < 0 and not bounce:
                if kept == _NONE and mirrored * max(weight_r, weight_g, weight_b) > _FAINT:
                    kept, kept_wet, kept_skip = _WAITS, wet, which
                    kx, ky, kz, kept_r, kept_g, kept_b = x, y, z, weight_r, weight_g, weight_b
                    kept_r, kept_g, kept_b = mirrored * weight_r, mirrored * weight_g, mirrored * weight_b
                    kdx, kdy, kdz = dx + 2.0 * facing * nx, dy + 2.0 * facing * ny, dz + 2.0 * facing * nz
                    weight_r, weight_g, weight_b = weight_r - kept_r, weight_g - kept_g, weight_b - kept_b
                else:
                    bounce = mirrored > 0.5
            if bounce:
                dx, dy, dz = dx + 2.0 * facing * nx, dy + 2.0 * facing * ny, dz + 2.0 * facing * nz
                seeing = seeing and inside >= 0
            else:
                turn = ratio * facing - through
                dx, dy, dz = ratio * dx + turn * nx, ratio * dy + turn * ny, ratio * dz + turn * nz
                if thing == WATER:
                    wet = not wet
                else:
                    inside, wet = (which, wet) if inside < 0 else (-1, in_water(world, x, y, z))
            skip = which
        else:
            if seeing:
                body = int(bodies_BK[which, ID]) if thing == BODY else -1
                first, behind, seeing = (body, -1, False) if first < 0 else (first, body, False)
            r, g, b, gloss = _shade(world, thing, which, wet, x, y, z, nx, ny, nz)
            mirror_r, mirror_g, mirror_b = 0.0, 0.0, 0.0
            if gloss > 0.0:
                mirror_r, mirror_g, mirror_b = _mirror(world, thing, which, gloss, facing)
            red += weight_r * (1.0 - mirror_r) * r
            green += weight_g * (1.0 - mirror_g) * g
            blue += weight_b * (1.0 - mirror_b) * b
            weight_r, weight_g, weight_b = weight_r * mirror_r, weight_g * mirror_g, weight_b * mirror_b
            dx, dy, dz = dx + 2.0 * facing * nx, dy + 2.0 * facing * ny, dz + 2.0 * facing * nz
            skip = which if thing == BODY else -1
            glow = _SUN_GLOW if gloss < _MIRROR else 0.0
            ended = max(weight_r, weight_g, weight_b) < _FAINT
        if kept == _WAITS and (ended or segment == LAST_OF_MAIN):
            kept, wet, skip, inside, seeing, glow, ended = _FOLLOWED, kept_wet, kept_skip, -1, False, _SUN_GLOW, False
            x, y, z, dx, dy, dz = kx, ky, kz, kdx, kdy, kdz
            weight_r, weight_g, weight_b = kept_r, kept_g, kept_b
        if ended:
            break
    return red, green, blue, first, behind, depth

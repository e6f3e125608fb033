"""The light's path from the eye: what it meets, what colour that has, and where the light goes on.

A path goes on at mirrors and gloss, where its weight falls, and through glass and water, where it follows the refracted
ray; the reflection at the first such surface is kept for later and followed once the main path has ended.
"""

from __future__ import annotations

from kinema.worlds.render import solids
from kinema.worlds.render.compiled import device
from kinema.worlds.render.lighting import sky
from kinema.worlds.render.meeting import BODY, SKY, WATER, in_water, meet
from kinema.worlds.render.optics import ABSORPTION_M, fresnel, schlick, transmit
from kinema.worlds.render.shading import shade
from kinema.worlds.render.solids import ALBEDO, ID, INDEX, METALLIC
from kinema.worlds.render.stage import EYE, FOCAL, HORIZON, WATER_INDEX, WATER_TINT, World

MAX_SEGMENTS, LAST_OF_MAIN = 14, 8  # straight pieces of a path with its kept reflection; the last before that
_NONE, _WAITS, _FOLLOWED = range(3)  # states of the kept reflection
_FAINT = 0.01  # a path that weighs less is not followed
_SUN_GLOW = 4.0  # brightness of the soft sun disc that glossy bodies mirror
_MIRROR = 0.5  # from this reflectance on a body shows what is there, without that disc


@device
def _mirror(world: World, thing: int, which: int, gloss: float, facing: float) -> tuple[float, float, float]:
    """Reflectance in three colours: a metal's takes its own colour when seen straight on."""
    red, green, blue = gloss, gloss, gloss
    if thing == BODY and world.bodies_BK[which, METALLIC] > 0.0:
        r, g, b = world.bodies_BK[which, ALBEDO], world.bodies_BK[which, ALBEDO + 1], world.bodies_BK[which, ALBEDO + 2]
        most = max(r, g, b, 1e-3)
        red, green, blue = gloss * r / most, gloss * g / most, gloss * b / most
    return schlick(facing, red), schlick(facing, green), schlick(facing, blue)


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
    red, green, blue, depth, path = 0.0, 0.0, 0.0, 0.0, 0.0
    weight_r, weight_g, weight_b = 1.0, 1.0, 1.0
    first, behind, seeing = -1, -1, True  # bodies count as seen until the first opaque or mirroring surface
    inside, skip, glow = -1, -1, 0.0  # the glass body that the ray is in; the body that it has just left
    listed, wet = True, in_water(world, x, y, z)
    kept, kept_wet, kept_skip = _NONE, False, -1
    kx, ky, kz, kdx, kdy, kdz, kept_r, kept_g, kept_b, kept_path = x, y, z, dx, dy, dz, 0.0, 0.0, 0.0, 0.0
    for segment in range(MAX_SEGMENTS):
        if inside >= 0:
            thing, which = BODY, inside
            _, t = solids.interval(bodies_BK, planes_P4, inside, x, y, z, dx, dy, dz)
            t = max(t, 0.0)  # a ray that grazes the edge leaves at once
            nx, ny, nz = solids.normal(bodies_BK, planes_P4, inside, x + t * dx, y + t * dy, z + t * dz)
        else:
            t, thing, which, nx, ny, nz = meet(world, start, past, listed, wet, skip, x, y, z, dx, dy, dz)
            start, past, listed = 0, world.bodies, False
        path += t
        depth = t if segment == 0 else depth
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
                    kx, ky, kz, kept_path = x, y, z, path
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
            pixel = path / world.scenery[FOCAL]
            wide, deep = pixel * (1.0 + abs(dx) / max(facing, 0.01)), pixel * (1.0 + abs(dy) / max(facing, 0.01))
            r, g, b, gloss = shade(world, thing, which, wet, x, y, z, nx, ny, nz, wide, deep)
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
        if not ended and (segment == MAX_SEGMENTS - 1 or (kept == _WAITS and segment == LAST_OF_MAIN)):
            # What is lost between many surfaces comes from somewhere near the horizon.
            red += weight_r * world.scenery[HORIZON]
            green += weight_g * world.scenery[HORIZON + 1]
            blue += weight_b * world.scenery[HORIZON + 2]
            ended = True
        if kept == _WAITS and ended:
            kept, wet, skip, inside, seeing, glow, ended = _FOLLOWED, kept_wet, kept_skip, -1, False, _SUN_GLOW, False
            x, y, z, dx, dy, dz = kx, ky, kz, kdx, kdy, kdz
            weight_r, weight_g, weight_b, path = kept_r, kept_g, kept_b, kept_path
        if ended:
            break
    return red, green, blue, first, behind, depth

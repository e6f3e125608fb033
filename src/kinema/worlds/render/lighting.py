"""How much sun and sky a surface point receives: shadows, light through glass and water, darkening near contacts."""

from __future__ import annotations

from kinema.worlds.render import solids
from kinema.worlds.render.compiled import device, rare
from kinema.worlds.render.optics import ABSORPTION_M, fresnel, transmit
from kinema.worlds.render.solids import ALBEDO, CENTRE, FAR, INDEX, RADIUS, REACH
from kinema.worlds.render.stage import (
    CELL_U,
    CELL_V,
    CELLS_ACROSS,
    CELLS_DOWN,
    CELLS_PER_U,
    CELLS_PER_V,
    HORIZON,
    SUN,
    SUN_U,
    SUN_V,
    SUNLIGHT,
    TOP,
    VOXEL_CELL,
    VOXEL_ORIGIN,
    WATER_INDEX,
    WATER_SUN,
    WATER_TINT,
    WATER_X0,
    WATER_X1,
    WATER_Y0,
    WATER_Y1,
    Floats,
    World,
)
from kinema.worlds.render.voxel_rays import first_voxel
from kinema.worlds.render.water_rays import CURVATURE, HEIGHT, gathered, surface

NUDGE = 1e-6  # metres; what a ray leaves lies behind it
_CONTACT_SHADE = 0.6  # share of the ambient light that a touching body takes away


@device
def contact(gap: float, reach: float) -> float:
    """Share of the ambient light that passes a neighbour at a distance: a cheap stand-in for ambient occlusion."""
    near = min(1.0 - gap / reach, 1.0)
    return 1.0 - _CONTACT_SHADE * near * near if near > 0.0 else 1.0


@rare
def _through_glass(
    bodies_BK: Floats,
    planes_P4: Floats,
    b: int,
    path: float,
    dx: float,
    dy: float,
    dz: float,
    x: float,
    y: float,
    z: float,
) -> tuple[float, float, float]:
    """Sunlight that passes a transparent body which a ray towards the sun enters at ``x, y, z``."""
    nx, ny, nz = solids.normal(bodies_BK, planes_P4, b, x, y, z)
    facing = min(abs(nx * dx + ny * dy + nz * dz), 1.0)
    reflected, _ = fresnel(facing, 1.0 / bodies_BK[b, INDEX])
    share = (1.0 - reflected) * (1.0 - reflected)
    if bodies_BK[b, solids.KIND] == solids.SPHERE:  # a ball gathers the light in its middle; the mean stays
        square = facing * facing
        share *= 0.35 + 3.25 * square * square * square * square
    return (
        share * transmit(bodies_BK[b, ALBEDO], path, ABSORPTION_M),
        share * transmit(bodies_BK[b, ALBEDO + 1], path, ABSORPTION_M),
        share * transmit(bodies_BK[b, ALBEDO + 2], path, ABSORPTION_M),
    )


@rare
def _sun_in_water(scenery: Floats, surface_XY4: Floats, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Share of the sunlight that reaches a point below the surface: absorbed on its way, gathered by crests."""
    x0, x1, y0, y1 = scenery[WATER_X0], scenery[WATER_X1], scenery[WATER_Y0], scenery[WATER_Y1]
    depth = max(surface(surface_XY4, HEIGHT, x0, x1, y0, y1, x, y) - z, 0.0)
    path = depth / scenery[WATER_SUN + 2]
    x, y = x + path * scenery[WATER_SUN], y + path * scenery[WATER_SUN + 1]
    bent = surface(surface_XY4, CURVATURE, x0, x1, y0, y1, x, y)
    share = gathered(bent, depth, scenery[WATER_INDEX])
    return (
        share * transmit(scenery[WATER_TINT], path, 1.0),
        share * transmit(scenery[WATER_TINT + 1], path, 1.0),
        share * transmit(scenery[WATER_TINT + 2], path, 1.0),
    )


@rare
def _voxel_shadow(world: World, x: float, y: float, z: float, dx: float, dy: float, dz: float) -> bool:
    """Whether a cube stands between a point and the sun."""
    scenery = world.scenery
    cell = scenery[VOXEL_CELL]
    ox = (x - scenery[VOXEL_ORIGIN]) / cell
    oy = (y - scenery[VOXEL_ORIGIN + 1]) / cell
    oz = (z - scenery[VOXEL_ORIGIN + 2]) / cell
    t, _, _ = first_voxel(world.voxels_XYZ, ox, oy, oz, dx, dy, dz, FAR)
    return t < FAR


@device
def light(
    world: World, own: int, wet: bool, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:
    """Sunlight in three colours, and the share of the skylight, that reach a surface point of body ``own`` (or -1)."""
    bodies_BK, planes_P4, scenery = world.bodies_BK, world.planes_P4, world.scenery
    sun = WATER_SUN if wet else SUN
    sx, sy, sz = scenery[sun], scenery[sun + 1], scenery[sun + 2]
    cosine = max(nx * sx + ny * sy + nz * sz, 0.0)
    red, green, blue = cosine * scenery[SUNLIGHT], cosine * scenery[SUNLIGHT + 1], cosine * scenery[SUNLIGHT + 2]
    sky = 1.0
    if own >= 0:
        sky = contact(z, bodies_BK[own, REACH])  # the floor takes light from the underside of what stands on it
    start, past = 0, world.bodies
    if not wet:
        u = x * scenery[SUN_U] + y * scenery[SUN_U + 1] + z * scenery[SUN_U + 2]
        v = x * scenery[SUN_V] + y * scenery[SUN_V + 1] + z * scenery[SUN_V + 2]
        u, v = (u - scenery[CELL_U]) * scenery[CELLS_PER_U], (v - scenery[CELL_V]) * scenery[CELLS_PER_V]
        past = 0
        if 0.0 <= u < scenery[CELLS_ACROSS] and 0.0 <= v < scenery[CELLS_DOWN]:
            cell = int(v) * int(scenery[CELLS_ACROSS]) + int(u)
            start, past = world.sunlit_C[cell], world.sunlit_C[cell + 1]
    for k in range(start, past):
        b = k if wet else world.sunlit_N[k]
        if b == own:  # a convex body shades nothing of its own lit side
            continue
        cx, cy, cz = bodies_BK[b, CENTRE] - x, bodies_BK[b, CENTRE + 1] - y, bodies_BK[b, CENTRE + 2] - z
        limit = bodies_BK[b, RADIUS] + bodies_BK[b, REACH]
        if cx * cx + cy * cy + cz * cz < limit * limit:
            near = contact(solids.gap(bodies_BK, planes_P4, b, -cx, -cy, -cz), bodies_BK[b, REACH])
            sky *= near if bodies_BK[b, INDEX] == 0.0 else 0.5 + 0.5 * near
        if cosine > 0.0:
            enter, leave = solids.interval(bodies_BK, planes_P4, b, x, y, z, sx, sy, sz)
            if enter <= leave and leave > NUDGE:
                if bodies_BK[b, INDEX] == 0.0:
                    cosine, red, green, blue = 0.0, 0.0, 0.0, 0.0
                else:
                    enter = max(enter, 0.0)
                    px, py, pz = x + enter * sx, y + enter * sy, z + enter * sz
                    r, g, b_ = _through_glass(bodies_BK, planes_P4, b, leave - enter, sx, sy, sz, px, py, pz)
                    red, green, blue = red * r, green * g, blue * b_
    if cosine > 0.0:
        if scenery[VOXEL_CELL] > 0.0:
            out = 1e-4 * scenery[VOXEL_CELL]
            if _voxel_shadow(world, x + out * nx, y + out * ny, z + out * nz, sx, sy, sz):
                red, green, blue = 0.0, 0.0, 0.0
        if wet:
            r, g, b_ = _sun_in_water(scenery, world.surface_XY4, x, y, z)
            red, green, blue = red * r, green * g, blue * b_
    return red, green, blue, sky


@device
def sky(scenery: Floats, glow: float, dx: float, dy: float, dz: float) -> tuple[float, float, float]:
    """What the sky shows in a direction; ``glow`` adds a soft sun."""
    up, disc = max(dz, 0.0), 0.0
    if glow > 0.0:
        disc = max(dx * scenery[SUN] + dy * scenery[SUN + 1] + dz * scenery[SUN + 2], 0.0)
        disc *= disc  # to the power of 32
        disc *= disc
        disc *= disc
        disc *= disc
        disc *= disc * glow
    return (
        scenery[HORIZON] + up * (scenery[TOP] - scenery[HORIZON]) + disc,
        scenery[HORIZON + 1] + up * (scenery[TOP + 1] - scenery[HORIZON + 1]) + disc,
        scenery[HORIZON + 2] + up * (scenery[TOP + 2] - scenery[HORIZON + 2]) + disc,
    )

"""The light's path: what one ray meets and what colour comes back. Compiled by numba.

The functions marked ``_device`` are scalar code without allocation, so that the same source compiles for a CPU thread
or for a GPU thread. A point is ``x, y, z`` and a direction ``dx, dy, dz``: tuples cost time here.

Array suffixes: T frames, B bodies, K columns of a body's row, H height, W width, S samples a pixel, 3 axis or colour
channel, 4 pixel rectangle (left, top, right, bottom).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Floats = NDArray[np.float64]

SPHERE, BOX, CYLINDER = 0, 1, 2
ENCODE_STEPS = 8192  # resolution of the table that encodes linear light

_FAR = 1e30
_CONTACT_SHADE = 0.6  # share of the ambient light that a touching body takes away
_SUN_GLOW = 4.0  # brightness of the soft sun disc that glossy bodies mirror

# Columns of the table of bodies, one row a body, and entries of the scenery vector. Packed into two plain arrays so
# that a call passes two pointers: with one array per property the compiled code spends its time on arguments.
KIND, CENTRE, ROTATION, HALF, RADIUS, REACH, ALBEDO, GLOSS = 0, 1, 4, 13, 16, 17, 18, 21
BODY_COLUMNS = 22
FLOOR, CHECKER, TOP, HORIZON, SUN, AMBIENT, EYE, NEAR_END, FAR_END = 0, 3, 4, 7, 10, 13, 14, 17, 18


def _device(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a scalar function into its caller; typed, which numba's own decorator is not."""
    return cast("Callable[P, R]", njit(cache=True, error_model="numpy", forceinline=True)(function))


def _kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function whose ``prange`` runs on all threads."""
    return cast("Callable[P, R]", njit(cache=True, error_model="numpy", parallel=True)(function))


@_device
def _slab(origin: float, direction: float, half: float) -> tuple[float, float]:
    """The interval of a ray between the planes at ±half."""
    if abs(direction) < 1e-12:
        if abs(origin) <= half:
            return -_FAR, _FAR
        return _FAR, -_FAR
    a = (-half - origin) / direction
    b = (half - origin) / direction
    return min(a, b), max(a, b)


@_device
def _to_body(table_BK: Floats, b: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """World vector → body axes."""
    return (
        table_BK[b, ROTATION] * x + table_BK[b, ROTATION + 3] * y + table_BK[b, ROTATION + 6] * z,
        table_BK[b, ROTATION + 1] * x + table_BK[b, ROTATION + 4] * y + table_BK[b, ROTATION + 7] * z,
        table_BK[b, ROTATION + 2] * x + table_BK[b, ROTATION + 5] * y + table_BK[b, ROTATION + 8] * z,
    )


@_device
def _intersect(table_BK: Floats, b: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Distance along a unit ray to where it enters body ``b`` from outside, or ``_FAR``."""
    cx, cy, cz = table_BK[b, CENTRE] - ox, table_BK[b, CENTRE + 1] - oy, table_BK[b, CENTRE + 2] - oz
    along = cx * dx + cy * dy + cz * dz
    radius = table_BK[b, RADIUS]
    room = radius * radius - (cx * cx + cy * cy + cz * cz - along * along)
    if room < 0.0 or along < -radius:
        return _FAR
    if table_BK[b, KIND] == SPHERE:
        t = along - math.sqrt(room)
        return t if t > 0.0 else _FAR
    lox, loy, loz = _to_body(table_BK, b, -cx, -cy, -cz)
    ldx, ldy, ldz = _to_body(table_BK, b, dx, dy, dz)
    near, far = _slab(loz, ldz, table_BK[b, HALF + 2])
    if table_BK[b, KIND] == BOX:
        near_x, far_x = _slab(lox, ldx, table_BK[b, HALF])
        near_y, far_y = _slab(loy, ldy, table_BK[b, HALF + 1])
        near, far = max(near, near_x, near_y), min(far, far_x, far_y)
    else:
        a = ldx * ldx + ldy * ldy
        half_b = lox * ldx + loy * ldy
        c = lox * lox + loy * loy - table_BK[b, HALF] ** 2
        discriminant = half_b * half_b - a * c
        if a < 1e-12:  # along the axis: inside the barrel or never
            if c > 0.0:
                return _FAR
        elif discriminant < 0.0:
            return _FAR
        else:
            root = math.sqrt(discriminant)
            near, far = max(near, (-half_b - root) / a), min(far, (-half_b + root) / a)
    return near if 0.0 < near <= far else _FAR


@_device
def _normal(table_BK: Floats, b: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Outward unit normal of body ``b`` at a point of its surface."""
    px, py, pz = x - table_BK[b, CENTRE], y - table_BK[b, CENTRE + 1], z - table_BK[b, CENTRE + 2]
    if table_BK[b, KIND] == SPHERE:
        r = table_BK[b, HALF]
        return px / r, py / r, pz / r
    lx, ly, lz = _to_body(table_BK, b, px, py, pz)
    hx, hy, hz = table_BK[b, HALF], table_BK[b, HALF + 1], table_BK[b, HALF + 2]
    nx, ny, nz = 0.0, 0.0, 0.0
    over_z = abs(lz) - hz
    if table_BK[b, KIND] == BOX:
        over_x, over_y = abs(lx) - hx, abs(ly) - hy
        if over_x > over_y and over_x > over_z:
            nx = math.copysign(1.0, lx)
        elif over_y > over_z:
            ny = math.copysign(1.0, ly)
        else:
            nz = math.copysign(1.0, lz)
    else:
        across = math.sqrt(lx * lx + ly * ly)
        if over_z > across - hx:
            nz = math.copysign(1.0, lz)
        else:
            nx, ny = lx / across, ly / across
    return (
        table_BK[b, ROTATION] * nx + table_BK[b, ROTATION + 1] * ny + table_BK[b, ROTATION + 2] * nz,
        table_BK[b, ROTATION + 3] * nx + table_BK[b, ROTATION + 4] * ny + table_BK[b, ROTATION + 5] * nz,
        table_BK[b, ROTATION + 6] * nx + table_BK[b, ROTATION + 7] * ny + table_BK[b, ROTATION + 8] * nz,
    )


@_device
def _gap(table_BK: Floats, b: int, px: float, py: float, pz: float) -> float:
    """Distance from the surface of body ``b`` to a point given relative to its centre; 0 inside a box or cylinder."""
    if table_BK[b, KIND] == SPHERE:
        return math.sqrt(px * px + py * py + pz * pz) - float(table_BK[b, HALF])
    lx, ly, lz = _to_body(table_BK, b, px, py, pz)
    out_z = max(abs(lz) - table_BK[b, HALF + 2], 0.0)
    if table_BK[b, KIND] == BOX:
        out_x = max(abs(lx) - table_BK[b, HALF], 0.0)
        out_y = max(abs(ly) - table_BK[b, HALF + 1], 0.0)
        return math.sqrt(out_x * out_x + out_y * out_y + out_z * out_z)
    out_r = max(math.sqrt(lx * lx + ly * ly) - table_BK[b, HALF], 0.0)
    return math.sqrt(out_r * out_r + out_z * out_z)


@_device
def _contact(gap: float, reach: float) -> float:
    """Share of the ambient light that passes a neighbour at a distance: a cheap stand-in for ambient occlusion."""
    near = min(1.0 - gap / reach, 1.0)
    return 1.0 - _CONTACT_SHADE * near * near if near > 0.0 else 1.0


@_device
def _light(
    table_BK: Floats, scenery: Floats, own: int, x: float, y: float, z: float, nx: float, ny: float, nz: float
) -> tuple[float, float]:
    """Sunlight and skylight that reach a surface point of body ``own`` (-1 is the floor)."""
    sx, sy, sz = scenery[SUN], scenery[SUN + 1], scenery[SUN + 2]
    sun = max((1.0 - scenery[AMBIENT]) * (nx * sx + ny * sy + nz * sz), 0.0)
    sky = scenery[AMBIENT]
    if own >= 0:
        sky *= _contact(z, table_BK[own, REACH])  # the floor takes light from the underside of what stands on it
    for b in range(table_BK.shape[0]):
        if b == own:  # a convex body shades nothing of its own lit side
            continue
        cx, cy, cz = table_BK[b, CENTRE] - x, table_BK[b, CENTRE + 1] - y, table_BK[b, CENTRE + 2] - z
        square = cx * cx + cy * cy + cz * cz
        limit = table_BK[b, RADIUS] + table_BK[b, REACH]
        if square < limit * limit:
            sky *= _contact(_gap(table_BK, b, -cx, -cy, -cz), table_BK[b, REACH])
        if sun > 0.0 and _intersect(table_BK, b, x, y, z, sx, sy, sz) < _FAR:
            sun = 0.0
    return sun, sky


@_device
def _floor(scenery: Floats, x: float, y: float) -> tuple[float, float]:
    """How much of the checker's contrast applies at a floor point (±), and how far the floor has faded (0 to 1)."""
    across = math.sqrt((x - scenery[EYE]) ** 2 + (y - scenery[EYE + 1]) ** 2)
    fade = min(max((across - scenery[NEAR_END]) / (scenery[FAR_END] - scenery[NEAR_END]), 0.0), 1.0)
    fade = fade * fade * (3.0 - 2.0 * fade)
    odd = (int(math.floor(x)) + int(math.floor(y))) & 1
    return (0.5 - odd) * scenery[CHECKER] * (1.0 - fade), fade


@_device
def _radiance(
    table_BK: Floats,
    scenery: Floats,
    mask: int,
    glow: float,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> tuple[float, float, float, int, float]:
    """Diffuse colour, body and distance of what a ray meets among the bodies of ``mask``, the floor and the sky."""
    nearest, body = _FAR, -1
    for b in range(table_BK.shape[0]):
        if (mask >> b) & 1:
            t = _intersect(table_BK, b, ox, oy, oz, dx, dy, dz)
            if t < nearest:
                nearest, body = t, b
    if dz < 0.0 and oz > 0.0 and -oz / dz < nearest:
        nearest, body = -oz / dz, -1
    x, y, z = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
    horizon_r, horizon_g, horizon_b = scenery[HORIZON], scenery[HORIZON + 1], scenery[HORIZON + 2]
    if body >= 0:
        nx, ny, nz = _normal(table_BK, body, x, y, z)
        ground = 0.5 - 0.5 * nz  # share of the skylight that takes the floor's colour
        sun, sky = _light(table_BK, scenery, body, x, y, z, nx, ny, nz)
        red = table_BK[body, ALBEDO] * (sun + sky * (1.0 - ground + ground * scenery[FLOOR]))
        green = table_BK[body, ALBEDO + 1] * (sun + sky * (1.0 - ground + ground * scenery[FLOOR + 1]))
        blue = table_BK[body, ALBEDO + 2] * (sun + sky * (1.0 - ground + ground * scenery[FLOOR + 2]))
        return red, green, blue, body, nearest
    if nearest < _FAR:
        checker, fade = _floor(scenery, x, y)
        if fade < 1.0:
            sun, sky = _light(table_BK, scenery, -1, x, y, 0.0, 0.0, 0.0, 1.0)
            light = (1.0 - fade) * (1.0 + checker) * (sun + sky)
            red = light * scenery[FLOOR] + fade * horizon_r
            green = light * scenery[FLOOR + 1] + fade * horizon_g
            blue = light * scenery[FLOOR + 2] + fade * horizon_b
            return red, green, blue, -1, nearest
    up, disc = max(dz, 0.0), 0.0
    if glow > 0.0:
        disc = max(dx * scenery[SUN] + dy * scenery[SUN + 1] + dz * scenery[SUN + 2], 0.0) ** 32
    red = horizon_r + up * (scenery[TOP] - horizon_r) + glow * disc
    green = horizon_g + up * (scenery[TOP + 1] - horizon_g) + glow * disc
    blue = horizon_b + up * (scenery[TOP + 2] - horizon_b) + glow * disc
    return red, green, blue, -1, nearest


@_device
def _sample(
    table_BK: Floats, scenery: Floats, mask: int, dx: float, dy: float, dz: float
) -> tuple[float, float, float, int]:
    """Colour and body seen from the eye along a unit ray, with one mirror bounce off glossy bodies."""
    ox, oy, oz = scenery[EYE], scenery[EYE + 1], scenery[EYE + 2]
    red, green, blue, body, t = _radiance(table_BK, scenery, mask, 0.0, ox, oy, oz, dx, dy, dz)
    if body >= 0 and table_BK[body, GLOSS] > 0.0:
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        nx, ny, nz = _normal(table_BK, body, x, y, z)
        facing = -(nx * dx + ny * dy + nz * dz)
        graze = min(max(1.0 - facing, 0.0), 1.0)
        gloss = table_BK[body, GLOSS]
        mirror = gloss + (1.0 - gloss) * graze * graze * graze * graze * graze  # Schlick 1994, equation 15
        rx, ry, rz = dx + 2.0 * facing * nx, dy + 2.0 * facing * ny, dz + 2.0 * facing * nz
        others = ~(1 << body)
        r, g, b, _, _ = _radiance(table_BK, scenery, others, _SUN_GLOW, x, y, z, rx, ry, rz)
        red, green, blue = red + mirror * (r - red), green + mirror * (g - green), blue + mirror * (b - blue)
    return red, green, blue, body


@_kernel
def render_frames(
    table_TBK: Floats,
    scenery: Floats,
    bounds_TB4: NDArray[np.int64],
    view_33: Floats,
    focal: float,
    offset_S2: Floats,
    srgb: NDArray[np.uint8],
    pixels_THW3: NDArray[np.uint8],
    ids_THW: NDArray[np.int8],
    seen_TB: NDArray[np.int64],
) -> None:
    """Fills ``pixels_THW3``, ``ids_THW`` and ``seen_TB`` (samples that see each body); frames run in parallel."""
    frames, height, width = ids_THW.shape
    samples = offset_S2.shape[0]
    for frame in prange(frames):
        table_BK, bounds_B4 = table_TBK[frame], bounds_TB4[frame]
        for row in range(height):
            for column in range(width):
                mask = 0
                for body in range(bounds_B4.shape[0]):
                    left, top, right, bottom = bounds_B4[body]
                    if left <= column < right and top <= row < bottom:
                        mask |= 1 << body
                red, green, blue = 0.0, 0.0, 0.0
                winner, votes = -1, 0  # majority vote (Boyer and Moore 1981)
                for s in range(samples):
                    across = (column + offset_S2[s, 0] - 0.5 * width) / focal
                    up = (0.5 * height - row - offset_S2[s, 1]) / focal
                    dx = view_33[2, 0] + across * view_33[0, 0] + up * view_33[1, 0]
                    dy = view_33[2, 1] + across * view_33[0, 1] + up * view_33[1, 1]
                    dz = view_33[2, 2] + across * view_33[0, 2] + up * view_33[1, 2]
                    scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
                    r, g, b, body = _sample(table_BK, scenery, mask, dx * scale, dy * scale, dz * scale)
                    red, green, blue = red + min(r, 1.0), green + min(g, 1.0), blue + min(b, 1.0)
                    if body >= 0:
                        seen_TB[frame, body] += 1
                    if votes == 0:
                        winner = body
                    votes += 1 if body == winner else -1
                ids_THW[frame, row, column] = winner
                steps = ENCODE_STEPS / samples
                pixels_THW3[frame, row, column, 0] = srgb[int(red * steps + 0.5)]
                pixels_THW3[frame, row, column, 1] = srgb[int(green * steps + 0.5)]
                pixels_THW3[frame, row, column, 2] = srgb[int(blue * steps + 0.5)]

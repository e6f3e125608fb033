"""A small deterministic ray tracer: spheres, boxes and cylinders on a floor under one sun.

Everything is analytic and float64; there is no randomness and no state shared between frames, so the same scene
gives the same bytes whatever the number of threads. The functions marked ``_device`` are scalar code without
allocation: numba compiles the same source for a CPU thread or for a GPU thread.

Light is a budget of one: ``ambient`` from the whole sky and ``1 - ambient`` from the sun, so that a surface never
shines brighter than its albedo and only mirror highlights saturate.

Array suffixes: T frames, B bodies, H height, W width, S samples a pixel, 3 axis or colour channel, 4 quaternion
(w, x, y, z) or pixel rectangle (left, top, right, bottom).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from kinema.data import CameraInfo

SPHERE, BOX, CYLINDER = 0, 1, 2

MAX_BODIES = 62  # one bit each in a 64-bit mask

_FAR = 1e30
_CONTACT_SHADE = 0.6  # share of the ambient light that a touching body takes away
_SUN_GLOW = 4.0  # brightness of the soft sun disc that glossy bodies mirror
_FADE_NEAR, _FADE_FAR = 2.0, 7.0  # the floor fades to the horizon between these multiples of the camera's distance
_ENCODE_STEPS = 8192
_linear = np.arange(_ENCODE_STEPS + 1) / _ENCODE_STEPS
_SRGB = np.rint(  # IEC 61966-2-1: linear light in [0, 1] → 8-bit code
    255 * np.where(_linear <= 0.0031308, 12.92 * _linear, 1.055 * _linear ** (1 / 2.4) - 0.055)
).astype(np.uint8)

F = TypeVar("F", bound=Callable[..., Any])


def _device(function: F) -> F:
    """Compiles a scalar function; a typed wrapper because numba's decorator is not."""
    compiled: F = njit(cache=True, error_model="numpy", forceinline=True)(function)
    return compiled


def _kernel(function: F) -> F:
    """Compiles a function whose ``prange`` runs on all threads."""
    compiled: F = njit(cache=True, error_model="numpy", parallel=True)(function)
    return compiled


@dataclass(frozen=True)
class Look:
    """Everything about a scene that does not move. Colours are linear RGB in [0, 1], lengths metres."""

    kind_B: NDArray[np.int32]  # SPHERE, BOX or CYLINDER
    half_size_B3: NDArray[np.float64]  # sphere (r, r, r); box half extents; cylinder (r, r, half height) along body z
    albedo_B3: NDArray[np.float64]
    gloss_B: NDArray[np.float64]  # mirror reflectance at normal incidence; 0 is matte
    floor_albedo_3: NDArray[np.float64]
    floor_checker: float  # 0 is plain, else the relative albedo contrast of a 1 m checkerboard
    sky_top_3: NDArray[np.float64]
    sky_horizon_3: NDArray[np.float64]
    sun_direction_3: NDArray[np.float64]  # unit vector towards the sun
    ambient: float  # share of the light that comes from the sky
    camera: CameraInfo


# Columns of the table of bodies, one row a body, and entries of the scenery vector. Packed into two plain arrays so
# that a call passes two pointers: with one array per property the compiled code spends its time on arguments.
_KIND, _CENTRE, _ROTATION, _HALF, _RADIUS, _REACH, _ALBEDO, _GLOSS = 0, 1, 4, 13, 16, 17, 18, 21
_BODY_COLUMNS = 22
_FLOOR, _CHECKER, _TOP, _HORIZON, _SUN, _AMBIENT, _EYE, _NEAR_END, _FAR_END = 0, 3, 4, 7, 10, 13, 14, 17, 18


def render(
    look: Look,
    position_TB3: NDArray[np.float64],
    orientation_TB4: NDArray[np.float64],
    height: int,
    width: int,
    samples_per_pixel: int = 4,
) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.float64]]:
    """Renders a clip.

    Args:
        look: shapes, colours, light and camera.
        position_TB3: centres of the bodies in metres.
        orientation_TB4: unit quaternions (w, x, y, z), body to world.
        height: pixels.
        width: pixels.
        samples_per_pixel: rays a pixel, on a fixed sub-pixel grid.

    Returns:
        ``pixels_THW3`` (sRGB), ``ids_THW`` (index of the body that most samples of the pixel see, -1 for the
        scenery) and ``visible_TB`` (share of the frame's samples that see each body).
    """
    frames, bodies = position_TB3.shape[:2]
    assert bodies == len(look.kind_B) <= MAX_BODIES
    assert orientation_TB4.shape == (frames, bodies, 4)
    rotation_TB33 = _rotations(np.asarray(orientation_TB4, dtype=np.float64))
    position_TB3 = np.ascontiguousarray(position_TB3, dtype=np.float64)
    view_33, focal = _view(look.camera, height)
    bounds_TB4 = _screen_bounds(look, position_TB3, rotation_TB33, height, width)
    pixels_THW3 = np.empty((frames, height, width, 3), dtype=np.uint8)
    ids_THW = np.empty((frames, height, width), dtype=np.int8)
    seen_TB = np.zeros((frames, bodies), dtype=np.int64)
    offset_S2 = sample_offsets(samples_per_pixel)
    table_TBK = _table(look, position_TB3, rotation_TB33)
    _render(table_TBK, _scenery(look), bounds_TB4, view_33, focal, offset_S2, _SRGB, pixels_THW3, ids_THW, seen_TB)
    return pixels_THW3, ids_THW, seen_TB / (height * width * samples_per_pixel)


def sample_offsets(samples: int) -> NDArray[np.float64]:
    """Positions of the samples within a pixel, in [0, 1)²: the centre, a rotated grid of 4, or a golden lattice."""
    index = np.arange(samples)
    across = (index + 0.5) / samples
    if samples == 4:
        return np.stack([across, np.array([5, 1, 7, 3]) / 8], axis=1)
    return np.stack([across, (0.5 + index * (math.sqrt(5) - 1) / 2) % 1.0], axis=1)


def project(camera: CameraInfo, points_N3: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Pinhole projection of world points: ``(column, row, depth in metres)`` per point; pixel centres lie at .5."""
    view_33, focal = _view(camera, height)
    across_N, up_N, depth_N = ((points_N3 - np.array(camera.position_m)) @ view_33.T).T
    return np.stack([width / 2 + focal * across_N / depth_N, height / 2 - focal * up_N / depth_N, depth_N], axis=1)


def _table(
    look: Look, position_TB3: NDArray[np.float64], rotation_TB33: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The bodies as rows of numbers, one table a frame."""
    frames, bodies = position_TB3.shape[:2]
    x, y, z = np.asarray(look.half_size_B3, dtype=np.float64).T
    table_TBK = np.empty((frames, bodies, _BODY_COLUMNS))
    table_TBK[..., _KIND] = look.kind_B
    table_TBK[..., _CENTRE : _CENTRE + 3] = position_TB3
    table_TBK[..., _ROTATION : _ROTATION + 9] = rotation_TB33.reshape(frames, bodies, 9)
    table_TBK[..., _HALF : _HALF + 3] = look.half_size_B3
    table_TBK[..., _RADIUS] = np.select(  # of the bounding sphere
        [look.kind_B == SPHERE, look.kind_B == CYLINDER], [x, np.hypot(x, z)], np.sqrt(x * x + y * y + z * z)
    )
    table_TBK[..., _REACH] = np.cbrt(x * y * z)  # how far a body's contact darkening extends
    table_TBK[..., _ALBEDO : _ALBEDO + 3] = look.albedo_B3
    table_TBK[..., _GLOSS] = look.gloss_B
    return table_TBK


def _scenery(look: Look) -> NDArray[np.float64]:
    """Floor, sky, sun and eye as one vector."""
    assert abs(float(np.linalg.norm(look.sun_direction_3)) - 1) < 1e-6, "the sun's direction is a unit vector"
    eye_3 = np.array(look.camera.position_m)
    distance_m = float(np.linalg.norm(eye_3 - np.array(look.camera.target_m)))
    return np.concatenate(
        [
            *(look.floor_albedo_3, [look.floor_checker], look.sky_top_3, look.sky_horizon_3, look.sun_direction_3),
            *([look.ambient], eye_3, [_FADE_NEAR * distance_m, _FADE_FAR * distance_m]),
        ]
    ).astype(np.float64)


def _view(camera: CameraInfo, height: int) -> tuple[NDArray[np.float64], float]:
    """Rows right, up, forward in world coordinates, and the focal length in pixels."""
    forward_3 = np.array(camera.target_m, dtype=np.float64) - np.array(camera.position_m, dtype=np.float64)
    forward_3 /= np.linalg.norm(forward_3)
    right_3 = np.cross(forward_3, [0.0, 0.0, 1.0])
    if np.linalg.norm(right_3) < 1e-6:  # straight up or down
        right_3 = np.array([1.0, 0.0, 0.0])
    right_3 /= np.linalg.norm(right_3)
    focal = 0.5 * height / math.tan(math.radians(camera.vertical_fov_deg) / 2)
    return np.stack([right_3, np.cross(right_3, forward_3), forward_3]), focal


def _rotations(quaternion_TB4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Body-to-world rotation matrices."""
    w, x, y, z = np.moveaxis(quaternion_TB4, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.ascontiguousarray(np.stack([np.stack(row, axis=-1) for row in rows], axis=-2))


def _screen_bounds(
    look: Look, position_TB3: NDArray[np.float64], rotation_TB33: NDArray[np.float64], height: int, width: int
) -> NDArray[np.int64]:
    """Pixel rectangles outside which a body cannot be seen: its projected bounding box (convex, so the corners do)."""
    view_33, focal = _view(look.camera, height)
    corner_83 = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], dtype=np.float64)
    offset_B83 = corner_83 * np.asarray(look.half_size_B3)[:, None, :]
    world_TB83 = position_TB3[:, :, None] + np.einsum("tbij,bkj->tbki", rotation_TB33, offset_B83)
    camera_TB83 = (world_TB83 - np.array(look.camera.position_m)) @ view_33.T
    depth_TB8 = camera_TB83[..., 2]
    behind_TB = (depth_TB8 < 1e-3).any(axis=-1)  # a corner behind the eye: give up the bound
    depth_TB8 = np.maximum(depth_TB8, 1e-3)
    column_TB8 = width / 2 + focal * camera_TB83[..., 0] / depth_TB8
    row_TB8 = height / 2 - focal * camera_TB83[..., 1] / depth_TB8
    low = [np.where(behind_TB, -1.0, np.floor(a.min(axis=-1))) for a in (column_TB8, row_TB8)]
    high = [np.where(behind_TB, b, np.ceil(a.max(axis=-1))) for a, b in ((column_TB8, width), (row_TB8, height))]
    limit = 1 << 20
    return np.ascontiguousarray(np.clip(np.stack([*low, *high], axis=-1), -limit, limit).astype(np.int64))


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
def _to_body(table_BK, b, x, y, z):  # type: ignore[no-untyped-def]
    """World vector → body axes."""
    return (
        table_BK[b, _ROTATION] * x + table_BK[b, _ROTATION + 3] * y + table_BK[b, _ROTATION + 6] * z,
        table_BK[b, _ROTATION + 1] * x + table_BK[b, _ROTATION + 4] * y + table_BK[b, _ROTATION + 7] * z,
        table_BK[b, _ROTATION + 2] * x + table_BK[b, _ROTATION + 5] * y + table_BK[b, _ROTATION + 8] * z,
    )


@_device
def _intersect(table_BK, b, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Distance along a unit ray to where it enters body ``b`` from outside, or ``_FAR``."""
    cx, cy, cz = table_BK[b, _CENTRE] - ox, table_BK[b, _CENTRE + 1] - oy, table_BK[b, _CENTRE + 2] - oz
    along = cx * dx + cy * dy + cz * dz
    radius = table_BK[b, _RADIUS]
    room = radius * radius - (cx * cx + cy * cy + cz * cz - along * along)
    if room < 0.0 or along < -radius:
        return _FAR
    if table_BK[b, _KIND] == SPHERE:
        t = along - math.sqrt(room)
        return t if t > 0.0 else _FAR
    lox, loy, loz = _to_body(table_BK, b, -cx, -cy, -cz)
    ldx, ldy, ldz = _to_body(table_BK, b, dx, dy, dz)
    near, far = _slab(loz, ldz, table_BK[b, _HALF + 2])
    if table_BK[b, _KIND] == BOX:
        near_x, far_x = _slab(lox, ldx, table_BK[b, _HALF])
        near_y, far_y = _slab(loy, ldy, table_BK[b, _HALF + 1])
        near, far = max(near, near_x, near_y), min(far, far_x, far_y)
    else:
        a = ldx * ldx + ldy * ldy
        half_b = lox * ldx + loy * ldy
        c = lox * lox + loy * loy - table_BK[b, _HALF] ** 2
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
def _normal(table_BK, b, x, y, z):  # type: ignore[no-untyped-def]
    """Outward unit normal of body ``b`` at a point of its surface."""
    px, py, pz = x - table_BK[b, _CENTRE], y - table_BK[b, _CENTRE + 1], z - table_BK[b, _CENTRE + 2]
    if table_BK[b, _KIND] == SPHERE:
        r = table_BK[b, _HALF]
        return px / r, py / r, pz / r
    lx, ly, lz = _to_body(table_BK, b, px, py, pz)
    hx, hy, hz = table_BK[b, _HALF], table_BK[b, _HALF + 1], table_BK[b, _HALF + 2]
    nx, ny, nz = 0.0, 0.0, 0.0
    over_z = abs(lz) - hz
    if table_BK[b, _KIND] == BOX:
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
        table_BK[b, _ROTATION] * nx + table_BK[b, _ROTATION + 1] * ny + table_BK[b, _ROTATION + 2] * nz,
        table_BK[b, _ROTATION + 3] * nx + table_BK[b, _ROTATION + 4] * ny + table_BK[b, _ROTATION + 5] * nz,
        table_BK[b, _ROTATION + 6] * nx + table_BK[b, _ROTATION + 7] * ny + table_BK[b, _ROTATION + 8] * nz,
    )


@_device
def _gap(table_BK, b, px, py, pz):  # type: ignore[no-untyped-def]
    """Distance from the surface of body ``b`` to a point given relative to its centre; 0 inside a box or cylinder."""
    if table_BK[b, _KIND] == SPHERE:
        return math.sqrt(px * px + py * py + pz * pz) - table_BK[b, _HALF]
    lx, ly, lz = _to_body(table_BK, b, px, py, pz)
    out_z = max(abs(lz) - table_BK[b, _HALF + 2], 0.0)
    if table_BK[b, _KIND] == BOX:
        out_x = max(abs(lx) - table_BK[b, _HALF], 0.0)
        out_y = max(abs(ly) - table_BK[b, _HALF + 1], 0.0)
        return math.sqrt(out_x * out_x + out_y * out_y + out_z * out_z)
    out_r = max(math.sqrt(lx * lx + ly * ly) - table_BK[b, _HALF], 0.0)
    return math.sqrt(out_r * out_r + out_z * out_z)


@_device
def _contact(gap, reach):  # type: ignore[no-untyped-def]
    """Share of the ambient light that passes a neighbour at a distance: a cheap stand-in for ambient occlusion."""
    near = min(1.0 - gap / reach, 1.0)
    return 1.0 - _CONTACT_SHADE * near * near if near > 0.0 else 1.0


@_device
def _light(table_BK, scenery, own, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Sunlight and skylight that reach a surface point of body ``own`` (-1 is the floor)."""
    sx, sy, sz = scenery[_SUN], scenery[_SUN + 1], scenery[_SUN + 2]
    sun = max((1.0 - scenery[_AMBIENT]) * (nx * sx + ny * sy + nz * sz), 0.0)
    sky = scenery[_AMBIENT]
    if own >= 0:
        sky *= _contact(z, table_BK[own, _REACH])  # the floor takes light from the underside of what stands on it
    for b in range(table_BK.shape[0]):
        if b == own:  # a convex body shades nothing of its own lit side
            continue
        cx, cy, cz = table_BK[b, _CENTRE] - x, table_BK[b, _CENTRE + 1] - y, table_BK[b, _CENTRE + 2] - z
        square = cx * cx + cy * cy + cz * cz
        limit = table_BK[b, _RADIUS] + table_BK[b, _REACH]
        if square < limit * limit:
            sky *= _contact(_gap(table_BK, b, -cx, -cy, -cz), table_BK[b, _REACH])
        if sun > 0.0 and _intersect(table_BK, b, x, y, z, sx, sy, sz) < _FAR:
            sun = 0.0
    return sun, sky


@_device
def _floor(scenery, x, y):  # type: ignore[no-untyped-def]
    """How much of the checker's contrast applies at a floor point (±), and how far the floor has faded (0 to 1)."""
    across = math.sqrt((x - scenery[_EYE]) ** 2 + (y - scenery[_EYE + 1]) ** 2)
    fade = min(max((across - scenery[_NEAR_END]) / (scenery[_FAR_END] - scenery[_NEAR_END]), 0.0), 1.0)
    fade = fade * fade * (3.0 - 2.0 * fade)
    odd = (int(math.floor(x)) + int(math.floor(y))) & 1
    return (0.5 - odd) * scenery[_CHECKER] * (1.0 - fade), fade


@_device
def _radiance(table_BK, scenery, mask, glow, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
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
    horizon_r, horizon_g, horizon_b = scenery[_HORIZON], scenery[_HORIZON + 1], scenery[_HORIZON + 2]
    if body >= 0:
        nx, ny, nz = _normal(table_BK, body, x, y, z)
        ground = 0.5 - 0.5 * nz  # share of the skylight that takes the floor's colour
        sun, sky = _light(table_BK, scenery, body, x, y, z, nx, ny, nz)
        red = table_BK[body, _ALBEDO] * (sun + sky * (1.0 - ground + ground * scenery[_FLOOR]))
        green = table_BK[body, _ALBEDO + 1] * (sun + sky * (1.0 - ground + ground * scenery[_FLOOR + 1]))
        blue = table_BK[body, _ALBEDO + 2] * (sun + sky * (1.0 - ground + ground * scenery[_FLOOR + 2]))
        return red, green, blue, body, nearest
    if nearest < _FAR:
        checker, fade = _floor(scenery, x, y)
        if fade < 1.0:
            sun, sky = _light(table_BK, scenery, -1, x, y, 0.0, 0.0, 0.0, 1.0)
            light = (1.0 - fade) * (1.0 + checker) * (sun + sky)
            red = light * scenery[_FLOOR] + fade * horizon_r
            green = light * scenery[_FLOOR + 1] + fade * horizon_g
            blue = light * scenery[_FLOOR + 2] + fade * horizon_b
            return red, green, blue, -1, nearest
    up, disc = max(dz, 0.0), 0.0
    if glow > 0.0:
        disc = max(dx * scenery[_SUN] + dy * scenery[_SUN + 1] + dz * scenery[_SUN + 2], 0.0) ** 32
    red = horizon_r + up * (scenery[_TOP] - horizon_r) + glow * disc
    green = horizon_g + up * (scenery[_TOP + 1] - horizon_g) + glow * disc
    blue = horizon_b + up * (scenery[_TOP + 2] - horizon_b) + glow * disc
    return red, green, blue, -1, nearest


@_device
def _sample(table_BK, scenery, mask, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Colour and body seen from the eye along a unit ray, with one mirror bounce off glossy bodies."""
    ox, oy, oz = scenery[_EYE], scenery[_EYE + 1], scenery[_EYE + 2]
    red, green, blue, body, t = _radiance(table_BK, scenery, mask, 0.0, ox, oy, oz, dx, dy, dz)
    if body >= 0 and table_BK[body, _GLOSS] > 0.0:
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        nx, ny, nz = _normal(table_BK, body, x, y, z)
        facing = -(nx * dx + ny * dy + nz * dz)
        graze = min(max(1.0 - facing, 0.0), 1.0)
        gloss = table_BK[body, _GLOSS]
        mirror = gloss + (1.0 - gloss) * graze * graze * graze * graze * graze  # Schlick 1994, equation 15
        rx, ry, rz = dx + 2.0 * facing * nx, dy + 2.0 * facing * ny, dz + 2.0 * facing * nz
        others = ~(np.int64(1) << body)
        r, g, b, _, _ = _radiance(table_BK, scenery, others, _SUN_GLOW, x, y, z, rx, ry, rz)
        red, green, blue = red + mirror * (r - red), green + mirror * (g - green), blue + mirror * (b - blue)
    return red, green, blue, body


@_kernel
def _render(  # type: ignore[no-untyped-def]
    table_TBK, scenery, bounds_TB4, view_33, focal, offset_S2, srgb, pixels_THW3, ids_THW, seen_TB
):
    frames, height, width = ids_THW.shape
    samples = offset_S2.shape[0]
    for frame in prange(frames):
        table_BK, bounds_B4 = table_TBK[frame], bounds_TB4[frame]
        for row in range(height):
            for column in range(width):
                mask = np.int64(0)
                for b in range(bounds_B4.shape[0]):
                    if bounds_B4[b, 0] <= column < bounds_B4[b, 2] and bounds_B4[b, 1] <= row < bounds_B4[b, 3]:
                        mask |= np.int64(1) << b
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
                scale = _ENCODE_STEPS / samples
                pixels_THW3[frame, row, column, 0] = srgb[int(red * scale + 0.5)]
                pixels_THW3[frame, row, column, 1] = srgb[int(green * scale + 0.5)]
                pixels_THW3[frame, row, column, 2] = srgb[int(blue * scale + 0.5)]

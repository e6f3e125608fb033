"""A small deterministic ray tracer: spheres, boxes and cylinders on a floor under one sun.

Everything is analytic and float64; there is no randomness and no state shared between frames, so the same scene
gives the same bytes whatever the number of threads.
Light is a budget of one: ``ambient`` from the whole sky and ``1 - ambient`` from the sun, so that a surface never
shines brighter than its albedo and only mirror highlights saturate. This file holds what a scene is and prepares it;
``rays.py`` follows the light.

Array suffixes: T frames, B bodies, H height, W width, S samples a pixel, 3 axis or colour channel, 4 quaternion
(w, x, y, z) or pixel rectangle (left, top, right, bottom).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.data import CameraInfo
from kinema.worlds import rays
from kinema.worlds.rays import BOX, CYLINDER, SPHERE

__all__ = ["BOX", "CYLINDER", "SPHERE", "Look", "project", "render", "sample_offsets"]

MAX_BODIES = 62  # one bit each in a 64-bit mask

_FADE_NEAR, _FADE_FAR = 2.0, 7.0  # the floor fades to the horizon between these multiples of the camera's distance
_linear = np.arange(rays.ENCODE_STEPS + 1) / rays.ENCODE_STEPS
_SRGB = np.rint(  # IEC 61966-2-1: linear light in [0, 1] → 8-bit code
    255 * np.where(_linear <= 0.0031308, 12.92 * _linear, 1.055 * _linear ** (1 / 2.4) - 0.055)
).astype(np.uint8)


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
    rays.render_frames(
        table_TBK, _scenery(look), bounds_TB4, view_33, focal, offset_S2, _SRGB, pixels_THW3, ids_THW, seen_TB
    )
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


def _table(look: Look, position_TB3: NDArray[np.float64], rotation_TB33: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bodies as rows of numbers, one table a frame."""
    frames, bodies = position_TB3.shape[:2]
    x, y, z = np.asarray(look.half_size_B3, dtype=np.float64).T
    table_TBK = np.empty((frames, bodies, rays.BODY_COLUMNS))
    table_TBK[..., rays.KIND] = look.kind_B
    table_TBK[..., rays.CENTRE : rays.CENTRE + 3] = position_TB3
    table_TBK[..., rays.ROTATION : rays.ROTATION + 9] = rotation_TB33.reshape(frames, bodies, 9)
    table_TBK[..., rays.HALF : rays.HALF + 3] = look.half_size_B3
    table_TBK[..., rays.RADIUS] = np.select(  # of the bounding sphere
        [look.kind_B == SPHERE, look.kind_B == CYLINDER], [x, np.hypot(x, z)], np.sqrt(x * x + y * y + z * z)
    )
    table_TBK[..., rays.REACH] = np.cbrt(x * y * z)  # how far a body's contact darkening extends
    table_TBK[..., rays.ALBEDO : rays.ALBEDO + 3] = look.albedo_B3
    table_TBK[..., rays.GLOSS] = look.gloss_B
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

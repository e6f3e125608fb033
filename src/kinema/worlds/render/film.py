"""Prepares a scene for the kernels: tables of numbers, one a frame, and lists of what may be met where.

Array suffixes: T frames, B bodies, K columns or entries, P planes, C cells, N list entries, U, V axes of the picture
that the sun sees, 3 axis or colour channel, 4 quaternion or rectangle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.render import solids, stage
from kinema.worlds.render.bins import lists_of
from kinema.worlds.render.kernel import ENCODE_STEPS, TILE, Film
from kinema.worlds.render.solids import BOX, CAPSULE, CONE, CYLINDER, SPHERE

if TYPE_CHECKING:
    from kinema.worlds.render.tracer import Look, WaterLook

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_FADE_NEAR, _FADE_FAR = 2.0, 7.0  # the floor fades to the horizon between these multiples of the camera's distance
_SUNLIT = 16  # cells across and down of the picture that the sun sees
_linear = np.arange(ENCODE_STEPS + 1) / ENCODE_STEPS
_SRGB = np.rint(  # IEC 61966-2-1: linear light in [0, 1] → 8-bit code
    255 * np.where(_linear <= 0.0031308, 12.92 * _linear, 1.055 * _linear ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def film_of(
    look: Look,
    position_TB3: Floats,
    orientation_TB4: Floats,
    shown_TB: NDArray[np.bool_],
    height: int,
    width: int,
    offset_S2: Floats,
) -> Film:
    """Everything that the kernels need; the basin's walls join the bodies as scenery."""
    bodies_TBK = _table(look, position_TB3, _rotations(np.asarray(orientation_TB4, dtype=np.float64)))
    if look.water is not None:
        bodies_TBK = np.concatenate([bodies_TBK, _walls(look.water, len(bodies_TBK))], axis=1)
        shown_TB = np.pad(shown_TB, [(0, 0), (0, 4)], constant_values=True)
    order_TB = np.argsort(~shown_TB, axis=1, kind="stable")  # who is there comes first
    bodies_TBK = np.take_along_axis(bodies_TBK, order_TB[..., None], axis=1)
    count_T = shown_TB.sum(axis=1).astype(np.int32)
    eye_T3 = np.broadcast_to(look.eye_T3, (len(count_T), 3)).astype(np.float64)
    target_T3 = np.broadcast_to(look.target_T3, (len(count_T), 3)).astype(np.float64)
    view_T33, focal = views(eye_T3, target_T3), focal_length(look.vertical_fov_deg, height)
    scenery_TK = _scenery(look, eye_T3, target_T3, view_T33, focal)
    screen_TB4 = _screen_tiles(bodies_TBK, eye_T3, view_T33, focal, height, width)
    screen_TC, screen_N = lists_of(screen_TB4, count_T, -(-width // TILE), -(-height // TILE))
    sunlit_TB4 = _sun_cells(bodies_TBK, count_T, scenery_TK)
    sunlit_TC, sunlit_N = lists_of(sunlit_TB4, count_T, _SUNLIT, _SUNLIT)
    return Film(
        bodies_TBK,
        np.ascontiguousarray(look.planes_P4, dtype=np.float64).reshape(-1, 4),
        scenery_TK,
        count_T,
        *(screen_TC, screen_N, sunlit_TC, sunlit_N),
        _surface(look.water) if look.water is not None else np.zeros((1, 2, 2, 4)),
        np.ascontiguousarray(look.paint.time_XY, dtype=np.float64) if look.paint is not None else np.zeros((1, 1)),
        np.ascontiguousarray(look.voxels.grid_TXYZ) if look.voxels is not None else np.zeros((1, 1, 1, 1), np.uint8),
        np.ascontiguousarray(look.voxels.palette_K3, np.float64) if look.voxels is not None else np.zeros((1, 3)),
        *(offset_S2, _SRGB),
    )


def views(eye_T3: Floats, target_T3: Floats) -> Floats:
    """Rows right, up, forward of each camera in world coordinates."""
    forward_T3 = target_T3 - eye_T3
    forward_T3 = forward_T3 / np.linalg.norm(forward_T3, axis=-1, keepdims=True)
    right_T3 = np.cross(forward_T3, [0.0, 0.0, 1.0])
    right_T3[np.linalg.norm(right_T3, axis=-1) < 1e-6] = (1.0, 0.0, 0.0)  # straight up or down
    right_T3 /= np.linalg.norm(right_T3, axis=-1, keepdims=True)
    return np.stack([right_T3, np.cross(right_T3, forward_T3), forward_T3], axis=1)


def focal_length(vertical_fov_deg: float, height: int) -> float:
    """In pixels."""
    return 0.5 * height / math.tan(math.radians(vertical_fov_deg) / 2)


def _walls(water: WaterLook, frames: int) -> Floats:
    """The four walls of a basin as further bodies: boxes without a number."""
    thick, high = water.wall_m / 2, (water.level_m + water.rim_m) / 2
    middle_x, middle_y = (water.x0 + water.x1) / 2, (water.y0 + water.y1) / 2
    wide, deep = (water.x1 - water.x0) / 2, (water.y1 - water.y0) / 2
    table_4K = np.zeros((4, solids.COLUMNS))
    table_4K[:, solids.CENTRE : solids.CENTRE + 3] = [
        (middle_x, water.y0 - thick, high),
        (middle_x, water.y1 + thick, high),
        (water.x0 - thick, middle_y, high),
        (water.x1 + thick, middle_y, high),
    ]
    half_43 = np.array([(wide + 2 * thick, thick, high)] * 2 + [(thick, deep, high)] * 2)
    table_4K[:, solids.HALF : solids.HALF + 3] = half_43
    table_4K[:, solids.RADIUS] = np.linalg.norm(half_43, axis=1)
    table_4K[:, solids.REACH] = np.cbrt(half_43.prod(axis=1))
    table_4K[:, solids.ROTATION : solids.ROTATION + 9] = np.eye(3).reshape(9)
    table_4K[:, solids.KIND] = BOX
    table_4K[:, solids.INDEX] = water.wall_index
    table_4K[:, solids.ID] = -1
    table_4K[:, solids.ALBEDO : solids.ALBEDO + 3] = water.wall_albedo_3
    return np.broadcast_to(table_4K, (frames, 4, solids.COLUMNS))


def _table(look: Look, position_TB3: Floats, rotation_TB33: Floats) -> Floats:
    """The bodies as rows of numbers, one table a frame."""
    frames, bodies = position_TB3.shape[:2]
    x, y, z = np.asarray(look.half_size_B3, dtype=np.float64).reshape(-1, 3).T
    table_TBK = np.empty((frames, bodies, solids.COLUMNS))
    table_TBK[..., solids.CENTRE : solids.CENTRE + 3] = position_TB3
    table_TBK[..., solids.RADIUS] = np.select(  # of the bounding sphere
        [look.kind_B == SPHERE, (look.kind_B == CYLINDER) | (look.kind_B == CONE), look.kind_B == CAPSULE],
        [x, np.hypot(x, z), z],
        np.sqrt(x * x + y * y + z * z),
    )
    table_TBK[..., solids.REACH] = np.cbrt(x * y * z)  # how far a body's contact darkening extends
    table_TBK[..., solids.KIND] = look.kind_B
    table_TBK[..., solids.INDEX] = look.index_B
    table_TBK[..., solids.ID] = np.arange(bodies)
    table_TBK[..., solids.ROTATION : solids.ROTATION + 9] = rotation_TB33.reshape(frames, bodies, 9)
    table_TBK[..., solids.HALF : solids.HALF + 3] = look.half_size_B3
    table_TBK[..., solids.FIRST_PLANE : solids.FIRST_PLANE + 2] = look.plane_range_B2
    table_TBK[..., solids.ALBEDO : solids.ALBEDO + 3] = look.albedo_B3
    table_TBK[..., solids.ACCENT : solids.ACCENT + 3] = look.accent_B3
    table_TBK[..., solids.PATTERN] = look.pattern_B
    table_TBK[..., solids.PERIOD] = look.pattern_scale_B
    table_TBK[..., solids.GLOSS] = look.gloss_B
    table_TBK[..., solids.METALLIC] = look.metallic_B
    return table_TBK


def _scenery(look: Look, eye_T3: Floats, target_T3: Floats, view_T33: Floats, focal: float) -> Floats:
    """Floor, sky, sun, camera, water, paint and voxels as one vector a frame."""
    assert abs(float(np.linalg.norm(look.sun_direction_3)) - 1) < 1e-6, "the sun's direction is a unit vector"
    scenery_TK = np.zeros((len(eye_T3), stage.ENTRIES))

    def put(entry: int, value: object) -> None:
        values = np.asarray(value, dtype=np.float64)
        width = values.shape[-1] if values.ndim else 1
        scenery_TK[:, entry : entry + width] = values

    put(stage.FLOOR, look.floor_albedo_3)
    put(stage.FLOOR_ACCENT, look.floor_accent_3)
    put(stage.FLOOR_PATTERN, [look.floor_pattern, look.floor_scale_m])
    put(stage.TOP, look.sky_top_3)
    put(stage.HORIZON, look.sky_horizon_3)
    put(stage.SUN, look.sun_direction_3)
    put(stage.SUNLIGHT, (1 - look.ambient) * np.asarray(look.sun_color_3))
    put(stage.SKYLIGHT, look.ambient * np.asarray(look.sky_light_3))
    put(stage.EYE, eye_T3)
    put(stage.RIGHT, view_T33.reshape(-1, 9))
    distance_T1 = np.linalg.norm(eye_T3 - target_T3, axis=-1, keepdims=True)
    put(stage.FOCAL, focal)
    put(stage.NEAR_END, distance_T1 * [_FADE_NEAR, _FADE_FAR])
    put(stage.FRAME, np.arange(len(eye_T3))[:, None])
    put(stage.SUN_U, views(np.zeros((1, 3)), np.asarray(look.sun_direction_3)[None])[0, :2].reshape(6))
    if (water := look.water) is not None:
        put(stage.WATER_X0, [water.x0, water.x1, water.y0, water.y1])
        heights_T = np.asarray(water.height_TXY).reshape(len(water.height_TXY), -1)
        put(stage.WATER_LOW, np.stack([heights_T.min(axis=1), heights_T.max(axis=1)], axis=1))
        put(stage.WATER_INDEX, water.index)
        put(stage.WATER_TINT, water.tint_3)
        bent_2 = np.asarray(look.sun_direction_3)[:2] / water.index
        put(stage.WATER_SUN, [*bent_2, math.sqrt(1 - float(bent_2 @ bent_2))])
        put(stage.BASIN_FLOOR, [*water.floor_albedo_3, *water.floor_accent_3, water.floor_pattern, water.floor_scale_m])
    if (paint := look.paint) is not None:
        put(stage.PAINT_X0, [paint.x0, paint.x1, paint.y0, paint.y1, *paint.color_3])
    if (voxels := look.voxels) is not None:
        put(stage.VOXEL_ORIGIN, [*voxels.origin_3, voxels.cell_m])
    return scenery_TK


def _surface(water: WaterLook) -> Floats:
    """Height, slopes and curvature of the water at every node."""
    height_TXY = np.asarray(water.height_TXY, dtype=np.float64)
    step_x = (water.x1 - water.x0) / (height_TXY.shape[1] - 1)
    step_y = (water.y1 - water.y0) / (height_TXY.shape[2] - 1)
    slope_x, slope_y = np.gradient(height_TXY, step_x, step_y, axis=(1, 2))
    curvature = np.gradient(slope_x, step_x, axis=1) + np.gradient(slope_y, step_y, axis=2)
    return np.stack([height_TXY, slope_x, slope_y, curvature], axis=-1)


def _rotations(quaternion_TB4: Floats) -> Floats:
    """Body-to-world rotation matrices."""
    w, x, y, z = np.moveaxis(quaternion_TB4, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.ascontiguousarray(np.stack([np.stack(row, axis=-1) for row in rows], axis=-2))


def _screen_tiles(bodies_TBK: Floats, eye_T3: Floats, view_T33: Floats, focal: float, height: int, width: int) -> Ints:
    """Tiles in which a body may be seen: those of its projected bounding box (convex, so the corners do)."""
    corner_83 = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], dtype=np.float64)
    frames, bodies = bodies_TBK.shape[:2]
    half_TB3 = bodies_TBK[..., solids.HALF : solids.HALF + 3]
    to_camera_TB33 = view_T33[:, None] @ bodies_TBK[..., solids.ROTATION : solids.ROTATION + 9].reshape(
        frames, bodies, 3, 3
    )
    centre_TB3 = (bodies_TBK[..., solids.CENTRE : solids.CENTRE + 3] - eye_T3[:, None]) @ view_T33.transpose(0, 2, 1)
    camera_TB83 = centre_TB3[:, :, None] + (corner_83 * half_TB3[:, :, None]) @ to_camera_TB33.swapaxes(-1, -2)
    depth_TB8 = camera_TB83[..., 2]
    behind_TB = (depth_TB8 < 1e-3).any(axis=-1)  # a corner behind the eye: give up the bound
    depth_TB8 = np.maximum(depth_TB8, 1e-3)
    column_TB8 = width / 2 + focal * camera_TB83[..., 0] / depth_TB8
    row_TB8 = height / 2 - focal * camera_TB83[..., 1] / depth_TB8
    edges = []
    for position_TB8, size in ((column_TB8, width), (row_TB8, height)):
        low_TB = np.where(behind_TB, 0.0, np.floor(position_TB8.min(axis=-1)))
        high_TB = np.where(behind_TB, size, np.ceil(position_TB8.max(axis=-1)))
        edges.append((np.clip(low_TB, 0, size) // TILE, -(-np.clip(high_TB, 0, size) // TILE)))
    (left, right), (top, bottom) = edges
    return np.stack([left, top, right, bottom], axis=-1).astype(np.int32)


def _sun_cells(bodies_TBK: Floats, count_T: Ints, scenery_TK: Floats) -> Ints:
    """Cells of the sun's picture in which a body may throw its shadow or darken by contact.

    Writes the picture's corner and scale into ``scenery_TK``.
    """
    frames, bodies = bodies_TBK.shape[:2]
    rotation_TB33 = bodies_TBK[..., solids.ROTATION : solids.ROTATION + 9].reshape(frames, bodies, 3, 3)
    axes_23 = scenery_TK[0, stage.SUN_U : stage.SUN_U + 6].reshape(2, 3)
    centre_TB2 = bodies_TBK[..., solids.CENTRE : solids.CENTRE + 3] @ axes_23.T
    extent_TB2 = (np.abs(axes_23 @ rotation_TB33) * bodies_TBK[..., None, solids.HALF : solids.HALF + 3]).sum(axis=-1)
    extent_TB2 = np.minimum(extent_TB2, bodies_TBK[..., solids.RADIUS, None]) + bodies_TBK[..., solids.REACH, None]
    there_TB1 = (np.arange(bodies) < count_T[:, None])[..., None]
    low_T2 = np.where(there_TB1, centre_TB2 - extent_TB2, np.inf).min(axis=1, initial=np.inf)
    high_T2 = np.where(there_TB1, centre_TB2 + extent_TB2, -np.inf).max(axis=1, initial=-np.inf)
    empty_T1 = ~np.isfinite(low_T2).all(axis=1, keepdims=True)
    low_T2, high_T2 = np.where(empty_T1, 0.0, low_T2 - 1e-6), np.where(empty_T1, 1.0, high_T2 + 1e-6)
    scale_T2 = _SUNLIT / (high_T2 - low_T2)
    scenery_TK[:, stage.CELL_U : stage.CELL_U + 2] = low_T2
    scenery_TK[:, stage.CELLS_PER_U : stage.CELLS_PER_U + 2] = scale_T2
    scenery_TK[:, stage.CELLS_ACROSS : stage.CELLS_ACROSS + 2] = _SUNLIT
    first_TB2 = np.floor((centre_TB2 - extent_TB2 - low_T2[:, None]) * scale_T2[:, None] - 1e-6)
    last_TB2 = np.floor((centre_TB2 + extent_TB2 - low_T2[:, None]) * scale_T2[:, None] + 1e-6)
    first_TB2, last_TB2 = np.clip(first_TB2, 0, _SUNLIT), np.clip(last_TB2 + 1, 0, _SUNLIT)
    return np.concatenate([first_TB2, last_TB2], axis=-1).astype(np.int32)

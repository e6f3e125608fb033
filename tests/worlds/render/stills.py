"""Single frames that the tests of the ray tracer share, and the rays that they are made of.

Legend: B bodies, H height, W width, N points, 3 axis or colour channel.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.data import CameraInfo
from kinema.worlds.render import tracer
from kinema.worlds.render.film import focal_length, views
from kinema.worlds.render.tracer import Look

Vec3 = tuple[float, float, float]
Floats = NDArray[np.float64]

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
EYE, TARGET, FOV_DEG = (0.0, -6.0, 2.0), (0.0, 0.0, 0.7), 40.0
CAMERA = CameraInfo(EYE, TARGET, FOV_DEG)


@dataclasses.dataclass(frozen=True)
class Still:
    """One frame of an ``Image``."""

    pixels_HW3: NDArray[np.uint8]
    ids_HW: NDArray[np.int16]
    visible_B: Floats
    depth_HW: NDArray[np.float32]


def unit(*vector: float) -> Floats:
    return np.array(vector) / np.linalg.norm(vector)


def make_look(bodies: list[tuple[int, Vec3]], **changes: Any) -> Look:
    """Matte light grey bodies (kind, half size) on a grey floor."""
    look = Look(
        kind_B=np.array([kind for kind, _ in bodies], dtype=np.int32),
        half_size_B3=np.array([half for _, half in bodies], dtype=np.float64).reshape(-1, 3),
        albedo_B3=np.full((len(bodies), 3), 0.8),
        eye_T3=np.array([EYE]),
        target_T3=np.array([TARGET]),
        vertical_fov_deg=FOV_DEG,
        floor_albedo_3=np.full(3, 0.5),
        sky_top_3=np.array([0.3, 0.5, 0.8]),
        sky_horizon_3=np.array([0.7, 0.8, 0.9]),
        sun_direction_3=unit(-0.5, -0.4, 0.8),
        ambient=0.4,
    )
    return dataclasses.replace(look, **changes)


def seen_from(eye: Vec3, target: Vec3, vertical_fov_deg: float) -> dict[str, Any]:
    """The camera's fields of a ``Look``."""
    return {"eye_T3": np.array([eye]), "target_T3": np.array([target]), "vertical_fov_deg": vertical_fov_deg}


def still(
    look: Look, centres: list[Vec3], side: int = 96, samples: int = 4, turns: Floats | None = None, **options: Any
) -> Still:
    """Renders one square frame, depth included; ``turns`` are quaternions."""
    position_TB3 = np.array(centres, dtype=np.float64).reshape(1, -1, 3)
    turns_B4 = np.tile(np.array(UPRIGHT), (len(centres), 1)) if turns is None else turns
    image = tracer.render(look, position_TB3, turns_B4[None], side, side, samples, depth=True, **options)
    assert image.depth_THW is not None
    return Still(image.pixels_THW3[0], image.ids_THW[0], image.visible_TB[0], image.depth_THW[0])


def linear(pixels: NDArray[np.uint8]) -> Floats:
    """sRGB code → light."""
    code = pixels / 255
    return np.asarray(np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4))


def camera_of(look: Look) -> CameraInfo:
    eye, target = look.eye_T3[0], look.target_T3[0]
    return CameraInfo(tuple(eye.tolist()), tuple(target.tolist()), look.vertical_fov_deg)


def centre_rays(look: Look, side: int) -> tuple[Floats, Floats]:
    """Unit directions through the middles of all pixels, row by row, and their cosine with the view's axis."""
    right_3, up_3, forward_3 = views(look.eye_T3, look.target_T3)[0]
    focal = focal_length(look.vertical_fov_deg, side)
    across_N, down_N = ((np.indices((side, side)).reshape(2, -1)[::-1] + 0.5) - side / 2) / focal
    direction_N3 = forward_3 + across_N[:, None] * right_3 - down_N[:, None] * up_3
    length_N = np.linalg.norm(direction_N3, axis=1)
    return direction_N3 / length_N[:, None], 1 / length_N


def centroid(mask_HW: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean column and row of the marked pixels, pixel centres at .5."""
    rows, columns = np.nonzero(mask_HW)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def redness(pixels_HW3: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How much more red than blue there is."""
    return np.asarray(pixels_HW3[..., 0].astype(np.int64) - pixels_HW3[..., 2])

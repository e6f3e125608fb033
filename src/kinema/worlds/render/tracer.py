"""A small deterministic ray tracer: solids, glass, mirrors, water, cubes and wet paint on a floor under one sun.

Everything is analytic and float64; there is no randomness and no state shared between frames, so the same scene
gives the same bytes whatever the number of threads.
Light is a budget of one: ``ambient`` from the whole sky and ``1 - ambient`` from the sun, so that a surface never
shines brighter than its albedo and only mirror highlights and light gathered by glass or water saturate. This file
holds what a scene looks like; ``film.py`` prepares it, ``rays.py`` follows the light.

Array suffixes: T frames (1 where nothing moves), B bodies (1 where all are equal), P planes, H height, W width,
S samples a pixel, X, Y, Z nodes or cells, K colours, 3 axis or colour channel, 4 quaternion (w, x, y, z) or plane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kinema.data import CameraInfo
from kinema.worlds.render import kernel
from kinema.worlds.render.film import film_of, focal_length, views
from kinema.worlds.render.patterns import CHECKER, DOTS, GRAIN, PLAIN, PLANKS, STRIPES, TILES
from kinema.worlds.render.solids import BOX, CAPSULE, CONE, CONVEX, CYLINDER, SPHERE

# fmt: off
__all__ = [
    "SPHERE", "BOX", "CYLINDER", "CAPSULE", "CONE", "CONVEX",
    "PLAIN", "CHECKER", "STRIPES", "GRAIN", "DOTS", "TILES", "PLANKS",
    "Image", "Look", "PaintLook", "VoxelLook", "WaterLook", "project", "render", "sample_offsets",
]
# fmt: on

Floats = NDArray[np.float64]


def _value(*numbers: float) -> Floats:
    """A default for an array field."""
    return field(default_factory=lambda: np.array(numbers))


@dataclass(frozen=True)
class WaterLook:
    """A basin of water between four walls that stand on the floor; the surface is a height field."""

    x0: float
    x1: float
    y0: float
    y1: float
    level_m: float  # height of the surface at rest; the basin's floor is the floor, z = 0
    height_TXY: Floats  # absolute height of the surface at nodes over the rectangle, edges included
    index: float = 1.33
    tint_3: Floats = _value(0.72, 0.90, 0.94)  # what passes one metre
    wall_albedo_3: Floats = _value(0.62, 0.62, 0.60)
    wall_index: float = 0.0  # 1.5 makes an aquarium; 0 is opaque
    wall_m: float = 0.06  # thickness
    rim_m: float = 0.08  # how far the walls rise above the level
    floor_albedo_3: Floats = _value(0.70, 0.72, 0.70)
    floor_accent_3: Floats = _value(0.30, 0.42, 0.48)
    floor_pattern: int = TILES
    floor_scale_m: float = 0.25


@dataclass(frozen=True)
class PaintLook:
    """Wet paint on the floor that stays."""

    x0: float
    x1: float
    y0: float
    y1: float
    time_XY: Floats  # frame from which a cell of the rectangle bears paint; inf is never
    color_3: Floats


@dataclass(frozen=True)
class VoxelLook:
    """A world of cubes."""

    origin_3: Floats  # corner of cell (0, 0, 0)
    cell_m: float
    grid_TXYZ: NDArray[np.uint8]  # 0 is empty, k has the colour palette_K3[k]
    palette_K3: Floats


@dataclass(frozen=True)
class Look:
    """Everything about a scene but poses. Colours are linear RGB in [0, 1], lengths metres, axes the body's own."""

    kind_B: NDArray[np.int32]  # SPHERE, BOX, CYLINDER, CAPSULE, CONE or CONVEX
    half_size_B3: Floats
    """Sphere (r, r, r); box half extents; cylinder (r, r, half height) along z; capsule the same with its caps; cone
    (base radius, base radius, half height) with the apex at +z; convex the half extents of a box around it."""
    albedo_B3: Floats
    eye_T3: Floats
    target_T3: Floats
    vertical_fov_deg: float
    planes_P4: Floats = field(default_factory=lambda: np.zeros((0, 4)))  # inside is (x, y, z) · p ≤ d; unit normals
    plane_range_B2: NDArray[np.int32] = field(default_factory=lambda: np.zeros((1, 2), np.int32))  # of a CONVEX body
    accent_B3: Floats = field(default_factory=lambda: np.zeros((1, 3)))  # second colour of a pattern
    pattern_B: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))  # PLAIN … DOTS
    pattern_scale_B: Floats = _value(0.3)  # metres a period
    gloss_B: Floats = _value(0.0)  # mirror reflectance at normal incidence; 0 is matte
    metallic_B: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))  # mirrors in its own colour
    index_B: Floats = _value(0.0)  # refractive index, 0 is opaque; glass (1.5) passes its albedo per half metre
    floor_albedo_3: Floats = _value(0.36, 0.36, 0.37)
    floor_accent_3: Floats = _value(0.18, 0.18, 0.19)
    floor_pattern: int = PLAIN  # PLAIN, CHECKER, STRIPES, TILES or PLANKS
    floor_scale_m: float = 1.0
    sky_top_3: Floats = _value(0.52, 0.62, 0.72)
    sky_horizon_3: Floats = _value(0.74, 0.80, 0.85)
    sun_direction_3: Floats = _value(-0.48, -0.36, 0.8)  # unit vector towards the sun
    sun_color_3: Floats = _value(1.0, 1.0, 1.0)
    sky_light_3: Floats = _value(1.0, 1.0, 1.0)  # colour of the ambient light
    ambient: float = 0.45  # share of the light that comes from the sky
    water: WaterLook | None = None
    paint: PaintLook | None = None
    voxels: VoxelLook | None = None


@dataclass(frozen=True)
class Image:
    """What a clip shows."""

    pixels_THW3: NDArray[np.uint8]  # sRGB
    ids_THW: NDArray[np.int16]
    """Index of the body that most samples of the pixel meet first, looking through water; −1 is scenery. A glass body
    keeps its own index; cubes of a voxel world are scenery."""
    visible_TB: Floats
    """Share of the frame's samples that see each body, directly, through water, or as the first opaque thing behind
    glass; a pane and the ball behind it both count."""
    depth_THW: NDArray[np.float32] | None  # metres along the view's axis at the pixel's middle; inf for the sky


def render(
    look: Look,
    position_TB3: Floats,
    orientation_TB4: Floats,
    height: int,
    width: int,
    samples_per_pixel: int = 4,
    shown_TB: NDArray[np.bool_] | None = None,
    depth: bool = False,
    device: str = "cpu",
) -> Image:
    """Renders a clip.

    Args:
        look: shapes, colours, light and cameras.
        position_TB3: centres of the bodies in metres.
        orientation_TB4: unit quaternions (w, x, y, z), body to world.
        height: pixels.
        width: pixels.
        samples_per_pixel: rays a pixel, on a fixed sub-pixel grid.
        shown_TB: which bodies exist in each frame; the others are not drawn and cast no shadow.
        depth: whether to measure depth as well.
        device: ``cpu`` (all threads of numba) or ``cuda``.
    """
    frames, bodies = position_TB3.shape[:2]
    assert bodies == len(look.kind_B)
    assert orientation_TB4.shape == (frames, bodies, 4)
    shown_TB = np.ones((frames, bodies), bool) if shown_TB is None else shown_TB
    film = film_of(look, position_TB3, orientation_TB4, shown_TB, height, width, sample_offsets(samples_per_pixel))
    pixels_THW3 = np.empty((frames, height, width, 3), dtype=np.uint8)
    ids_THW = np.empty((frames, height, width), dtype=np.int16)
    depth_THW = np.empty((frames, height, width) if depth else (0, 0, 0), dtype=np.float32)
    seen_TB = np.zeros((frames, bodies), dtype=np.int32)
    if device == "cuda":
        from kinema.worlds.render import cuda

        cuda.render_frames(film, pixels_THW3, ids_THW, depth_THW, seen_TB)
    else:
        kernel.render_frames(film, pixels_THW3, ids_THW, depth_THW, seen_TB)
    visible_TB = seen_TB / (height * width * samples_per_pixel)
    return Image(pixels_THW3, ids_THW, visible_TB, depth_THW if depth else None)


def sample_offsets(samples: int) -> Floats:
    """Positions of the samples within a pixel, in [0, 1)²: the centre, a rotated grid of 4, or a golden lattice."""
    index = np.arange(samples)
    across = (index + 0.5) / samples
    if samples == 4:
        return np.stack([across, np.array([5, 1, 7, 3]) / 8], axis=1)
    return np.stack([across, (0.5 + index * (math.sqrt(5) - 1) / 2) % 1.0], axis=1)


def project(camera: CameraInfo, points_N3: Floats, height: int, width: int) -> Floats:
    """Pinhole projection of world points: ``(column, row, depth in metres)`` per point; pixel centres lie at .5."""
    eye_3 = np.array(camera.position_m, dtype=np.float64)
    view_33 = views(eye_3[None], np.array(camera.target_m, dtype=np.float64)[None])[0]
    focal = focal_length(camera.vertical_fov_deg, height)
    across_N, up_N, depth_N = ((points_N3 - eye_3) @ view_33.T).T
    return np.stack([width / 2 + focal * across_N / depth_N, height / 2 - focal * up_N / depth_N, depth_N], axis=1)

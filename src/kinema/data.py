"""What travels through the house: a clip, its caption and its exact state. Imports nothing but numpy.

Array suffixes: T frames, B bodies, H height, W width, S moments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Beat:
    """One line of the time-aligned narration: what happens between two moments."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Caption:
    """A clip in words: long and descriptive, short as a person would type it, and moment by moment."""

    summary: str
    short: str
    beats: tuple[Beat, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that happens at a moment, with the indices of the bodies that take part (-1 is the scenery)."""

    time_s: float
    kind: str  # contact, launch, hidden, reappears, shatters, topples, splash …; docs/worlds.md lists all
    bodies: tuple[int, ...] = ()
    value: float = 0.0  # impulse in N·s for contacts, speed in m/s for splashes, pieces for shatters, else 0


@dataclass(frozen=True)
class BodyInfo:
    """What a body is; ``half_size_m`` holds half its extents along its own axes."""

    shape: str
    color: str
    material: str
    size: str
    half_size_m: tuple[float, float, float]
    mass_kg: float
    part_of: int = -1  # index of the broken body that this is a piece of; -1 for whole bodies


@dataclass(frozen=True)
class CameraInfo:
    """A pinhole camera in world coordinates (x right, y away from the viewer, z up; metres)."""

    position_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    vertical_fov_deg: float


@dataclass(frozen=True)
class WaterState:
    """Water in a rectangular basin: the height of its surface above the floor on a grid, at every frame."""

    x_m: tuple[float, float]  # the basin's extent
    y_m: tuple[float, float]
    level_m: float  # of the water at rest; the basin's floor is at 0
    height_TXY: NDArray[np.float32]  # metres; grid points include the edges


@dataclass(frozen=True)
class PaintState:
    """A stroke of paint on the floor: when each cell of a rectangle was painted."""

    x_m: tuple[float, float]  # the rectangle's extent; cells are equal and begin at its edges
    y_m: tuple[float, float]
    color: str
    time_XY: NDArray[np.float32]  # seconds; inf where there is never any


@dataclass(frozen=True)
class VoxelState:
    """A world of cubes, for every frame."""

    origin_m: tuple[float, float, float]  # the corner of the first cube
    cell_m: float
    names: tuple[str, ...]  # of the kinds of cubes
    grid_TXYZ: NDArray[np.uint8]  # 0 is empty, k is of kind names[k - 1]


@dataclass(frozen=True)
class WorldState:
    """The exact truth beside the pixels. Units are SI; orientations are unit quaternions (w, x, y, z)."""

    bodies: tuple[BodyInfo, ...]
    camera: CameraInfo  # at the first frame
    camera_eye_T3: NDArray[np.float64]
    camera_target_T3: NDArray[np.float64]
    position_TB3: NDArray[np.float64]
    orientation_TB4: NDArray[np.float64]
    velocity_TB3: NDArray[np.float64]
    angular_velocity_TB3: NDArray[np.float64]
    visible_TB: NDArray[np.float64]  # share of the frame's pixels that show each body
    shown_TB: NDArray[np.bool_]  # whether the body exists: pieces do only after the break, the whole only before
    events: tuple[Event, ...]
    water: WaterState | None = None
    paint: PaintState | None = None
    voxels: VoxelState | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # family-specific truth, for example the floor's colour


@dataclass(frozen=True)
class Source:
    """Where a clip comes from. A world clip is fully named by family, seed and version."""

    family: str
    seed: int
    version: int


@dataclass(frozen=True)
class Tracks:
    """Where the bodies of a clip are seen: a box around the visible pixels of each, at a few moments."""

    colors: tuple[str, ...]  # of the bodies; ``clear`` for what light passes unchanged
    shapes: tuple[str, ...]
    box_SB4: NDArray[np.float32]  # left, top, right, bottom as shares of the picture; NaN where nothing is seen


@dataclass(frozen=True)
class Clip:
    """Pixels with words and, for world clips, exact state and tracks."""

    pixels_THW3: NDArray[np.uint8]
    fps: float
    caption: Caption
    source: Source
    state: WorldState | None = None
    tracks: Tracks | None = None

"""One frame as the rays see it: arrays of numbers, the same on CPU and GPU.

Array suffixes: B bodies, K columns of a body's row or colours, P planes, C cells, N list entries, X, Y, Z cells or
nodes, 3 axis or colour channel, 4 plane or channel of the water's surface.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

# Entries of the scenery vector, one vector a frame.
FLOOR, FLOOR_ACCENT, FLOOR_PATTERN, FLOOR_PERIOD = 0, 3, 6, 7
TOP, HORIZON, SUN, SUNLIGHT, SKYLIGHT = 8, 11, 14, 17, 20
EYE, RIGHT, UP, FORWARD, FOCAL, NEAR_END, FAR_END, FRAME = 23, 26, 29, 32, 35, 36, 37, 38
SUN_U, SUN_V, CELL_U, CELL_V, CELLS_PER_U, CELLS_PER_V, CELLS_ACROSS, CELLS_DOWN = 39, 42, 45, 46, 47, 48, 49, 50
WATER_X0, WATER_X1, WATER_Y0, WATER_Y1, WATER_LOW, WATER_HIGH, WATER_INDEX = 51, 52, 53, 54, 55, 56, 57
WATER_TINT, WATER_SUN, BASIN_FLOOR, BASIN_ACCENT, BASIN_PATTERN, BASIN_PERIOD = 58, 61, 64, 67, 70, 71
PAINT_X0, PAINT_X1, PAINT_Y0, PAINT_Y1, PAINT = 72, 73, 74, 75, 76
VOXEL_ORIGIN, VOXEL_CELL = 79, 82
ENTRIES = 83


class World(NamedTuple):
    """One frame as the rays see it."""

    bodies_BK: Floats  # see solids.py
    planes_P4: Floats
    scenery: Floats  # see above
    bodies: int  # bodies that are there
    screen_N: Ints  # bodies by tile of the screen
    sunlit_C: Ints  # where the lists of the cells seen from the sun begin
    sunlit_N: Ints
    surface_XY4: Floats  # see water_rays.py
    paint_XY: Floats  # frame at which a cell of the floor was painted
    voxels_XYZ: NDArray[np.uint8]
    palette_K3: Floats  # colours of voxels

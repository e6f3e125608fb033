"""A world of cubes: which filled cell of a grid a ray meets first (Amanatides and Woo 1987).

Array suffixes: X, Y, Z cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.render.compiled import device, rare

Cells = NDArray[np.uint8]

_FAR = 1e30
_CREASE = 0.45  # share of the light that a neighbouring cube takes away in the corner
_SEAM, _SEAM_SHADE = 0.04, 0.78  # width of the dark line around a face in cells, and how dark it is


@rare
def first_voxel(
    voxels_XYZ: Cells,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    limit: float,
) -> tuple[float, int, int]:
    """Distance to the first filled cell, the axis of the face (0 to 2) and the colour's number; 1e30 if there is none.

    The ray is in cell units: the grid fills [0, X] × [0, Y] × [0, Z], and distances are in units of its direction.
    """
    size_x, size_y, size_z = voxels_XYZ.shape
    enter, leave, axis = 0.0, limit, 2
    for k, origin, direction, size in ((0, ox, dx, size_x), (1, oy, dy, size_y), (2, oz, dz, size_z)):
        if abs(direction) < 1e-12:
            if origin < 0.0 or origin > size:
                return _FAR, 0, 0
        else:
            a, b = -origin / direction, (size - origin) / direction
            if min(a, b) > enter:
                enter, axis = min(a, b), k
            leave = min(leave, max(a, b))
    if enter > leave:
        return _FAR, 0, 0
    i = min(max(int(math.floor(ox + enter * dx)), 0), size_x - 1)
    j = min(max(int(math.floor(oy + enter * dy)), 0), size_y - 1)
    k = min(max(int(math.floor(oz + enter * dz)), 0), size_z - 1)
    step_x, step_y, step_z = abs(1.0 / dx) if dx != 0.0 else _FAR, abs(1.0 / dy) if dy != 0.0 else _FAR, _FAR
    if dz != 0.0:
        step_z = abs(1.0 / dz)
    next_x = ((i + 1 if dx > 0.0 else i) - ox) / dx if dx != 0.0 else _FAR
    next_y = ((j + 1 if dy > 0.0 else j) - oy) / dy if dy != 0.0 else _FAR
    next_z = ((k + 1 if dz > 0.0 else k) - oz) / dz if dz != 0.0 else _FAR
    t = enter
    while t <= leave:
        if voxels_XYZ[i, j, k] > 0:
            return t, axis, int(voxels_XYZ[i, j, k])
        if next_x <= next_y and next_x <= next_z:
            t, axis = next_x, 0
            i += 1 if dx > 0.0 else -1
            next_x += step_x
        elif next_y <= next_z:
            t, axis = next_y, 1
            j += 1 if dy > 0.0 else -1
            next_y += step_y
        else:
            t, axis = next_z, 2
            k += 1 if dz > 0.0 else -1
            next_z += step_z
        if i < 0 or j < 0 or k < 0 or i >= size_x or j >= size_y or k >= size_z:
            return _FAR, 0, 0
    return _FAR, 0, 0


@device
def _filled(voxels_XYZ: Cells, i: int, j: int, k: int) -> bool:
    """Whether a cell of the grid is filled; outside is empty."""
    if i < 0 or j < 0 or k < 0 or i >= voxels_XYZ.shape[0] or j >= voxels_XYZ.shape[1] or k >= voxels_XYZ.shape[2]:
        return False
    return bool(voxels_XYZ[i, j, k] > 0)


@rare
def crease(voxels_XYZ: Cells, axis: int, out: float, x: float, y: float, z: float) -> tuple[float, float]:
    """Skylight that reaches a point of a face beside its neighbours, and the shade of the seam around the face."""
    px, py, pz = x, y, z
    if axis == 0:
        px += 0.5 * out
    elif axis == 1:
        py += 0.5 * out
    else:
        pz += 0.5 * out
    i, j, k = int(math.floor(px)), int(math.floor(py)), int(math.floor(pz))
    u, v = (y - j, z - k) if axis == 0 else ((x - i, z - k) if axis == 1 else (x - i, y - j))
    darkest = 0.0
    for a in range(-1, 2):
        for b in range(-1, 2):
            if a == 0 and b == 0:
                continue
            beside = _filled(voxels_XYZ, i, j + a, k + b) if axis == 0 else False
            if axis == 1:
                beside = _filled(voxels_XYZ, i + a, j, k + b)
            elif axis == 2:
                beside = _filled(voxels_XYZ, i + a, j + b, k)
            if beside:
                across = 1.0 - u if a == 1 else (u if a == -1 else 0.0)
                along = 1.0 - v if b == 1 else (v if b == -1 else 0.0)
                darkest = max(darkest, 1.0 - math.sqrt(across * across + along * along))
    edge = min(min(u, 1.0 - u), min(v, 1.0 - v))
    return 1.0 - _CREASE * darkest * darkest, (_SEAM_SHADE if edge < _SEAM else 1.0)

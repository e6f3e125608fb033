"""Water in a basin: where a ray crosses a height field, which way the surface faces, how it gathers the sun.

The surface is bilinear between the nodes of a grid over the basin's rectangle; along a ray it is quadratic in every
cell, so that crossings are exact. Normals are interpolated from slopes at the nodes, so that reflections are smooth.

Array suffixes: X, Y nodes of the grid, 4 channels of a node (height, slope along x, slope along y, curvature).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.render.compiled import device, rare

Floats = NDArray[np.float64]

HEIGHT, SLOPE_X, SLOPE_Y, CURVATURE = range(4)
_FAR = 1e30
_START = 1e-6  # metres; a ray that begins on the surface does not cross it there


@device
def _cell(position: float, nodes: int) -> tuple[int, float]:
    """The cell and the share within it of a position in grid units, held inside the grid."""
    position = min(max(position, 0.0), nodes - 1.0)
    index = min(int(position), nodes - 2)
    return index, position - index


@rare
def surface(surface_XY4: Floats, channel: int, x0: float, x1: float, y0: float, y1: float, x: float, y: float) -> float:
    """A channel of the surface above a point, bilinear."""
    i, u = _cell((x - x0) / (x1 - x0) * (surface_XY4.shape[0] - 1), surface_XY4.shape[0])
    j, v = _cell((y - y0) / (y1 - y0) * (surface_XY4.shape[1] - 1), surface_XY4.shape[1])
    low = surface_XY4[i, j, channel] * (1.0 - u) + surface_XY4[i + 1, j, channel] * u
    high = surface_XY4[i, j + 1, channel] * (1.0 - u) + surface_XY4[i + 1, j + 1, channel] * u
    return float(low * (1.0 - v) + high * v)


@device
def _first_root(at_start: float, at_half: float, at_end: float) -> float:
    """Where the parabola through three equally spaced values first falls below zero in [0, 1], else 2."""
    if at_start < 0.0:
        return 0.0
    a = 2.0 * (at_start + at_end) - 4.0 * at_half
    half_b = 0.5 * (at_end - at_start - a)
    discriminant = half_b * half_b - a * at_start
    if discriminant < 0.0:
        return 2.0
    root = math.sqrt(discriminant)
    down = at_start / (root - half_b) if root > half_b else 2.0  # the root at which the parabola falls
    return down if 0.0 <= down <= 1.0 else 2.0


@rare
def crossing(
    surface_XY4: Floats,
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    lowest: float,
    highest: float,
    side: float,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> float:
    """Distance at which a ray crosses the surface from above (``side`` 1) or from below (−1), or 1e30."""
    start, end = _START, _FAR
    for origin, direction, low, high in (
        (ox, dx, x0, x1),
        (oy, dy, y0, y1),
        (oz, dz, lowest - _START, highest + _START),
    ):
        if abs(direction) < 1e-12:
            if origin < low or origin > high:
                return _FAR
        else:
            a, b = (low - origin) / direction, (high - origin) / direction
            start, end = max(start, min(a, b)), min(end, max(a, b))
    if start > end:
        return _FAR
    columns, rows = surface_XY4.shape[0] - 1, surface_XY4.shape[1] - 1
    # Grid units, cell by cell (Amanatides and Woo 1987).
    gx, gy = (ox - x0) / (x1 - x0) * columns, (oy - y0) / (y1 - y0) * rows
    sx, sy = dx / (x1 - x0) * columns, dy / (y1 - y0) * rows
    i, _ = _cell(gx + start * sx, columns + 1)
    j, _ = _cell(gy + start * sy, rows + 1)
    t = start
    for _ in range(columns + rows + 2):
        leave_x = ((i + 1 if sx > 0.0 else i) - gx) / sx if abs(sx) > 1e-12 else _FAR
        leave_y = ((j + 1 if sy > 0.0 else j) - gy) / sy if abs(sy) > 1e-12 else _FAR
        leave = max(min(leave_x, leave_y, end), t)
        above_start = _above(surface_XY4, i, j, gx + t * sx - i, gy + t * sy - j, oz + t * dz)
        half = 0.5 * (t + leave)
        above_half = _above(surface_XY4, i, j, gx + half * sx - i, gy + half * sy - j, oz + half * dz)
        above_end = _above(surface_XY4, i, j, gx + leave * sx - i, gy + leave * sy - j, oz + leave * dz)
        root = _first_root(side * above_start, side * above_half, side * above_end)
        if root <= 1.0:
            return t + root * (leave - t)
        if leave >= end:
            return _FAR
        if leave_x < leave_y:
            i += 1 if sx > 0.0 else -1
        else:
            j += 1 if sy > 0.0 else -1
        if i < 0 or j < 0 or i >= columns or j >= rows:
            return _FAR
        t = leave
    return _FAR


@device
def _above(surface_XY4: Floats, i: int, j: int, u: float, v: float, z: float) -> float:
    """Height above the bilinear patch of a cell."""
    low = surface_XY4[i, j, HEIGHT] * (1.0 - u) + surface_XY4[i + 1, j, HEIGHT] * u
    high = surface_XY4[i, j + 1, HEIGHT] * (1.0 - u) + surface_XY4[i + 1, j + 1, HEIGHT] * u
    return z - float(low * (1.0 - v) + high * v)


@device
def gathered(curvature: float, depth: float, index: float) -> float:
    """Brightness of sunlight below a curved surface: crests gather it, troughs spread it (first order)."""
    width = 1.0 + depth * (1.0 - 1.0 / index) * curvature
    return min(1.0 / max(width, 0.4), 2.0)

"""Which bodies may be met where: lists of bodies for the cells of a grid, on the screen and as seen from the sun.

Array suffixes: T frames, B bodies, C cells (row by row), N entries of all lists, 4 rectangle of cells (left, top,
right, bottom; right and bottom are past the end).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]


def lists_of(rectangle_TB4: Ints, count_T: Ints, columns: int, rows: int) -> tuple[Ints, Ints]:
    """Bodies per cell.

    Args:
        rectangle_TB4: the cells that each body may be met in.
        count_T: how many bodies there are in each frame; later rows are ignored.
        columns: cells across.
        rows: cells down.

    Returns:
        ``start_TC``, with one entry more than cells, and ``bodies_N``: cell ``c`` of frame ``t`` holds
        ``bodies_N[start_TC[t, c] : start_TC[t, c + 1]]``, in ascending order.
    """
    start_TC = np.zeros((len(count_T), columns * rows + 1), dtype=np.int32)
    total = int(_count(rectangle_TB4, count_T, columns, start_TC))
    bodies_N = np.empty(max(total, 1), dtype=np.int32)
    _fill(rectangle_TB4, count_T, columns, start_TC, bodies_N)
    return start_TC, bodies_N


@njit(cache=True)
def _count(rectangle_TB4: Ints, count_T: Ints, columns: int, start_TC: Ints) -> int:
    """Sets where each list begins; returns the length of all."""
    total = 0
    frames, cells = start_TC.shape[0], start_TC.shape[1] - 1
    length_C = np.empty(cells, dtype=np.int32)
    for frame in range(frames):
        length_C[:] = 0
        for b in range(count_T[frame]):
            left, top, right, bottom = rectangle_TB4[frame, b]
            for row in range(top, bottom):
                for column in range(left, right):
                    length_C[row * columns + column] += 1
        for cell in range(cells):
            start_TC[frame, cell] = total
            total += length_C[cell]
        start_TC[frame, cells] = total
    return total


@njit(cache=True)
def _fill(rectangle_TB4: Ints, count_T: Ints, columns: int, start_TC: Ints, bodies_N: Ints) -> None:
    """Writes the lists."""
    frames, cells = start_TC.shape[0], start_TC.shape[1] - 1
    next_C = np.empty(cells, dtype=np.int32)
    for frame in range(frames):
        next_C[:] = start_TC[frame, :cells]
        for b in range(count_T[frame]):
            left, top, right, bottom = rectangle_TB4[frame, b]
            for row in range(top, bottom):
                for column in range(left, right):
                    bodies_N[next_C[row * columns + column]] = b
                    next_C[row * columns + column] += 1

"""From rays to pixels: every pixel of every frame on the CPU's threads, and what the CUDA kernel shares with it.

Array suffixes: T frames, B bodies, K columns of a body's row, C cells, N list entries, H height, W width, S samples a
pixel, R rows of tiles of all frames, X, Y, Z nodes or cells, 2 position, 3 colour channel, 4 see ``World``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

from kinema.worlds.render.compiled import REVISION, device, kernel
from kinema.worlds.render.rays import follow
from kinema.worlds.render.solids import FAR
from kinema.worlds.render.stage import FOCAL, FORWARD, RIGHT, UP, Floats, Ints, World

Codes = NDArray[np.uint8]
Ids = NDArray[np.int16]
Depths = NDArray[np.float32]

TILE = 8  # pixels; the pixels of a tile share a list of bodies
_SHARES = 4  # pieces of work for each thread, so that all end at about the same time
ENCODE_STEPS = 8192  # resolution of the table that encodes linear light
"""The share of light that one step of the table stands for is 1 / ENCODE_STEPS."""


class Film(NamedTuple):
    """All frames as the kernels see them; see ``World`` for one."""

    bodies_TBK: Floats
    planes_P4: Floats
    scenery_TK: Floats
    count_T: Ints
    screen_TC: Ints
    screen_N: Ints
    sunlit_TC: Ints
    sunlit_N: Ints
    surface_TXY4: Floats
    paint_XY: Floats
    voxels_TXYZ: NDArray[np.uint8]
    palette_K3: Floats
    offset_S2: Floats
    srgb: NDArray[np.uint8]


@device
def world_of(film: Film, frame: int) -> World:
    """One frame; water and voxels may have a single one for all."""
    return World(
        film.bodies_TBK[frame],
        film.planes_P4,
        film.scenery_TK[frame],
        film.count_T[frame],
        film.screen_N,
        film.sunlit_TC[frame],
        film.sunlit_N,
        film.surface_TXY4[min(frame, film.surface_TXY4.shape[0] - 1)],
        film.paint_XY,
        film.voxels_TXYZ[min(frame, film.voxels_TXYZ.shape[0] - 1)],
        film.palette_K3,
    )


@device
def see(world: World, start: int, past: int, across: float, down: float) -> tuple[float, float, float, int, int, float]:
    """Follows the ray through a point of the picture, in pixels from its middle; depth is along the view's axis."""
    scenery = world.scenery
    across, up = across / scenery[FOCAL], -down / scenery[FOCAL]
    dx = scenery[FORWARD] + across * scenery[RIGHT] + up * scenery[UP]
    dy = scenery[FORWARD + 1] + across * scenery[RIGHT + 1] + up * scenery[UP + 1]
    dz = scenery[FORWARD + 2] + across * scenery[RIGHT + 2] + up * scenery[UP + 2]
    scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
    red, green, blue, first, behind, t = follow(world, start, past, dx * scale, dy * scale, dz * scale)
    depth = t * scale if t < FAR else math.inf
    return min(red, 1.0), min(green, 1.0), min(blue, 1.0), first, behind, depth


@device
def sample_point(film: Film, s: int) -> tuple[float, float]:
    """Where sample ``s`` lies within a pixel; the one after the last, for depth, is the middle."""
    if s == film.offset_S2.shape[0]:
        return 0.5, 0.5
    return film.offset_S2[s, 0], film.offset_S2[s, 1]


@device
def vote(winner: int, votes: int, body: int) -> tuple[int, int]:
    """One vote of a majority (Boyer and Moore 1981)."""
    if votes == 0:
        return body, 1
    return winner, (votes + 1 if body == winner else votes - 1)


@device
def code(film: Film, light: float) -> int:
    """Entry of the table for light that ``offset_S2`` samples have added up."""
    return int(light * (ENCODE_STEPS / film.offset_S2.shape[0]) + 0.5)


def _kernel_of(revision: int) -> Callable[[Film, int, int, Codes, Ids, Depths, Ints], int]:
    """Builds the kernel; what it closes over is part of the key under which numba caches it."""

    @kernel
    def render_rows(
        film: Film, first: int, past: int, pixels_THW3: Codes, ids_THW: Ids, depth_THW: Depths, seen_RB: Ints
    ) -> int:
        """Fills the rows of tiles ``first`` to ``past`` (counted through all frames), one thread's share of the work.

        Depth is left out if its array is empty; ``seen_RB`` counts the samples that see a body, per row of tiles.
        """
        height, width = ids_THW.shape[1:]
        down, across = (height + TILE - 1) // TILE, (width + TILE - 1) // TILE
        samples = film.offset_S2.shape[0]
        for tiles in range(first, past):
            frame, top = tiles // down, tiles % down
            world = world_of(film, frame)
            for row in range(top * TILE, min(top * TILE + TILE, height)):
                for column in range(width):
                    cell = top * across + column // TILE
                    start, end = film.screen_TC[frame, cell], film.screen_TC[frame, cell + 1]
                    red, green, blue = 0.0, 0.0, 0.0
                    winner, votes = -1, 0
                    for s in range(samples + (1 if depth_THW.shape[0] > 0 else 0)):
                        x, y = sample_point(film, s)
                        x, y = x + column - 0.5 * width, y + row - 0.5 * height
                        r, g, b, body, behind, t = see(world, start, end, x, y)
                        if s == samples:
                            depth_THW[frame, row, column] = t
                            break
                        red, green, blue = red + r, green + g, blue + b
                        winner, votes = vote(winner, votes, body)
                        if body >= 0:
                            seen_RB[tiles, body] += 1
                        if behind >= 0:
                            seen_RB[tiles, behind] += 1
                    ids_THW[frame, row, column] = winner
                    pixels_THW3[frame, row, column, 0] = film.srgb[code(film, red)]
                    pixels_THW3[frame, row, column, 1] = film.srgb[code(film, green)]
                    pixels_THW3[frame, row, column, 2] = film.srgb[code(film, blue)]
        return revision

    return render_rows


render_rows = _kernel_of(REVISION)


def render_frames(film: Film, pixels_THW3: Codes, ids_THW: Ids, depth_THW: Depths, seen_TB: Ints) -> None:
    """Fills pixels, ids and depth (unless it is empty), and counts the samples that see each body.

    The work is shared among ``numba.get_num_threads()`` threads; nothing depends on how many there are.
    """
    frames, height, _ = ids_THW.shape
    down = -(-height // TILE)
    seen_RB = np.zeros((frames * down, seen_TB.shape[1]), dtype=np.int32)
    threads = get_num_threads()
    edges = np.linspace(0, frames * down, _SHARES * threads + 1).astype(int).tolist()
    outputs = (pixels_THW3, ids_THW, depth_THW, seen_RB)
    if threads == 1:
        render_rows(film, 0, frames * down, *outputs)
    else:
        with ThreadPoolExecutor(threads) as pool:  # one a call: threads do not survive the fork of a process pool
            list(pool.map(lambda first, past: render_rows(film, first, past, *outputs), edges[:-1], edges[1:]))
    seen_TB += seen_RB.reshape(frames, down, -1).sum(axis=1, dtype=np.int32)

"""The ray tracer on a CUDA GPU: one thread a pixel runs the functions that the CPU's threads run.

Array suffixes as in ``kernel.py``.
"""

from __future__ import annotations

from typing import Any

import numba.cuda
import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.worlds.render.kernel import TILE, Codes, Depths, Film, Ids, code, sample_point, see, vote, world_of
from kinema.worlds.render.stage import Ints

cuda: Any = numba.cuda  # untyped
config: Any = numba.config
_BLOCK = (8, 8, 1)  # threads: neighbours on the screen, which meet the same bodies

# NumPy 2.5 has dropped a name that numba-cuda 0.30 looks up when it compiles its first kernel.
vars(np).setdefault("row_stack", np.vstack)


def _render_pixel(
    film: Film, pixels_THW3: Codes, ids_THW: Ids, depth_THW: Depths, seen_TB: Ints, with_depth: bool
) -> None:
    """One thread: one pixel of one frame."""
    column, row, frame = cuda.grid(3)
    frames, height, width = ids_THW.shape
    if frame >= frames or row >= height or column >= width:
        return
    world = world_of(film, frame)
    cell = row // TILE * ((width + TILE - 1) // TILE) + column // TILE
    start, end = film.screen_TC[frame, cell], film.screen_TC[frame, cell + 1]
    red, green, blue = 0.0, 0.0, 0.0
    winner, votes = -1, 0
    samples = film.offset_S2.shape[0]
    for s in range(samples + (1 if with_depth else 0)):
        x, y = sample_point(film, s)
        x, y = x + column - 0.5 * width, y + row - 0.5 * height
        r, g, b, body, behind, t = see(world, start, end, x, y)
        if s == samples:
            depth_THW[frame, row, column] = t
            break
        red, green, blue = red + r, green + g, blue + b
        winner, votes = vote(winner, votes, body)
        if body >= 0:
            cuda.atomic.add(seen_TB, (frame, body), 1)
        if behind >= 0:
            cuda.atomic.add(seen_TB, (frame, behind), 1)
    ids_THW[frame, row, column] = winner
    pixels_THW3[frame, row, column, 0] = film.srgb[code(film, red)]
    pixels_THW3[frame, row, column, 1] = film.srgb[code(film, green)]
    pixels_THW3[frame, row, column, 2] = film.srgb[code(film, blue)]


_kernel = cuda.jit(_render_pixel)


def render_frames(film: Film, pixels_THW3: Codes, ids_THW: Ids, depth_THW: Depths, seen_TB: Ints) -> None:
    """Fills pixels, ids and depth (unless it is empty), and counts the samples that see each body.

    Raises:
        InputError: there is no GPU that numba can use, or numba is without numba-cuda.
    """
    if not cuda.is_available():
        raise InputError("no CUDA device for the ray tracer: use device='cpu'")
    if cuda.implementation == "Built-in" and not config.ENABLE_CUDASIM:  # cannot compile max() of two numbers
        raise InputError("the ray tracer needs numba-cuda on a GPU: pip install 'kinema[cuda]'")
    frames, height, width = ids_THW.shape
    arrays: tuple[NDArray[Any], ...] = (pixels_THW3, ids_THW, depth_THW, seen_TB)
    copies = [cuda.to_device(_never_empty(array)) for array in arrays]
    on_gpu = Film(*(cuda.to_device(_never_empty(array)) for array in film))
    blocks = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), frames)
    _kernel[blocks, _BLOCK](on_gpu, *copies, depth_THW.size > 0)
    for array, copy in zip(arrays, copies, strict=True):
        if array.size:
            copy.copy_to_host(array)


def _never_empty(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or one of zeros where it has no elements: a GPU has no empty memory."""
    return array if array.size else np.zeros([max(size, 1) for size in array.shape], array.dtype)

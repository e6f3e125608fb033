"""What a clip shows, read off its pixels alone: which colours, how many bodies, where they go.

Bodies of the worlds have one of eight saturated colours before neutral scenery, and two bodies of a clip never share
a colour. So a pixel is judged by its chromaticity (linear light divided by its sum), which shading leaves alone;
gloss and blurred edges mix it with white, which moves it along a straight line. A colour class is therefore a line
from the pure colour towards white, and the scenery is one line from bluish sky over white to brown.

Array suffixes: T frames, H height, W width, C colour classes, N points, 2 chromaticity or (row, column).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinema.worlds import palette

COLORS = tuple(palette.COLORS)

MIN_AREA = 0.004  # share of the frame below which a piece is not a body: 16 pixels of 64×64
MIN_PIECE = 0.35  # a second piece of a colour counts as a body from this share of the largest on
PRESENT_FRAMES = 4  # a colour is there when it is seen in so many frames
COUNT_FRAMES = 6  # bodies are counted in so many first frames

_SCENERY = 0.05  # scenery, blurred and tinted by what is around it, keeps to this distance from its line
_PURE = 0.4  # a body shows its colour at this share of its full saturation …
_PURE_SHARE = 0.25  # … on this share of its pixels; paler pieces are reflections on a body of another colour
_PALEST = 0.15  # gloss and blur mix a body's colour with white until this distance from white is left
_DARKEST = 0.01  # below this linear light chromaticity is noise
_SKY = (0.50, 0.62, 0.74)  # the bluest scenery; the brownest is brown
_TABLE_BITS = 6  # of each channel


@dataclass(frozen=True)
class Track:
    """A body through the clip: the largest piece of one colour in every frame.

    ``mask_THW`` is empty, ``area_T`` 0 and ``centre_T2`` nan where it is not seen; ``pieces_T`` counts the pieces that
    are large enough to be bodies (more than one: the colour is there twice). Centres and areas are shares of the
    frame: (row, column) in [0, 1], rows downwards.
    """

    color: str
    mask_THW: NDArray[np.bool_]
    area_T: NDArray[np.float64]
    centre_T2: NDArray[np.float64]
    pieces_T: NDArray[np.int64]

    @property
    def seen_T(self) -> NDArray[np.bool_]:
        return self.area_T > 0


def segment(pixels_THW3: NDArray[np.uint8]) -> list[Track]:
    """Finds the coloured bodies of a clip.

    Args:
        pixels_THW3: uint8 RGB of any size.

    Returns:
        One track for each colour that is there in at least ``PRESENT_FRAMES`` frames (or in all, if there are fewer),
        in the order of ``COLORS``.
    """
    label_THW, pure_THW = classify(pixels_THW3)
    frames, height, width = label_THW.shape
    smallest = max(2, round(MIN_AREA * height * width))
    tracks = []
    for index, color in enumerate(COLORS):
        mask_THW = label_THW == index
        if np.count_nonzero(mask_THW.sum(axis=(1, 2)) >= smallest) >= min(PRESENT_FRAMES, frames):
            track = _follow(color, mask_THW, mask_THW & pure_THW, smallest)
            if np.count_nonzero(track.seen_T) >= min(PRESENT_FRAMES, frames):
                tracks.append(track)
    return tracks


def count_bodies(tracks: list[Track]) -> int:
    """The number of bodies: the median over the first frames, in which no family has hidden any yet."""
    if not tracks:
        return 0
    pieces_T = np.sum([track.pieces_T for track in tracks], axis=0)
    return int(np.ceil(np.median(pieces_T[:COUNT_FRAMES]) - 0.5))


def falls(track: Track, least: float = 0.04) -> bool:
    """Whether the body's lowest place lies below where it was first seen, by at least a share of the frame's height."""
    rows = track.centre_T2[track.seen_T, 0]
    return bool(len(rows) > 1 and rows[1:].max() - rows[0] >= least)


def classify(pixels_THW3: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """The colour class of every pixel, an index into ``COLORS`` or −1 for scenery; and whether it is a pure colour."""
    red, green, blue = np.moveaxis(pixels_THW3 >> (8 - _TABLE_BITS), -1, 0)
    label, pure = _color_table()
    return label[red, green, blue], pure[red, green, blue]


@cache
def _color_table() -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """The class and the purity of every colour, in steps of 4 codes: looking up is 30 times as fast as computing."""
    step = 1 << (8 - _TABLE_BITS)
    code = (np.arange(1 << _TABLE_BITS) * step + (step - 1) / 2) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)  # sRGB → linear light
    linear_N3 = np.stack(np.meshgrid(linear, linear, linear, indexing="ij"), axis=-1).reshape(-1, 3)
    point_N2 = _chromaticity(linear_N3)
    best_N = np.minimum(*(_distance(point_N2, np.zeros(2), _chroma(end)) for end in (_SKY, palette.SCENERY["brown"])))
    neutral_N = (best_N < _SCENERY**2) | (linear_N3.sum(axis=-1) < _DARKEST)
    label_N = np.full(len(point_N2), -1, dtype=np.int8)
    pure_N = np.zeros(len(point_N2), dtype=bool)
    for index, rgb in enumerate(palette.COLORS.values()):
        full = _chroma(rgb)
        saturation = np.linalg.norm(full)
        distance_N = _distance(point_N2, full, _PALEST * full / saturation)
        nearer_N = (distance_N < best_N) & ~neutral_N
        label_N[nearer_N] = index
        pure_N[nearer_N] = (point_N2 @ full >= _PURE * saturation**2)[nearer_N]
        best_N = np.minimum(best_N, distance_N)
    sides = (len(linear),) * 3
    return label_N.reshape(sides), pure_N.reshape(sides)


def _follow(color: str, mask_THW: NDArray[np.bool_], pure_THW: NDArray[np.bool_], smallest: int) -> Track:
    """Keeps the largest piece of every frame, and counts the others that are large and pure enough."""
    frames, height, width = mask_THW.shape
    kept_THW = np.zeros_like(mask_THW)
    area_T, pieces_T = np.zeros(frames), np.zeros(frames, dtype=np.int64)
    centre_T2 = np.full((frames, 2), np.nan)
    for frame, mask_HW in enumerate(mask_THW):
        label_HW = label_pieces(mask_HW)
        sizes = np.bincount(label_HW.reshape(-1))[1:]
        pure = np.bincount(label_HW[pure_THW[frame]], minlength=len(sizes) + 1)[1:]
        sizes[pure < _PURE_SHARE * sizes] = 0
        if not len(sizes) or sizes.max() < smallest:
            continue
        piece_HW = label_HW == 1 + sizes.argmax()
        kept_THW[frame] = piece_HW
        area_T[frame] = sizes.max() / (height * width)
        pieces_T[frame] = np.count_nonzero(sizes >= max(smallest, MIN_PIECE * sizes.max()))
        centre_T2[frame] = (np.argwhere(piece_HW).mean(axis=0) + 0.5) / (height, width)
    return Track(color, kept_THW, area_T, centre_T2, pieces_T)


@njit(cache=True)
def label_pieces(mask_HW: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected pieces (8 neighbours) of a mask: 0 outside, 1, 2, … in reading order of their first pixels."""
    height, width = mask_HW.shape
    label_HW = np.zeros((height, width), dtype=np.int32)
    stack = np.empty((height * width, 2), dtype=np.int32)
    pieces = 0
    for row in range(height):
        for column in range(width):
            if not mask_HW[row, column] or label_HW[row, column]:
                continue
            pieces += 1
            label_HW[row, column] = pieces
            stack[0, 0], stack[0, 1] = row, column
            depth = 1
            while depth:
                depth -= 1
                y, x = stack[depth, 0], stack[depth, 1]
                for ny in range(max(y - 1, 0), min(y + 2, height)):
                    for nx in range(max(x - 1, 0), min(x + 2, width)):
                        if mask_HW[ny, nx] and not label_HW[ny, nx]:
                            label_HW[ny, nx] = pieces
                            stack[depth, 0], stack[depth, 1] = ny, nx
                            depth += 1
    return label_HW


def _chromaticity(linear_N3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB → two orthonormal coordinates in the plane red + green + blue = 1, with white at the origin."""
    share_N3 = linear_N3 / np.maximum(linear_N3.sum(axis=-1, keepdims=True), 1e-6)
    red, green, blue = share_N3.T
    return np.stack([(red - green) / np.sqrt(2), (red + green - 2 * blue) / np.sqrt(6)], axis=-1)


def _chroma(rgb: palette.Rgb) -> NDArray[np.float64]:
    chroma_2: NDArray[np.float64] = _chromaticity(np.array([rgb]))[0]
    return chroma_2


def _distance(point_N2: NDArray[np.float64], a_2: NDArray[np.float64], b_2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distance of points to the line from a to b."""
    along_2 = b_2 - a_2
    offset_N2 = point_N2 - a_2
    share_N = np.clip(offset_N2 @ along_2 / (along_2 @ along_2), 0.0, 1.0)
    rest_N2 = offset_N2 - share_N[:, None] * along_2
    squared_N: NDArray[np.float64] = (rest_N2**2).sum(axis=-1)
    return squared_N

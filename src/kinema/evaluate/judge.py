"""What a clip shows, read off its pixels alone: which colours, how many bodies, where they go.

Ten of the twelve colours are saturated and scenery is nearly neutral, so a pixel is judged by its chromaticity (linear
light divided by its sum), which shading leaves alone; gloss and blurred edges mix it with white, which moves it along
a straight line. A colour class is therefore a line from the pure colour towards white, and another one from the colour
in the warm light of dusk; the scenery is one line from bluish sky over white to a brown wall at dusk. Brown and orange
have one hue: how bright and how pure most of a piece is tells them apart. White and black bodies look like scenery,
and what is seen through glass or water takes its tint: such bodies are not judged.

Array suffixes: T frames, H height, W width, C colour classes, N points, 2 chromaticity or (row, column).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kinema.data import BodyInfo
from kinema.worlds import palette

COLORS = tuple(color for color in palette.COLORS if color not in palette.NEUTRAL_COLORS)
"""The colours that are judged."""
FAMILIES = ("fall", "throw", "collide", "ramp", "pendulum", "tower", "occlude", "orbit")
"""The families that are judged: those on whose true clips the judge is reliable; docs/evaluate.md has the numbers."""

MIN_AREA = 0.004  # share of the frame below which a piece is not a body: 16 pixels of 64×64
MIN_PIECE = 0.35  # a second piece of a colour counts as a body from this share of the largest on
PRESENT_FRAMES = 4  # a colour is there when it is seen in so many frames

_SCENERY = 0.05  # scenery, blurred and tinted by what is around it, keeps to this distance from its line
_PURE = 0.4  # a body shows its colour at this share of its full saturation …
_PURE_SHARE = 0.25  # … on this share of its pixels; paler pieces are reflections on a body of another colour
_INNER_SHARE = 0.12  # a body has this share of pixels with its colour on all four sides; blurred rims have fewer
_PALEST = 0.15  # gloss and blur mix a body's colour with white until this distance from white is left
_DARKEST = 0.01  # below this linear light chromaticity is noise
_SKY = (0.50, 0.62, 0.74)  # the bluest scenery …
_WALL = (0.30, 0.18, 0.10)  # … and the brownest: a brown wall at dusk
_DUSK = (1.0, 0.82, 0.67)  # sun and sky together
_ORANGE = 3.9  # from here on ln(red + green + blue) + 10 · (distance from white) is orange, below it is brown
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


def is_judged(body: BodyInfo) -> bool:
    """Whether a body has a colour of its own to be found by."""
    return body.color in COLORS and palette.MATERIALS[body.material].index == 0


def segment(pixels_THW3: NDArray[np.uint8]) -> list[Track]:
    """Finds the coloured bodies of a clip.

    Args:
        pixels_THW3: uint8 RGB of any size.

    Returns:
        One track for each colour that is there in at least ``PRESENT_FRAMES`` frames (or in all, if there are fewer),
        in the order of ``COLORS``.
    """
    label_THW, pure_THW = classify(pixels_THW3)
    _settle(label_THW)
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
    """The number of bodies: for each colour the median number of pieces over the frames in which it is seen."""
    return sum(int(np.ceil(np.median(track.pieces_T[track.seen_T]) - 0.5)) for track in tracks)


def falls(track: Track, least: float = 0.04) -> bool:
    """Whether the body's lowest place lies below where it was first seen, by at least a share of the frame's height."""
    rows = track.centre_T2[track.seen_T, 0]
    return bool(len(rows) > 1 and rows[1:].max() - rows[0] >= least)


def moves(track: Track, least: float = 0.05) -> bool:
    """Whether the body's centre ranges over a share of the frame's height or width in nine tenths of its frames."""
    low_2, high_2 = np.quantile(track.centre_T2[track.seen_T], [0.05, 0.95], axis=0)
    return bool((high_2 - low_2).max() >= least)


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
    point_N2 = chromaticity(linear_N3)
    best_N = np.minimum(*(_distance(point_N2, np.zeros(2), _chroma(end)) for end in (_SKY, _WALL)))
    neutral_N = (best_N < _SCENERY**2) | (linear_N3.sum(axis=-1) < _DARKEST)
    label_N = np.full(len(point_N2), -1, dtype=np.int8)
    pure_N = np.zeros(len(point_N2), dtype=bool)
    for index, color in enumerate(COLORS):
        if color == "brown":
            continue
        for light in ((1.0, 1.0, 1.0), _DUSK):
            full = _chroma(np.multiply(palette.COLORS[color], light))
            saturation = np.linalg.norm(full)
            distance_N = _distance(point_N2, full, _PALEST * full / saturation)
            nearer_N = (distance_N < best_N) & ~neutral_N
            label_N[nearer_N] = index
            pure_N[nearer_N] = (point_N2 @ full >= _PURE * saturation**2)[nearer_N]
            best_N = np.minimum(best_N, distance_N)
    brightness_N = np.log(np.maximum(linear_N3.sum(axis=-1), 1e-6))
    dark_N = brightness_N + 10 * np.linalg.norm(point_N2, axis=-1) < _ORANGE
    label_N[(label_N == COLORS.index("orange")) & dark_N] = COLORS.index("brown")
    sides = (len(linear),) * 3
    return label_N.reshape(sides), pure_N.reshape(sides)


def _settle(label_THW: NDArray[np.int8]) -> None:
    """Makes a piece of brown and orange pixels all brown or all orange, in place, as most of its inner pixels are."""
    brown, orange = COLORS.index("brown"), COLORS.index("orange")
    warm_THW = (label_THW == brown) | (label_THW == orange)
    for label_HW, warm_HW, inner_HW in zip(label_THW, warm_THW, _inner(warm_THW), strict=True):
        if warm_HW.any():
            piece_HW = label_pieces(warm_HW)
            vote_N = np.bincount(piece_HW[inner_HW], 2 * (label_HW[inner_HW] == orange) - 1, piece_HW.max() + 1)
            label_HW[warm_HW] = np.where(vote_N > 0, orange, brown)[piece_HW[warm_HW]]


def _follow(color: str, mask_THW: NDArray[np.bool_], pure_THW: NDArray[np.bool_], smallest: int) -> Track:
    """Keeps the largest piece of every frame, and counts the others that are large, pure and solid enough."""
    frames, height, width = mask_THW.shape
    kept_THW = np.zeros_like(mask_THW)
    area_T, pieces_T = np.zeros(frames), np.zeros(frames, dtype=np.int64)
    centre_T2 = np.full((frames, 2), np.nan)
    inner_THW = _inner(mask_THW)
    for frame, mask_HW in enumerate(mask_THW):
        label_HW = label_pieces(mask_HW)
        sizes = np.bincount(label_HW.reshape(-1))[1:]
        pure, inner = (
            np.bincount(label_HW[m], minlength=len(sizes) + 1)[1:] for m in (pure_THW[frame], inner_THW[frame])
        )
        sizes[(pure < _PURE_SHARE * sizes) | (inner < _INNER_SHARE * sizes)] = 0
        if not len(sizes) or sizes.max() < smallest:
            continue
        piece_HW = label_HW == 1 + sizes.argmax()
        kept_THW[frame] = piece_HW
        area_T[frame] = sizes.max() / (height * width)
        pieces_T[frame] = np.count_nonzero(sizes >= max(smallest, MIN_PIECE * sizes.max()))
        centre_T2[frame] = (np.argwhere(piece_HW).mean(axis=0) + 0.5) / (height, width)
    return Track(color, kept_THW, area_T, centre_T2, pieces_T)


def _inner(mask_THW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of masks whose four neighbours are in them too; beyond the picture's edge all are."""
    inner_THW = mask_THW.copy()
    inner_THW[:, 1:] &= mask_THW[:, :-1]
    inner_THW[:, :-1] &= mask_THW[:, 1:]
    inner_THW[:, :, 1:] &= mask_THW[:, :, :-1]
    inner_THW[:, :, :-1] &= mask_THW[:, :, 1:]
    return inner_THW


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


def chromaticity(linear_N3: NDArray[np.float64], black: float = 1e-6) -> NDArray[np.float64]:
    """Linear RGB → two orthonormal coordinates in the plane red + green + blue = 1, with white at the origin.

    Below ``black``, the sum of all three, points move to the origin.
    """
    share_N3 = linear_N3 / np.maximum(linear_N3.sum(axis=-1, keepdims=True), black)
    red, green, blue = share_N3.T
    return np.stack([(red - green) / np.sqrt(2), (red + green - 2 * blue) / np.sqrt(6)], axis=-1)


def _chroma(rgb: ArrayLike) -> NDArray[np.float64]:
    chroma_2: NDArray[np.float64] = chromaticity(np.array([rgb]))[0]
    return chroma_2


def _distance(point_N2: NDArray[np.float64], a_2: NDArray[np.float64], b_2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distance of points to the line from a to b."""
    along_2 = b_2 - a_2
    offset_N2 = point_N2 - a_2
    share_N = np.clip(offset_N2 @ along_2 / (along_2 @ along_2), 0.0, 1.0)
    rest_N2 = offset_N2 - share_N[:, None] * along_2
    squared_N: NDArray[np.float64] = (rest_N2**2).sum(axis=-1)
    return squared_N

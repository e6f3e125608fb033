"""Boxes around what is seen of each body, from the renderer's ids.

Suffixes: T frames, S moments, B bodies, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.data import BodyInfo, Tracks
from kinema.worlds import palette

MOMENT = 2  # frames from one moment to the next
MAX_BODIES = 8  # the largest at their largest; more are a crowd, which words tell better than boxes
CLEAR = "clear"  # the colour of what light passes unchanged: lenses, and drops of water


def moments(frames: int) -> int:
    """Moments of a clip of so many frames, the first at frame 0."""
    return 1 + (frames - 1) // MOMENT


def tracks_of(bodies: Sequence[BodyInfo], ids_THW: NDArray[np.int16]) -> Tracks:
    """The tracks of the whole bodies that are seen at any moment, in their order; pieces of broken ones have none.

    Args:
        bodies: what the ids stand for.
        ids_THW: index of the body that a pixel shows, others for scenery.
    """
    ids_SHW = ids_THW[::MOMENT]
    boxes: dict[int, NDArray[np.float32]] = {}
    for body, info in enumerate(bodies):
        if info.part_of < 0 and info.shape in palette.SHAPES:
            box_S4 = _boxes(ids_SHW == body)
            if not np.isnan(box_S4).all():
                boxes[body] = box_S4
    largest = sorted(boxes, key=lambda body: -_area(boxes[body]))[:MAX_BODIES]
    kept = sorted(largest)
    return Tracks(
        tuple(_color(bodies[b]) for b in kept),
        tuple(bodies[b].shape for b in kept),
        np.stack([boxes[b] for b in kept], axis=1) if kept else np.zeros((len(ids_SHW), 0, 4), np.float32),
    )


def _color(body: BodyInfo) -> str:
    is_clear = body.material == "water" or (body.color == "white" and palette.MATERIALS[body.material].index > 0)
    return CLEAR if is_clear else body.color


def _boxes(seen_SHW: NDArray[np.bool_]) -> NDArray[np.float32]:
    height, width = seen_SHW.shape[1:]
    rows_SH, cols_SW = np.any(seen_SHW, axis=2), np.any(seen_SHW, axis=1)
    box_S4 = np.stack(
        [
            cols_SW.argmax(axis=1) / width,
            rows_SH.argmax(axis=1) / height,
            1 - cols_SW[:, ::-1].argmax(axis=1) / width,
            1 - rows_SH[:, ::-1].argmax(axis=1) / height,
        ],
        axis=1,
    ).astype(np.float32)
    box_S4[~np.any(rows_SH, axis=1)] = np.nan
    return box_S4


def _area(box_S4: NDArray[np.float32]) -> float:
    """Of the largest box, as a share of the picture."""
    return float(np.nanmax((box_S4[:, 2] - box_S4[:, 0]) * (box_S4[:, 3] - box_S4[:, 1])))

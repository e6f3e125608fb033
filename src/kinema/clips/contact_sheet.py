"""Contact sheets: several clips at a glance in one PNG, a row per clip, frames from left to right.

Suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

GAP = 2  # pixels between frames
PAPER = 32  # grey level of the gaps


def contact_sheet(clips: Sequence[NDArray[np.uint8]], path: Path, columns: int = 8, scale: int = 2) -> None:
    """Writes a PNG with ``columns`` evenly spaced frames of each clip; see :func:`sheet_of`."""
    write_png(path, sheet_of(clips, columns, scale))


def sheet_of(clips: Sequence[NDArray[np.uint8]], columns: int = 8, scale: int = 2) -> NDArray[np.uint8]:
    """One image (H, W, 3) with evenly spaced frames of each clip, the first and the last among them.

    Args:
        clips: uint8 THW3 each, all of the same height and width.
        columns: frames per clip at most; a shorter clip shows all it has.
        scale: whole-number enlargement, without smoothing.
    """
    assert clips and len({clip.shape[1:] for clip in clips}) == 1, "clips of one sheet have one size"
    columns = min(columns, max(len(clip) for clip in clips))
    height, width = (side * scale for side in clips[0].shape[1:3])
    sheet_HW3 = np.full((len(clips) * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), PAPER, np.uint8)
    for row, clip in enumerate(clips):
        shown = np.unique(np.linspace(0, len(clip) - 1, columns).round().astype(int))
        for column, frame in enumerate(shown):
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            large = clip[frame].repeat(scale, axis=0).repeat(scale, axis=1)
            sheet_HW3[top : top + height, left : left + width] = large
    return sheet_HW3


def write_png(path: Path, pixels_HW3: NDArray[np.uint8]) -> None:
    """Writes one image."""
    path.write_bytes(png_bytes(pixels_HW3))


def png_bytes(pixels_HW3: NDArray[np.uint8]) -> bytes:
    """One image as the content of a PNG file."""
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = pixels_HW3.shape[:2]
    encoder.pix_fmt, encoder.framerate, encoder.thread_count = "rgb24", 1, 1  # type: ignore[assignment]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HW3), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])

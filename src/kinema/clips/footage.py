"""Real videos of a folder → training clips: short crops in space and time, cut once into an array on the disk.

Files are decoded piece by piece from places spread over their length, so an hour costs no more than a minute. Every
tenth file is held out whole; of a single file, its end.

Suffixes: N clips, T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kinema.clips.reading import open_video
from kinema.errors import InputError
from kinema.files import whole_file

logger = logging.getLogger(__name__)

HELD_OUT_EVERY = 10  # files
SINGLE_FILE_TRAINS = 0.8  # share of a single file's length
CROPS_PER_PLACE = 4  # cut from the same frames
CROPS_PER_FILE = 200  # at most
USUAL_FPS = 12.0  # frames are skipped until the rate is no less than this: fast videos show more motion

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Piece:
    """A file, and which share of its length counts."""

    path: Path
    begin: float = 0.0
    end: float = 1.0


def find_footage(folder: Path) -> tuple[list[Piece], list[Piece]]:
    """The files in a folder and below it that train, and those held out. Nothing is opened.

    Raises:
        InputError: there is no such folder, or it holds no file.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give --data a folder of videos")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(f"{folder} holds no files: give --data a folder of videos")
    if len(files) == 1:
        return [Piece(files[0], end=SINGLE_FILE_TRAINS)], [Piece(files[0], begin=SINGLE_FILE_TRAINS)]
    held_out = files[::HELD_OUT_EVERY]
    return [Piece(path) for path in files if path not in held_out], [Piece(path) for path in held_out]


def load_crops(pieces: Sequence[Piece], count: int, shape: tuple[int, int, int], seed: int, path: Path) -> Pixels:
    """Clips of ``shape`` (frames, height, width) as one memory-mapped array NTHW3, cut on the first call.

    Files that cannot be read, or are too short or too small, are named and left out.

    Args:
        pieces: where to cut.
        count: clips at most.
        shape: of every clip.
        seed: of places and scales; the same call cuts the same clips.
        path: the array, a ``.npy`` file.

    Raises:
        InputError: no file is of use.
    """
    if not path.exists():
        with whole_file(path) as part:
            _cut_into(part, pieces, count, shape, seed)
    loaded: Pixels = np.load(path, mmap_mode="r")
    return loaded


def _cut_into(part: Path, pieces: Sequence[Piece], count: int, shape: tuple[int, int, int], seed: int) -> None:
    per_file = min(CROPS_PER_FILE, -(-count // len(pieces)))
    cut = left_out = 0
    with part.open("wb") as file:
        _write_header(file, (count, *shape, 3))
        for index, piece in enumerate(pieces):
            rng = np.random.default_rng([seed, index])
            try:
                for crop in itertools.islice(cut_crops(piece, per_file, shape, rng), count - cut):
                    file.write(crop.tobytes())
                    cut += 1
            except InputError as error:
                logger.warning("left out: %s", error)
                left_out += 1
        file.seek(0)
        _write_header(file, (cut, *shape, 3))
    if not cut:
        raise InputError(f"none of {len(pieces)} files is a video of use: the reasons stand above")
    logger.info("cut %d clips from %d files, left out %d", cut, len(pieces) - left_out, left_out)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """NumPy leaves room in a header, so that the length of the first axis can be written again."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def cut_crops(piece: Piece, count: int, shape: tuple[int, int, int], rng: np.random.Generator) -> Iterator[Pixels]:
    """Crops of one file, THW3 each, shrunk by whole numbers.

    Raises:
        InputError: the file cannot be read, or is too short or too small.
    """
    frames, height, width = shape
    with open_video(piece.path) as reader:
        fps, seconds = reader.fps, reader.seconds or 0.0
        if reader.height < height or reader.width < width:
            raise InputError(f"{piece.path} is {reader.width}x{reader.height}, smaller than {width}x{height}")
    begin_s, end_s = piece.begin * seconds, piece.end * seconds
    for start in range(0, count, CROPS_PER_PLACE):
        stride = int(rng.integers(1, max(1, int(fps / USUAL_FPS)) + 1))
        stride = max(1, min(stride, int((end_s - begin_s) * fps) // frames))
        latest_s = max(begin_s, end_s - frames * stride / fps)
        with open_video(piece.path, start_s=float(rng.uniform(begin_s, latest_s))) as reader:
            seen = list(itertools.islice(reader.frames(), 0, frames * stride, stride))
        if len(seen) < frames:
            raise InputError(f"{piece.path} holds {len(seen)} frames in a row, not {frames}")
        for _ in range(min(CROPS_PER_PLACE, count - start)):
            yield _crop(seen, height, width, rng)


def _crop(frames: list[Pixels], height: int, width: int, rng: np.random.Generator) -> Pixels:
    whole_height, whole_width = frames[0].shape[:2]
    factor = int(rng.integers(1, min(whole_height // height, whole_width // width) + 1))
    top = int(rng.integers(whole_height - factor * height + 1))
    left = int(rng.integers(whole_width - factor * width + 1))
    crop = np.stack([frame[top : top + factor * height, left : left + factor * width] for frame in frames])
    if factor == 1:
        return crop
    boxes = crop.reshape(len(crop), height, factor, width, factor, 3)
    shrunk: Pixels = boxes.mean(axis=(2, 4)).round().astype(np.uint8)
    return shrunk

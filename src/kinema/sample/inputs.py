"""Pictures and clips that a user gives, read and checked before anything slow begins.

Suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from kinema.clips.video_io import read_video
from kinema.errors import InputError
from kinema.sample.task import Frames
from kinema.shapes import MAX_FPS, MAX_SECONDS, MAX_SIDE, MIN_FPS, MIN_SIDE, nearest_side

Source = str | Path | NDArray[np.uint8]  # a file, or frames (T, H, W, 3) or (H, W, 3)

MAX_SOURCE_SIDE = 8192  # pixels; a larger picture would only cost memory
MIN_CLIP_FRAMES = 5  # two latent frames: less shows no motion to go on with


@dataclass(frozen=True)
class Given:
    """Frames that a user gave, and how to find them again.

    Attributes:
        pixels_THW3: the frames.
        fps: frames per second of the file; None for frames in memory and for pictures.
        facts: file name and checksum of what was read.
    """

    pixels_THW3: Frames
    fps: float | None
    facts: dict[str, Any]


def read_image(source: Source, option: str) -> Given:
    """One picture; of a video the first frame.

    Raises:
        InputError: no such file, not a picture, or a size that cannot be used.
    """
    if isinstance(source, np.ndarray):
        frames_THW3 = _frames(source, option)[:1]
    else:
        path = _file(source, option)
        _check_source_size(path)
        frames_THW3 = read_video(path, max_seconds=1e-6).pixels_THW3[:1]
    return Given(frames_THW3, None, _facts(source, frames_THW3))


def read_clip(source: Source, option: str) -> Given:
    """A video of at least five frames and at most a minute.

    Raises:
        InputError: no such file, not a video, too short, too long, or a frame rate that cannot be used.
    """
    if isinstance(source, np.ndarray):
        frames_THW3, fps = _frames(source, option), None
        name = f"{option} has"
    else:
        path = _file(source, option)
        _check_source_size(path)
        file = read_video(path, MAX_SECONDS + 1)
        frames_THW3, fps, name = file.pixels_THW3, file.fps, f"{path} has"
    if len(frames_THW3) < MIN_CLIP_FRAMES:
        count = f"{len(frames_THW3)} frame{'s' * (len(frames_THW3) > 1)}"
        raise InputError(f"{name} {count}, {option} needs at least {MIN_CLIP_FRAMES}: give --image for a still picture")
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"{name} {fps:g} frames per second: convert it to {MIN_FPS} to {MAX_FPS} first")
    if fps is not None and len(frames_THW3) > MAX_SECONDS * fps:
        raise InputError(f"{name} more than {MAX_SECONDS:g} seconds: cut it first")
    return Given(frames_THW3, fps, _facts(source, frames_THW3))


def read_mask(source: Source, width: int, height: int) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """The light half of a grey picture: where pixels may change.

    Raises:
        InputError: another size than the video, or no pixel or every pixel is light.
    """
    given = read_image(source, "--mask")
    found_height, found_width = given.pixels_THW3.shape[1:3]
    if (found_width, found_height) != (width, height):
        raise InputError(f"the mask is {found_width}x{found_height} and the video {width}x{height}: make them equal")
    mask_HW = np.asarray(given.pixels_THW3[0].mean(axis=-1) >= 128)
    if not mask_HW.any():
        raise InputError("the mask is all black: paint white what may change")
    return mask_HW, given.facts


def fit(frames_THW3: Frames, width: int, height: int) -> Frames:
    """Scales to a size after cutting the longer side off around the middle; frames of that size stay as they are."""
    found_height, found_width = frames_THW3.shape[1:3]
    if (found_width, found_height) == (width, height):
        return frames_THW3
    scale = max(width / found_width, height / found_height)
    cut_width, cut_height = min(found_width, round(width / scale)), min(found_height, round(height / scale))
    top, left = (found_height - cut_height) // 2, (found_width - cut_width) // 2
    cut_THW3 = frames_THW3[:, top : top + cut_height, left : left + cut_width]
    kind = Interpolation.AREA if scale < 1 else Interpolation.BICUBIC
    scaled = [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HW3), format="rgb24")
        .reformat(width=width, height=height, interpolation=kind)
        .to_ndarray()
        for frame_HW3 in cut_THW3
    ]
    return np.stack(scaled)


def size_like(frames_THW3: Frames, pixels: int) -> tuple[int, int]:
    """The valid (width, height) with about ``pixels`` pixels that is nearest to the proportions of a picture."""
    height, width = frames_THW3.shape[1:3]
    scale = math.sqrt(pixels / (width * height))
    return nearest_side(round(width * scale)), nearest_side(round(height * scale))


def clip_size(frames_THW3: Frames, option: str) -> tuple[int, int]:
    """(width, height) of a clip whose frames are to stay as they are.

    Raises:
        InputError: sides that are not possible; names the nearest.
    """
    height, width = frames_THW3.shape[1:3]
    near = nearest_side(width), nearest_side(height)
    if near != (width, height):
        raise InputError(
            f"{option} is {width}x{height}, which is not possible: give --size {near[0]}x{near[1]} to have it scaled"
        )
    return near


def _file(source: str | Path, option: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise InputError(f"there is no file {path} for {option}: check the name")
    return path


def _check_source_size(path: Path) -> None:
    """Reads only the header, because a picture of 20,000 × 20,000 pixels takes a gigabyte to decode."""
    try:
        with av.open(str(path)) as container:
            streams = container.streams.video
            width, height = (streams[0].width, streams[0].height) if streams else (0, 0)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {path} as a picture or video ({error.strerror})") from error
    if not streams:
        raise InputError(f"{path} holds no picture or video: give another file")
    _check_sides(width, height, str(path))


def _check_sides(width: int, height: int, name: str) -> None:
    if min(width, height) == 0:  # FFmpeg tells no size of what is too large for it
        raise InputError(
            f"{name} is damaged or larger than can be read: give sides of {MIN_SIDE} to {MAX_SOURCE_SIDE} pixels"
        )
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SOURCE_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels: give sides of {MIN_SIDE} to {MAX_SOURCE_SIDE} "
            f"(they are scaled to at most {MAX_SIDE})"
        )


def _frames(array: NDArray[np.uint8], option: str) -> Frames:
    frames_THW3 = array[None] if array.ndim == 3 else array
    if frames_THW3.dtype != np.uint8 or frames_THW3.ndim != 4 or frames_THW3.shape[-1] != 3 or not len(frames_THW3):
        raise InputError(f"{option}: frames must be uint8 of shape (frames, height, width, 3), not {array.shape}")
    _check_sides(frames_THW3.shape[2], frames_THW3.shape[1], option)
    return frames_THW3


def _facts(source: Source, frames_THW3: Frames) -> dict[str, Any]:
    if isinstance(source, np.ndarray):
        return {"file": None, "sha256": hashlib.sha256(frames_THW3.tobytes()).hexdigest()}
    return {"file": str(source), "sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest()}

"""Video files in and out, through PyAV (which bundles FFmpeg): uint8 RGB frames ↔ MP4, WebM, GIF, WebP, PNG.

Encoders run on one thread and write no dates, so the same frames give the same bytes. Colour is tagged BT.709,
because players guess when it is not, and guess differently.

Suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kinema.clips.contact_sheet import contact_sheet, write_png
from kinema.errors import InputError
from kinema.files import check_target, whole_file
from kinema.shapes import MAX_SECONDS

BT709 = 1  # primaries and transfer characteristics, ITU-T H.273
EXACT = {"fflags": "+bitexact"}  # no random identifiers, no library versions


@dataclass(frozen=True)
class Encoding:
    """How FFmpeg writes one kind of file."""

    container: str
    codec: str
    pixel_format: str
    codec_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)


VP9_OPTIONS = {"crf": "16", "b": "0", "deadline": "good", "cpu-used": "2"}  # constant quality
# x264's macroblock tree reads memory that it never wrote: with it the same frames sometimes give other bytes.
H264_OPTIONS = {"crf": "12", "preset": "slow", "x264-params": "mbtree=0"}
ENCODINGS = {
    ".mp4": Encoding("mp4", "libx264", "yuv420p", H264_OPTIONS, {"movflags": "+faststart"}),
    ".webm": Encoding("webm", "libvpx-vp9", "yuv420p", VP9_OPTIONS),
    ".gif": Encoding("gif", "gif", "pal8", {}, {"loop": "0"}),
    ".webp": Encoding("webp", "libwebp_anim", "yuv420p", {"quality": "95"}, {"loop": "0"}),
}
SUFFIXES = (*ENCODINGS, ".png")


@dataclass(frozen=True)
class VideoFile:
    """What a file holds."""

    pixels_THW3: NDArray[np.uint8]
    fps: float
    metadata: dict[str, Any] = field(default_factory=dict)  # what :func:`write_video` was given


def check_output(path: Path) -> None:
    """Fails before the long work if :func:`write_video` could not write this file.

    Raises:
        InputError: unknown extension, or the folder is missing or not writable.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {path.name!r}: give --out a name that ends in {', '.join(SUFFIXES)}")
    check_target(path)


def write_video(
    path: Path, pixels_THW3: NDArray[np.uint8], fps: float, metadata: Mapping[str, Any] | None = None
) -> None:
    """Writes frames to a file that appears whole or not at all; the suffix chooses the format.

    One frame as ``.png`` is an image; several are a contact sheet.

    Args:
        path: ends in one of :data:`SUFFIXES`.
        pixels_THW3: RGB frames.
        fps: frames per second (GIF rounds the time of a frame to 1/100 s).
        metadata: facts to keep in the container (MP4 and WebM; the other formats have no place for them).

    Raises:
        InputError: see :func:`check_output`.
        KinemaError: the disk is full or not writable.
    """
    assert pixels_THW3.dtype == np.uint8 and pixels_THW3.ndim == 4 and pixels_THW3.shape[-1] == 3
    check_output(path)
    with whole_file(path) as part:
        if path.suffix.lower() != ".png":
            _encode(part, ENCODINGS[path.suffix.lower()], pixels_THW3, fps, metadata or {})
        elif len(pixels_THW3) == 1:
            write_png(part, pixels_THW3[0])
        else:
            contact_sheet([pixels_THW3], part, scale=1)


def read_video(path: Path, max_seconds: float = MAX_SECONDS) -> VideoFile:
    """Reads a video or an image of any format that FFmpeg knows, at most its first ``max_seconds``.

    Raises:
        InputError: no such file, or it holds no video.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: check the name")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no video: give a video file")
            stream = container.streams.video[0]
            fps = float(stream.average_rate or stream.guessed_rate or 1)
            frames = [frame.to_ndarray(format="rgb24") for frame in _first(container.decode(stream), max_seconds)]
            comment = {key.lower(): value for key, value in container.metadata.items()}.get("comment", "")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {path} as a video ({error.strerror}): give a video file") from error
    if not frames:
        raise InputError(f"{path} holds no frames: give a video file")
    return VideoFile(np.stack(frames), fps, _facts(comment))


def _encode(
    part: Path, encoding: Encoding, pixels_THW3: NDArray[np.uint8], fps: float, metadata: Mapping[str, Any]
) -> None:
    options = EXACT | encoding.container_options
    with av.open(str(part), "w", format=encoding.container, options=options) as container:
        if metadata:
            container.metadata["title"] = str(metadata.get("prompt", ""))
            container.metadata["comment"] = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(encoding.codec, rate=rate, options=encoding.codec_options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = pixels_THW3.shape[1:3]
        stream.pix_fmt = encoding.pixel_format
        stream.codec_context.thread_count = 1
        if encoding.pixel_format == "yuv420p":
            stream.codec_context.colorspace = Colorspace.ITU709
            stream.codec_context.color_range = ColorRange.MPEG
            stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
        frames = _palette(pixels_THW3, rate) if encoding.pixel_format == "pal8" else _yuv(pixels_THW3)
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _yuv(pixels_THW3: NDArray[np.uint8]) -> Iterator[av.VideoFrame]:
    for pixels_HW3 in pixels_THW3:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HW3), format="rgb24")
        yield frame.reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )


def _palette(pixels_THW3: NDArray[np.uint8], rate: Fraction) -> Iterator[av.VideoFrame]:
    """Frames in the 256 colours that suit the whole clip best, so that they do not flicker."""
    graph = av.filter.Graph()
    height, width = pixels_THW3.shape[1:3]
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / rate)
    split, generate, use = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse", "dither=bayer")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(generate, 1, 0)
    generate.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for index, pixels_HW3 in enumerate(pixels_THW3):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HW3), format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        source.push(frame)
    source.push(None)
    for _ in pixels_THW3:
        indexed = sink.pull()
        assert isinstance(indexed, av.VideoFrame)
        yield indexed


def _first(frames: Iterator[av.VideoFrame], max_seconds: float) -> Iterator[av.VideoFrame]:
    start_s: float | None = None
    for frame in frames:
        start_s = start_s if start_s is not None else (frame.time or 0.0)
        if (frame.time or 0.0) - start_s >= max_seconds:
            return
        yield frame


def _facts(comment: str) -> dict[str, Any]:
    """Our own facts from a container's comment; someone else's comment is not ours to read."""
    try:
        facts = json.loads(comment)
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}

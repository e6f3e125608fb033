"""Video files in and out, through PyAV (which bundles FFmpeg): uint8 RGB frames ↔ MP4, WebM, GIF, WebP, PNG.

Encoders run on one thread and write no dates, so the same frames give the same bytes. Colour is tagged BT.709,
because players guess when it is not, and guess differently.

Suffixes: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kinema.clips.contact_sheet import contact_sheet, write_png
from kinema.clips.reading import open_video
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
# Its pixels of halved colour lie in the middle of four, as AREA makes them, and not at the left, as is usual.
H264_OPTIONS = {"crf": "12", "preset": "slow", "x264-params": "mbtree=0:chromaloc=1"}
ENCODINGS = {
    ".mp4": Encoding("mp4", "libx264", "yuv420p", H264_OPTIONS, {"movflags": "+faststart"}),
    ".webm": Encoding("webm", "libvpx-vp9", "yuv420p", VP9_OPTIONS),
    ".gif": Encoding("gif", "gif", "pal8", {}, {"loop": "0"}),
    ".webp": Encoding("webp", "libwebp_anim", "yuv420p", {"quality": "95"}, {"loop": "0"}),
}
SUFFIXES = (*ENCODINGS, ".png")
STREAMED = (".mp4", ".webm", ".webp")  # the others are made when all frames are known
MOST_HELD = 1 << 29  # bytes of frames held for those


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
    with video_writer(path, fps, metadata) as writer:
        writer.write(pixels_THW3)


@contextmanager
def video_writer(path: Path, fps: float, metadata: Mapping[str, Any] | None = None) -> Iterator[VideoWriter]:
    """Writes a video piece by piece, in bounded memory; otherwise as :func:`write_video`.

    Raises:
        InputError: see :func:`check_output`; also while writing, a GIF or a contact sheet of too many frames.
        KinemaError: the disk is full or not writable.
    """
    check_output(path)
    with whole_file(path) as part:
        if path.suffix.lower() not in STREAMED:
            held = HeldWriter(part, path, fps, metadata or {})
            yield held
            held.finish()
            return
        with StreamWriter(part, ENCODINGS[path.suffix.lower()], fps, metadata or {}) as writer:
            yield writer


class VideoWriter(Protocol):
    """Takes the frames of one video."""

    def write(self, pixels_THW3: NDArray[np.uint8]) -> None:
        """Adds frames; all have the size of the first."""
        ...


class StreamWriter:
    """Encodes frames as they come."""

    def __init__(self, part: Path, encoding: Encoding, fps: float, metadata: Mapping[str, Any]) -> None:
        self._part, self._encoding, self._metadata = part, encoding, metadata
        self._rate = Fraction(fps).limit_denominator(1001)
        self._open = ExitStack()
        self._stream: VideoStream | None = None
        self._frames = 0

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._open:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode(None))

    def write(self, pixels_THW3: NDArray[np.uint8]) -> None:
        """Encodes frames."""
        if self._stream is None:
            self._stream = self._begin(*pixels_THW3.shape[1:3])
        pixel_format = str(self._stream.pix_fmt)
        encoded = _palette(pixels_THW3, self._rate) if pixel_format == "pal8" else _yuv(pixels_THW3, pixel_format)
        for frame in encoded:
            frame.pts, frame.time_base = self._frames, 1 / self._rate
            self._container.mux(self._stream.encode(frame))
            self._frames += 1

    def _begin(self, height: int, width: int) -> VideoStream:
        encoding = self._encoding
        options = EXACT | encoding.container_options
        self._container = self._open.enter_context(
            av.open(str(self._part), "w", format=encoding.container, options=options)
        )
        if self._metadata:
            self._container.metadata["title"] = str(self._metadata.get("prompt", ""))
            self._container.metadata["comment"] = json.dumps(self._metadata, ensure_ascii=False, sort_keys=True)
        stream = self._container.add_stream(encoding.codec, rate=self._rate, options=encoding.codec_options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = height, width
        stream.pix_fmt = encoding.pixel_format
        if encoding.codec == "libx264" and (height % 2 or width % 2):
            stream.pix_fmt = "yuv444p"  # halved colour needs even sides
        stream.codec_context.thread_count = 1
        if encoding.pixel_format == "yuv420p":
            stream.codec_context.colorspace = Colorspace.ITU709
            stream.codec_context.color_range = ColorRange.MPEG
            stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
        return stream


class HeldWriter:
    """Keeps all frames until the end: a GIF's colours are chosen, and a contact sheet's frames picked, from all."""

    def __init__(self, part: Path, path: Path, fps: float, metadata: Mapping[str, Any]) -> None:
        self._part, self._path, self._fps, self._metadata = part, path, fps, metadata
        self._held: list[NDArray[np.uint8]] = []

    def write(self, pixels_THW3: NDArray[np.uint8]) -> None:
        """Keeps frames."""
        self._held.append(pixels_THW3)
        if sum(held.nbytes for held in self._held) > MOST_HELD:
            raise InputError(f"{self._path.name} would need too much memory: write a long video as .mp4 or .webm")

    def finish(self) -> None:
        """Writes the file."""
        pixels_THW3 = np.concatenate(self._held)
        if self._path.suffix.lower() != ".png":
            with StreamWriter(self._part, ENCODINGS[self._path.suffix.lower()], self._fps, self._metadata) as writer:
                writer.write(pixels_THW3)
        elif len(pixels_THW3) == 1:
            write_png(self._part, pixels_THW3[0])
        else:
            contact_sheet([pixels_THW3], self._part, scale=1)


def read_video(path: Path, max_seconds: float = MAX_SECONDS) -> VideoFile:
    """Reads a video or an image of any format that FFmpeg knows, at most its first ``max_seconds``.

    Frames are upright and come at a constant rate, see :mod:`kinema.clips.reading`.

    Raises:
        InputError: no such file, or it holds no video.
    """
    with open_video(path) as reader:
        frames = list(itertools.islice(reader.frames(), max(1, math.ceil(max_seconds * reader.fps - 1e-6))))
        return VideoFile(np.stack(frames), reader.fps, _facts(reader.comment))


def _yuv(pixels_THW3: NDArray[np.uint8], pixel_format: str) -> Iterator[av.VideoFrame]:
    for pixels_HW3 in pixels_THW3:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HW3), format="rgb24")
        yield frame.reformat(
            format=pixel_format,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,  # of halved colour: the mean of four pixels
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


def _facts(comment: str) -> dict[str, Any]:
    """Our own facts from a container's comment; someone else's comment is not ours to read."""
    try:
        facts = json.loads(comment)
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}

"""Any video file as a stream of upright RGB frames at a constant rate, in bounded memory.

PyAV (FFmpeg) decodes. Rotation tags are applied, more than 8 bits and other colour formats become 8-bit RGB, sound is
left alone. Of a variable frame rate the average stays: frames that last longer are repeated, crowded ones dropped.
What is damaged inside a file is left out and counted.

Suffixes: H height, W width, 3 RGB.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kinema.errors import InputError

LARGEST_FRAME = 4096 * 2304  # pixels: one second of such frames takes a gigabyte
STEADY = 0.35  # share by which a frame's duration may differ from the average and still count as one frame
LONGEST_STILL_S = 10.0  # a frame that lasts longer is cut: timestamps of damaged files jump
USUAL_FPS = 25.0  # of a stream that does not tell
# Halved colour is interpolated, not repeated: worth 3 dB on pictures of coloured things, for more time a frame.
INTERPOLATION = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
FASTEST_FPS, LOOK_AHEAD = 120.0, 8  # a higher rate may be the ticks of a clock: it is measured on so many frames


class VideoReader:
    """An open video file.

    Attributes:
        path: the file.
        fps: frames per second of :meth:`frames`, the average of the file.
        height, width: of the upright frame, in pixels.
        seconds: duration as the file tells it, or None.
        comment: of the container.
        has_audio: whether there is sound, which is not read.
        damaged: packets that could not be decoded, so far.
        uneven: frames repeated or dropped for the sake of a constant rate, so far.
    """

    def __init__(self, path: Path, container: InputContainer, start_s: float) -> None:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        self.path = path
        self.fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
        self.seconds = None if container.duration is None else container.duration / av.time_base
        self.comment = {key.lower(): value for key, value in container.metadata.items()}.get("comment", "")
        self.has_audio = bool(container.streams.audio)
        self.damaged = self.uneven = 0
        decoded = self._decode(container, stream)
        wanted = itertools.dropwhile(lambda frame: start_s and (frame.time or 0.0) < start_s, decoded)
        first = next(wanted, None)
        if first is None:
            raise InputError(f"{path} holds no frame that can be decoded: give a video file")
        if first.height * first.width > LARGEST_FRAME:
            raise InputError(
                f"{path} has frames of {first.width}x{first.height}: scale it down to {LARGEST_FRAME:,} pixels or fewer"
            )
        self._stored = (first.width, first.height)
        self._turns = round(first.rotation / 90) % 4  # counterclockwise
        self.width, self.height = self._stored if self._turns % 2 == 0 else self._stored[::-1]
        ahead = [first, *itertools.islice(wanted, LOOK_AHEAD if self.fps > FASTEST_FPS else 0)]
        if len(gaps_s := [gap_s for gap_s in np.diff([frame.time or 0.0 for frame in ahead]) if gap_s > 0]):
            self.fps = float(1 / np.median(gaps_s))
        self._pending = itertools.chain(ahead, wanted)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The frames that are left, in order: uint8 HW3."""
        shown: NDArray[np.uint8] | None = None
        start_s, owed = 0.0, 0.0  # owed: time not yet covered by frames, in frames
        for frame in self._pending:
            time_s = frame.time if frame.time is not None else start_s + 1 / self.fps
            if shown is not None:
                lasts = min(time_s - start_s, LONGEST_STILL_S) * self.fps
                if abs(lasts - 1) <= STEADY:
                    times = 1
                else:
                    owed += lasts
                    times = max(0, round(owed))
                    owed -= times
                self.uneven += abs(times - 1)
                yield from itertools.repeat(shown, times)
            shown, start_s = self._upright(frame), time_s
        if shown is not None:
            yield shown

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            yield from (frame for frame in frames if isinstance(frame, av.VideoFrame))

    def _upright(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        width, height = self._stored  # a stream may change its size, a video here does not
        pixels_HW3 = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=INTERPOLATION)
        return np.ascontiguousarray(np.rot90(pixels_HW3, self._turns))


@contextmanager
def open_video(path: Path, start_s: float = 0.0) -> Iterator[VideoReader]:
    """Opens a video or an image of any format that FFmpeg knows; the first frame is decoded at once.

    Args:
        path: the file.
        start_s: the first frames before this time are passed over.

    Raises:
        InputError: no such file, it holds no video, nothing in it can be decoded, or its frames are too large.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: check the name")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty: give a video file")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {path} as a video ({error.strerror}): give a video file") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path} holds no video: give a video file")
        if start_s:
            with suppress(av.error.FFmpegError):  # a file without an index is read from its beginning
                container.seek(round(start_s * av.time_base))
        yield VideoReader(path, container, start_s)

"""Video files as other programs write them."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 10
FRAMES = 12
LEFT, RIGHT = np.array([200, 40, 40]), np.array([40, 40, 200])


def scene(frames: int = FRAMES, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Red on the left, blue on the right, a white bar on top that moves down by two rows a frame."""
    pixels = np.empty((frames, height, width, 3), np.uint8)
    pixels[:, :, : width // 2], pixels[:, :, width // 2 :] = LEFT, RIGHT
    for frame in range(frames):
        pixels[frame, 2 * frame : 2 * frame + 8] = 240
    return pixels


def make(
    path: Path,
    codec: str,
    pixel_format: str,
    pixels: NDArray[np.uint8],
    *,
    times_s: list[float] | None = None,
    rotation: int = 0,
    sound: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes a file as other programs do."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], pixel_format
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        for index, picture in enumerate(pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = round(1000 * (index / RATE if times_s is None else times_s[index]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            hush = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            hush.sample_rate, hush.pts = 8000, 0
            container.mux(audio.encode(hush))
            container.mux(audio.encode(None))
    # Run by root, SVT-AV1 takes real-time priority for the calling thread, which all later tests would inherit.
    os.sched_setscheduler(0, policy, priority)
    return path

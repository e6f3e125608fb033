"""A video of any size and length through the codec and back, frame by frame, in constant memory.

Frames are padded at the right and at the bottom, and the video at its end, by repeating what is last there, until the
geometry of the codec fits; the padding is cut off again, so every frame has its counterpart of the same size.

Suffixes: T frames, H height, W width, 3 RGB, B clips, C channels.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.codec.metrics import Closeness
from kinema.codec.pixels import from_uint8, half_precision, to_uint8
from kinema.codec.protocol import Codec
from kinema.codec.streaming import decode_stream, encode_stream, latents_at_once
from kinema.shapes import FRAMES_PER_LATENT, PIXELS_PER_LATENT

Pixels = NDArray[np.uint8]

LEAST_SIDE = 2 * PIXELS_PER_LATENT


def reconstruct(
    codec: Codec, frames: Iterable[Pixels], write: Callable[[Pixels], None], bf16: bool = False
) -> Closeness:
    """Encodes and decodes a video.

    Args:
        codec: the autoencoder.
        frames: uint8 HW3, at least one, all of one size.
        write: receives the decoded frames, uint8 THW3, in the order and of the size of ``frames``.
        bf16: compute in bfloat16.

    Returns:
        How close the decoded frames are.
    """
    waiting: deque[Pixels] = deque()  # frames that are not decoded yet
    closeness = Closeness()

    def remembered() -> Iterator[Pixels]:
        for frame_HW3 in frames:
            waiting.append(frame_HW3)
            yield frame_HW3

    with half_precision(torch.device("cpu"), bf16):
        for video_BCTHW in decode_stream(codec, encode_stream(codec, _chunks(remembered()))):
            count = min(video_BCTHW.shape[2], len(waiting))  # beyond them lies padding
            if count:
                truth_THW3 = np.stack([waiting.popleft() for _ in range(count)])
                height, width = truth_THW3.shape[1:3]
                decoded_THW3 = to_uint8(video_BCTHW[:, :, :count, :height, :width])[0]
                closeness.add(from_uint8(decoded_THW3[None]), from_uint8(truth_THW3[None]))
                write(decoded_THW3)
    return closeness


def _chunks(frames: Iterator[Pixels]) -> Iterator[Tensor]:
    """Frames as BCTHW that the codec takes, 1 + 4k in all."""
    first = next(frames)
    at_once = FRAMES_PER_LATENT * latents_at_once(*first.shape[:2])
    yield from_uint8(_padded(first)[None, None])
    while chunk := list(itertools.islice(frames, at_once)):
        chunk += [chunk[-1]] * (-len(chunk) % FRAMES_PER_LATENT)
        yield from_uint8(np.stack([_padded(frame) for frame in chunk])[None])


def _padded(frame_HW3: Pixels) -> Pixels:
    height, width = (max(LEAST_SIDE, side + -side % PIXELS_PER_LATENT) - side for side in frame_HW3.shape[:2])
    return np.pad(frame_HW3, ((0, height), (0, width), (0, 0)), mode="edge") if height or width else frame_HW3

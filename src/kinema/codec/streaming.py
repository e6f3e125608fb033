"""Video of any length and size through a codec in constant memory: chunks go in, chunks come out.

A causal codec needs of the past only what a small :class:`StreamState` holds, so a chunk costs the same wherever it
lies, and frames can be shown while later ones are still latents. The result is that of the whole clip, however the
chunks were cut. Frames too large to be coded in one piece go through in tiles.

Shapes: B clips, C channels, T frames, H height, W width; pixels are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from kinema.codec.protocol import Codec, StreamState
from kinema.codec.tiling import TiledCodec
from kinema.errors import InputError
from kinema.shapes import FRAMES_PER_LATENT, PIXELS_PER_LATENT

PIXELS_AT_ONCE = 1 << 19  # coded in one go, where a latent frame is not more: larger pieces are not faster
LARGEST_WHOLE = 512 * 512  # pixels of a frame; larger ones are coded in tiles


def encode_stream(codec: Codec, frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Encodes a video that arrives in chunks.

    Args:
        codec: the autoencoder.
        frames: chunks BCTHW of any numbers of frames, 1 + 4k in all. Sides are multiples of 8.

    Yields:
        latents_BCTHW, whose concatenation over time is ``codec.encode`` of the whole video (in tiles, if it is large).

    Raises:
        InputError: the chunks do not sum to 1 + 4k frames, or the size does not fit.
    """
    yield from _code(codec, frames, lambda codec: codec.encode, FRAMES_PER_LATENT, 1)


def decode_stream(codec: Codec, latents: Iterable[Tensor]) -> Iterator[Tensor]:
    """Decodes latents that arrive in chunks, for example frame by frame.

    Args:
        codec: the autoencoder.
        latents: chunks BCTHW of any numbers of latent frames.

    Yields:
        Pixels BCTHW in [-1, 1], float32, whose concatenation over time is ``codec.decode`` of all latents (in tiles,
        if it is large). Every chunk is decoded before the next one is asked for.
    """
    yield from _code(codec, latents, lambda codec: codec.decode, 1, PIXELS_PER_LATENT)


def latents_at_once(height: int, width: int) -> int:
    """How many latent frames of this size (in pixels) are worth coding in one go."""
    return max(1, PIXELS_AT_ONCE // (FRAMES_PER_LATENT * height * width))


def for_size(codec: Codec, height: int, width: int) -> Codec:
    """The codec itself, or around it the one that codes in tiles, whichever frames of this size (in pixels) need."""
    return codec if height * width <= LARGEST_WHOLE else TiledCodec(codec)


@torch.no_grad()
def _code(
    codec: Codec,
    chunks: Iterable[Tensor],
    direction: Callable[[Codec], Callable[[Tensor, StreamState], Tensor]],
    step: int,
    scale: int,
) -> Iterator[Tensor]:
    """Codes chunks in pieces of bounded size.

    Args:
        direction: encode or decode.
        step: frames of a chunk in a latent frame.
        scale: pixels a side in a cell of a chunk.
    """
    state, held, code, most = StreamState(), None, None, 0
    alone = 1  # the first frame of a video is a latent frame of its own
    for chunk in chunks:
        if held is None or code is None:
            height, width = (side * scale for side in chunk.shape[3:])
            code, most = direction(for_size(codec, height, width)), latents_at_once(height, width) * step
            held = chunk
        else:
            held = torch.cat([held, chunk], dim=2)
        while (size := alone + min(most, (held.shape[2] - alone) // step * step)) > 0:
            yield code(held[:, :, :size], state)
            held, alone = held[:, :, size:], 0
    if held is not None and held.shape[2]:
        raise InputError(f"{held.shape[2]} frames are left over after 1 + 4k: repeat the last one until they are 4")

"""Latents ↔ tokens: a patch is 1×2×2 latents.

Suffixes: C channels, T latent frames, H height, W width, N tokens (time-major, then row, then column).
"""

from __future__ import annotations

from torch import Tensor

from kinema.shapes import LATENT_CHANNELS, PATCH, TOKEN_CHANNELS, LatentShape


def patchify(latents_CTHW: Tensor) -> Tensor:
    """Folds each patch into the channels of one token.

    Args:
        latents_CTHW: latents of one clip, (LATENT_CHANNELS, frames, height, width); height and width even.

    Returns:
        tokens_NC, (frames · height/2 · width/2, TOKEN_CHANNELS).
    """
    channels, frames, height, width = latents_CTHW.shape
    assert channels == LATENT_CHANNELS, f"latents have {channels} channels, not {LATENT_CHANNELS}"
    rows, cols = height // PATCH, width // PATCH
    patches = latents_CTHW.reshape(channels, frames, rows, PATCH, cols, PATCH)
    return patches.permute(1, 2, 4, 0, 3, 5).reshape(frames * rows * cols, TOKEN_CHANNELS)


def unpatchify(tokens_NC: Tensor, shape: LatentShape) -> Tensor:
    """The inverse of :func:`patchify`.

    Args:
        tokens_NC: tokens of one clip, (shape.tokens.count, TOKEN_CHANNELS).
        shape: the latents to return.

    Returns:
        latents_CTHW.
    """
    grid = shape.tokens
    assert tokens_NC.shape == (grid.count, TOKEN_CHANNELS), f"{tuple(tokens_NC.shape)} tokens do not fill {shape}"
    patches = tokens_NC.reshape(grid.frames, grid.rows, grid.cols, LATENT_CHANNELS, PATCH, PATCH)
    return patches.permute(3, 0, 1, 4, 2, 5).reshape(shape.dims)

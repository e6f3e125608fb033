"""Where bodies go, as the denoiser is told it: which share of every cell of a token's patch boxes of each kind cover.

Where words leave the course of a body open, a denoiser begins to draw it on several, and bodies come out double. A
course that is decided before anything is denoised ends that (layouts that guide: GLIGEN, arXiv 2301.07093, and LVD,
arXiv 2309.17444).

Suffixes: N tokens of the pack, T latent frames, M moments of a latent frame, S moments of the tracks, B bodies,
K kinds, Y and X cells along the sides, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kinema.data import Tracks
from kinema.shapes import TokenGrid
from kinema.worlds import palette
from kinema.worlds.tracks import CLEAR

COLORS = (*palette.COLORS, CLEAR)
SHAPES = palette.SHAPES
KINDS = (*COLORS, *SHAPES)
CELLS = 4  # of a token, along each side
MOMENTS = 2  # of a latent frame; the first one has one, twice
TRACK_FEATURES = 1 + MOMENTS * len(KINDS) * CELLS**2


def moments_of(frames: int) -> list[int]:
    """The moments that so many latent frames hold, two of each."""
    return [0, 0, *range(1, MOMENTS * (frames - 1) + 1)]


def draw_tracks(tracks: Tracks, grid: TokenGrid) -> Tensor:
    """What the tokens of a clip are told.

    Args:
        tracks: of the clip; may go on after its end.
        grid: of the clip's tokens.

    Returns:
        (N, TRACK_FEATURES): a one, which says that the clip has tracks, and shares from 0 to 1.
    """
    moments = moments_of(grid.frames)
    assert max(moments) < len(tracks.box_SB4), "the tracks end before the clip"
    box_SB4 = torch.from_numpy(np.nan_to_num(tracks.box_SB4[moments]))  # what is not seen covers nothing
    left, top, right, bottom = box_SB4.unbind(-1)
    covered_SBYX = _covered(top, bottom, grid.rows)[..., None] * _covered(left, right, grid.cols)[..., None, :]
    cover_SKYX = torch.zeros(len(moments), len(KINDS), *covered_SBYX.shape[2:])
    for body, (color, shape) in enumerate(zip(tracks.colors, tracks.shapes, strict=True)):
        for kind in (KINDS.index(color), KINDS.index(shape)):
            cover_SKYX[:, kind] = torch.maximum(cover_SKYX[:, kind], covered_SBYX[:, body])
    cover_TMKryCcx = cover_SKYX.view(grid.frames, MOMENTS, len(KINDS), grid.rows, CELLS, grid.cols, CELLS)
    cover_NC = cover_TMKryCcx.permute(0, 3, 5, 1, 2, 4, 6).reshape(grid.count, TRACK_FEATURES - 1)
    return torch.cat([torch.ones(grid.count, 1), cover_NC], dim=1)


def _covered(low_SB: Tensor, high_SB: Tensor, tokens: int) -> Tensor:
    """The share of each cell along one side that lies between two bounds, (S, B, cells)."""
    edges = torch.linspace(0, 1, tokens * CELLS + 1)
    inside = torch.minimum(high_SB[..., None], edges[1:]) - torch.maximum(low_SB[..., None], edges[:-1])
    return (inside * (tokens * CELLS)).clamp(0, 1)

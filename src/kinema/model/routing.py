"""Tokens that skip the middle blocks in training, so that a step costs less (TREAD, arXiv 2501.04765).

A random part of the tokens of every latent frame goes from the first block straight to the last one; the others meet
in between as a smaller pack. Nothing is lost as with masked tokens: those that skipped are denoised by the last block
and the output, and every weight sees whole clips in sampling.

Suffixes: N tokens of the pack, K tokens that are kept, G × P tokens as groups of equal noise level (see
Layout.by_frame), C channels.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.model.layout import Group, Layout
from kinema.shapes import TokenGrid


@dataclass(frozen=True)
class Route:
    """The tokens that go through the middle blocks.

    Attributes:
        whole: the layout of all tokens.
        kept: theirs, in which a latent frame is one row of tokens. Their own places are not in it.
        index_K: which tokens of the pack they are, rising.
    """

    whole: Layout
    kept: Layout
    index_K: Tensor

    def enter(self, x_GPC: Tensor) -> Tensor:
        """The stream of those that are kept."""
        return self.kept.by_frame(x_GPC.flatten(0, 1)[self.index_K])

    def leave(self, before_GPC: Tensor, x_GPC: Tensor) -> Tensor:
        """The stream of all: what came out of the middle blocks, and what had skipped them."""
        return self.whole.by_frame(before_GPC.flatten(0, 1).index_copy(0, self.index_K, x_GPC.flatten(0, 1)))


def draw_route(layout: Layout, skipped: float) -> Route:
    """Draws which tokens skip, from torch's global generator: the same share of every latent frame, never all of it.

    Args:
        layout: of all tokens.
        skipped: share that skips, at least 0 and below 1.
    """
    kept = layout.remember(
        ("kept", skipped),
        lambda: Layout(
            [
                dataclasses.replace(segment, grid=TokenGrid(segment.grid.frames, 1, _kept_of(segment.grid, skipped)))
                for segment in layout.segments
            ],
            layout.device,
        ),
    )
    return Route(layout, kept, torch.cat([_drawn(group, skipped, layout.device) for group in layout.groups]))


def _kept_of(grid: TokenGrid, skipped: float) -> int:
    """Tokens of a latent frame that do not skip."""
    tokens = grid.rows * grid.cols
    return tokens - int(skipped * tokens)


def _drawn(group: Group, skipped: float, device: torch.device) -> Tensor:
    grid, frames = group.grid, group.count * group.grid.frames
    order_FP = torch.rand(frames, grid.rows * grid.cols, device=device).argsort(dim=1)
    kept_FK = order_FP[:, : _kept_of(grid, skipped)].sort(dim=1).values
    first_F = group.tokens.start + torch.arange(frames, device=device) * order_FP.shape[1]
    index_K: Tensor = (first_F[:, None] + kept_FK).flatten()
    return index_K

"""The last blocks of the denoiser, on every latent position: what a token of 2×2 latents is too coarse to draw.

The trunk decides what happens where, on few tokens. A small body fills less than one of them, so its outline has to be
told by the channels of a single token, and what stands still has to be found again in every frame. Here every latent
position becomes a token of its own, in a few narrow blocks that attend to the same place in other frames, see what the
trunk makes of each patch, and correct the trunk's velocity. A wide encoder on few tokens and a light velocity decoder
is the division of labour of DDT (arXiv 2504.05741); two token sizes in one transformer are those of HDiT (arXiv
2401.11605), and attention along time alone that of ViViT's factorised encoders (arXiv 2103.15691).

Suffixes: N tokens of the pack, n latent positions of the pack, F latent frames, C channels, M modulations, P latent
positions of a token, G × P positions as groups of equal noise level (see Layout.by_frame).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from kinema.captions.text_encoder import TextFeatures
from kinema.config import ModelConfig
from kinema.model.block import Block, Context, Projection, modulate
from kinema.model.layers import PLACE_FEATURES, place_features, readings_of, rotary_turn
from kinema.model.layout import Layout, Segment
from kinema.shapes import LATENT_CHANNELS, PATCH, TokenGrid

HEAD_CHANNELS = 32


class Detail(nn.Module):
    """Corrects the velocity of every latent position; the first correction is 0."""

    def __init__(self, text_width: int, trunk: ModelConfig) -> None:
        super().__init__()
        width = trunk.detail_width
        assert width % HEAD_CHANNELS == 0
        self.config = dataclasses.replace(
            trunk, width=width, depth=trunk.detail_depth, heads=width // HEAD_CHANNELS, detail_width=0
        )
        self.in_proj = Projection(LATENT_CHANNELS, width)
        self.trunk_proj = Projection(trunk.width, PATCH**2 * width)
        self.place_proj = Projection(PLACE_FEATURES, width, bias=False)
        self.modulation_proj = Projection(trunk.width, 8 * width)
        self.blocks = nn.ModuleList(Block(text_width, self.config) for _ in range(self.config.depth))
        self.out_proj = Projection(width, LATENT_CHANNELS)
        for layer in (self.modulation_proj, self.out_proj):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        trunk_NC: Tensor,
        noisy_NC: Tensor,
        layout: Layout,
        modulation_FMC: Tensor,
        features: TextFeatures,
    ) -> Tensor:
        """What to add to the trunk's velocity.

        Args:
            trunk_NC: the trunk's last features of every token.
            noisy_NC: (N, TOKEN_CHANNELS), as the trunk sees it.
            layout: of the tokens.
            modulation_FMC: of :meth:`modulation`, for every latent frame.
            features: of the text; keys and values, if there are any, are those of these blocks.

        Returns:
            (N, TOKEN_CHANNELS).
        """
        fine = layout.remember("fine", lambda: finer(layout))
        place_nC = fine.remember("place", lambda: place_features(fine))
        noisy_nC = split(noisy_NC.reshape(-1, LATENT_CHANNELS, PATCH**2).transpose(1, 2), layout)
        trunk_nC = split(self.trunk_proj(trunk_NC).view(len(trunk_NC), PATCH**2, -1), layout)
        x_GPC = fine.by_frame(self.in_proj(noisy_nC) + trunk_nC + self.place_proj(place_nC))
        turn, readings = rotary_turn(fine, self.config, x_GPC.dtype), readings_of(fine, features, x_GPC.dtype)
        context = Context(fine, turn, modulation_FMC[:, :6], features, readings, across_time=True)
        for index, block in enumerate(self.blocks):
            x_GPC = block(x_GPC, context, features.keys_values[index] if features.keys_values else None)
        last = fine.for_tokens(modulation_FMC[:, 6:].to(x_GPC.dtype))
        x_GPC = modulate(x_GPC, last[:, :, 0], last[:, :, 1])
        change_NPC = merge(self.out_proj(x_GPC.flatten(0, 1)), layout)
        return change_NPC.transpose(1, 2).flatten(1)

    def modulation(self, active_FC: Tensor) -> Tensor:
        """Six shifts, scales and gates of the blocks, then shift and scale of the end, (F, 8, C)."""
        modulation_FC: Tensor = self.modulation_proj(active_FC)
        return modulation_FC.view(len(active_FC), 8, -1)

    def text_keys_values(self, features: TextFeatures) -> tuple[tuple[Tensor, Tensor], ...]:
        """Of every block, see :meth:`kinema.model.block.Block.text_keys_values`."""
        return tuple(block.text_keys_values(features) for block in cast(Iterable[Block], self.blocks))


def finer(layout: Layout) -> Layout:
    """The same segments with every latent position as a token, row by row."""

    def of(segment: Segment) -> Segment:
        grid = segment.grid
        return dataclasses.replace(segment, grid=TokenGrid(grid.frames, PATCH * grid.rows, PATCH * grid.cols))

    return Layout([of(segment) for segment in layout.segments], layout.device)


def split(values_NPC: Tensor, layout: Layout) -> Tensor:
    """Values of the P = PATCH² positions of every token, in the order of the finer layout: (n, C)."""
    parts = []
    for group in layout.groups:
        grid, frames = group.grid, group.count * group.grid.frames
        patches = values_NPC[group.tokens].reshape(frames, grid.rows, grid.cols, PATCH, PATCH, -1)
        parts.append(patches.transpose(2, 3).reshape(-1, patches.shape[-1]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def merge(values_nC: Tensor, layout: Layout) -> Tensor:
    """The inverse of :func:`split`."""
    parts = []
    for group in layout.groups:
        grid, frames = group.grid, group.count * group.grid.frames
        begin, end = PATCH**2 * group.tokens.start, PATCH**2 * group.tokens.stop
        rows = values_nC[begin:end].reshape(frames, grid.rows, PATCH, grid.cols, PATCH, -1)
        parts.append(rows.transpose(2, 3).reshape(-1, PATCH**2, rows.shape[-1]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)

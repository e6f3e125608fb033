"""The denoiser: a transformer over spacetime patches that predicts the velocity noise − data.

Its blocks are those of the Wan family (arXiv 2503.20314, section 4.2), see block.py. Two things differ: the noise level
is per latent frame (diffusion forcing, arXiv 2407.01392), and every text token holds for a span of time. After the
trunk's blocks a few narrow ones may work on every latent position (detail.py).

Suffixes: N tokens of the pack, F latent frames of the pack, C channels, G × P tokens as groups of equal noise level
(see Layout.by_frame), M modulations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.text_encoder import TextEncoder, TextFeatures
from kinema.captions.tokenizer import TextPack
from kinema.config import ModelConfig, TextConfig
from kinema.model.block import Block, Context, Projection, modulate
from kinema.model.detail import Detail
from kinema.model.layers import PLACE_FEATURES, place_features, readings_of, rotary_turn, sinusoid
from kinema.model.layout import Layout
from kinema.model.routing import draw_route
from kinema.model.tracks import TRACK_FEATURES
from kinema.shapes import TOKEN_CHANNELS

SINUSOID_CHANNELS = 256


@dataclass(frozen=True)
class NoiseFeatures:
    """What the denoiser reads of noise levels; F is any list of levels, by default those of the latent frames.

    Attributes:
        embedding_FC: of each level.
        shared_FMC: its shift, scale and gate, shared by all blocks of the trunk.
        detail_FMC: the same for the blocks on every latent position, if there are any.
    """

    embedding_FC: Tensor
    shared_FMC: Tensor
    detail_FMC: Tensor | None = None

    def at(self, index_F: Tensor) -> NoiseFeatures:
        """The features of other latent frames, whose levels are among these."""
        detail_FMC = None if self.detail_FMC is None else self.detail_FMC[index_F]
        return NoiseFeatures(self.embedding_FC[index_F], self.shared_FMC[index_F], detail_FMC)


class TextToVideo(nn.Module):
    """Text encoder and denoiser, trained jointly."""

    def __init__(self, text: TextConfig, model: ModelConfig) -> None:
        super().__init__()
        self.text_encoder = TextEncoder(text)
        self.transformer = SpacetimeTransformer(text.width, model)

    def encode_text(self, text: TextPack) -> TextFeatures:
        """Features of captions; without gradients also their keys and values, to be reused at every step."""
        features: TextFeatures = self.text_encoder(text)
        return features if torch.is_grad_enabled() else self.transformer.with_keys_values(features)

    def forward(
        self,
        noisy_NC: Tensor,
        layout: Layout,
        noise_level_F: Tensor | NoiseFeatures,
        features: TextFeatures,
        skipped: float = 0.0,
        tracks_NC: Tensor | None = None,
    ) -> Tensor:
        """The velocity of every token; see :class:`SpacetimeTransformer`."""
        velocity_NC: Tensor = self.transformer(noisy_NC, layout, noise_level_F, features, skipped, tracks_NC)
        return velocity_NC


class SpacetimeTransformer(nn.Module):
    """Denoises packs of clips of any size."""

    def __init__(self, text_width: int, config: ModelConfig) -> None:
        super().__init__()
        assert config.width % (2 * config.heads) == 0
        self.config = config
        self.in_proj = Projection(TOKEN_CHANNELS, config.width)
        self.place_proj = Projection(PLACE_FEATURES, config.width, bias=False)
        self.tracks_proj = Projection(TRACK_FEATURES, config.width, bias=False) if config.tracks else None
        self.noise_embedding = nn.Sequential(
            Projection(SINUSOID_CHANNELS, config.width), nn.SiLU(), Projection(config.width, config.width)
        )
        self.modulation_proj = Projection(config.width, 6 * config.width)
        self.blocks = nn.ModuleList(Block(text_width, config) for _ in range(config.depth))
        self.head_table = nn.Parameter(torch.zeros(2, config.width))
        self.out_proj = Projection(config.width, TOKEN_CHANNELS)
        for layer in (self.modulation_proj, self.out_proj):  # the first velocity is 0
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if self.tracks_proj is not None:  # at first, tracks say nothing
            nn.init.zeros_(self.tracks_proj.weight)
        self.detail = Detail(text_width, config) if config.detail_width else None

    def forward(
        self,
        noisy_NC: Tensor,
        layout: Layout,
        noise_level_F: Tensor | NoiseFeatures,
        features: TextFeatures,
        skipped: float = 0.0,
        tracks_NC: Tensor | None = None,
    ) -> Tensor:
        """Predicts noise − data.

        Args:
            noisy_NC: (N, TOKEN_CHANNELS), the tokens of all segments end to end.
            layout: their places, on the same device.
            noise_level_F: σ in [0, 1] of each latent frame of the pack, or what :meth:`read_noise` made of it.
            features: one text per segment.
            skipped: share of the tokens that skip all blocks but the first and the last; for training alone.
            tracks_NC: where bodies go, of :func:`kinema.model.tracks.draw_tracks`, zeros for clips of which it is not
                told; left out, of none. For a model with ``tracks`` alone.

        Returns:
            velocity_NC, float32.
        """
        noise = noise_level_F if isinstance(noise_level_F, NoiseFeatures) else self.read_noise(noise_level_F)
        assert noisy_NC.shape[0] == layout.tokens and len(noise.embedding_FC) == layout.frames
        place_NC = layout.remember("place", lambda: place_features(layout))
        x_NC = self.in_proj(noisy_NC) + self.place_proj(place_NC)
        if tracks_NC is not None:
            assert self.tracks_proj is not None
            x_NC = x_NC + self.tracks_proj(tracks_NC)
        x_GPC = layout.by_frame(x_NC)
        readings = readings_of(layout, features, x_GPC.dtype)
        turn = rotary_turn(layout, self.config, x_GPC.dtype)
        context = Context(layout, turn, noise.shared_FMC, features, readings)
        if skipped:
            x_GPC = self._through_blocks(x_GPC, context, skipped)
        else:
            for index, block in enumerate(self.blocks):
                x_GPC = block(x_GPC, context, features.keys_values[index] if features.keys_values else None)
        last = layout.for_tokens((noise.embedding_FC[:, None] + self.head_table).to(x_GPC.dtype))
        x_GPC = modulate(x_GPC, last[:, :, 0], last[:, :, 1])
        velocity_NC: Tensor = self.out_proj(x_GPC.flatten(0, 1)).float()
        if self.detail is not None:
            assert noise.detail_FMC is not None
            keys_values = features.keys_values and features.keys_values[len(self.blocks) :]
            features = dataclasses.replace(features, keys_values=keys_values)
            change_NC = self.detail(x_GPC.flatten(0, 1), noisy_NC, layout, noise.detail_FMC, features)
            velocity_NC = velocity_NC + change_NC.float()
        return velocity_NC

    def _through_blocks(self, x_GPC: Tensor, context: Context, skipped: float) -> Tensor:
        """The blocks, where some tokens skip those in the middle."""
        first, *middle, last = self.blocks
        route = draw_route(context.layout, skipped)
        cos, sin = context.turn
        inner = dataclasses.replace(
            context,
            layout=route.kept,
            turn=(cos[route.index_K], sin[route.index_K]),
            readings=readings_of(route.kept, context.text, x_GPC.dtype),
        )
        before_GPC = first(x_GPC, context)
        x_GPC = route.enter(before_GPC)
        for block in middle:
            x_GPC = block(x_GPC, inner)
        x_GPC = last(route.leave(before_GPC, x_GPC), context)
        return x_GPC

    def read_noise(self, noise_level_F: Tensor) -> NoiseFeatures:
        """Embedding and modulation of noise levels; sampling computes those of all its levels once, before it steps."""
        embedding_FC = self.noise_embedding(sinusoid(noise_level_F, SINUSOID_CHANNELS))
        active_FC = F.silu(embedding_FC)
        detail_FMC = None if self.detail is None else self.detail.modulation(active_FC)
        return NoiseFeatures(embedding_FC, self.modulation_proj(active_FC).unflatten(-1, (6, -1)), detail_FMC)

    def with_keys_values(self, features: TextFeatures) -> TextFeatures:
        """The same features with every block's keys and values, so that a step of sampling need not compute them."""
        keys_values = tuple(block.text_keys_values(features) for block in cast(Iterable[Block], self.blocks))
        if self.detail is not None:
            keys_values += self.detail.text_keys_values(features)
        return dataclasses.replace(features, keys_values=keys_values)

"""The denoiser: a transformer over spacetime patches that predicts the velocity noise − data.

The block is that of the Wan family (arXiv 2503.20314, section 4.2): RMS-normalised queries and keys, 3-axis rotary
positions, cross-attention to text, tanh-GELU MLP, and a shift, scale and gate from the noise level through one
projection shared by all blocks plus a learned table per block. Two things differ: the noise level is per latent frame
(diffusion forcing, arXiv 2407.01392), and every text token holds for a span of time.

Suffixes: N tokens of the pack, F latent frames of the pack, C channels, H heads, D channels of a head, G × P tokens as
groups of equal noise level (see Layout.by_frame), B segments, L tokens of the longest text, M modulations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.attention import rotate, split_heads
from kinema.captions.text_encoder import TextEncoder, TextFeatures
from kinema.captions.tokenizer import TextPack
from kinema.config import ModelConfig, TextConfig
from kinema.model.layers import (
    PLACE_FEATURES,
    attend_segments,
    attend_text,
    place_features,
    rms_normalise,
    rotary_tables,
    sinusoid,
    text_biases,
)
from kinema.model.layout import Layout
from kinema.model.routing import draw_route
from kinema.shapes import TOKEN_CHANNELS

EPS = 1e-6
SINUSOID_CHANNELS = 256


@dataclass(frozen=True)
class Context:
    """What all blocks of one forward pass share.

    Attributes:
        layout: the places of the tokens.
        turn: cosine and sine of the rotary angles, (N, 1, K).
        shared_FMC: the shared projection of each latent frame's noise level.
        text: features of the captions.
        biases: which text each token sees, per group of the layout.
    """

    layout: Layout
    turn: tuple[Tensor, Tensor]
    shared_FMC: Tensor
    text: TextFeatures
    biases: list[Tensor | None]


@dataclass(frozen=True)
class NoiseFeatures:
    """What the denoiser reads of noise levels; F is any list of levels, by default those of the latent frames.

    Attributes:
        embedding_FC: of each level.
        shared_FMC: its shift, scale and gate, shared by all blocks.
    """

    embedding_FC: Tensor
    shared_FMC: Tensor

    def at(self, index_F: Tensor) -> NoiseFeatures:
        """The features of other latent frames, whose levels are among these."""
        return NoiseFeatures(self.embedding_FC[index_F], self.shared_FMC[index_F])


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
    ) -> Tensor:
        """The velocity of every token; see :class:`SpacetimeTransformer`."""
        velocity_NC: Tensor = self.transformer(noisy_NC, layout, noise_level_F, features, skipped)
        return velocity_NC


class Projection(nn.Linear):
    """A matrix between the stream of tokens and the outside; the optimizer for hidden matrices leaves it out."""

    no_muon = True


class SpacetimeTransformer(nn.Module):
    """Denoises packs of clips of any size."""

    def __init__(self, text_width: int, config: ModelConfig) -> None:
        super().__init__()
        assert config.width % (2 * config.heads) == 0
        self.config = config
        self.in_proj = Projection(TOKEN_CHANNELS, config.width)
        self.place_proj = Projection(PLACE_FEATURES, config.width, bias=False)
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

    def forward(
        self,
        noisy_NC: Tensor,
        layout: Layout,
        noise_level_F: Tensor | NoiseFeatures,
        features: TextFeatures,
        skipped: float = 0.0,
    ) -> Tensor:
        """Predicts noise − data.

        Args:
            noisy_NC: (N, TOKEN_CHANNELS), the tokens of all segments end to end.
            layout: their places, on the same device.
            noise_level_F: σ in [0, 1] of each latent frame of the pack, or what :meth:`read_noise` made of it.
            features: one row of text per segment.
            skipped: share of the tokens that skip all blocks but the first and the last; for training alone.

        Returns:
            velocity_NC, float32.
        """
        noise = noise_level_F if isinstance(noise_level_F, NoiseFeatures) else self.read_noise(noise_level_F)
        assert noisy_NC.shape[0] == layout.tokens and len(noise.embedding_FC) == layout.frames
        place_NC = layout.remember("place", lambda: place_features(layout))
        x_GPC = layout.by_frame(self.in_proj(noisy_NC) + self.place_proj(place_NC))
        biases = text_biases(layout, features, x_GPC.dtype)
        context = Context(layout, self._turn(layout, x_GPC.dtype), noise.shared_FMC, features, biases)
        if skipped:
            x_GPC = self._through_blocks(x_GPC, context, skipped)
        else:
            for index, block in enumerate(self.blocks):
                x_GPC = block(x_GPC, context, features.keys_values[index] if features.keys_values else None)
        last = layout.for_tokens((noise.embedding_FC[:, None] + self.head_table).to(x_GPC.dtype))
        x_GPC = modulate(x_GPC, last[:, :, 0], last[:, :, 1])
        velocity_NC: Tensor = self.out_proj(x_GPC.flatten(0, 1))
        return velocity_NC.float()

    def _through_blocks(self, x_GPC: Tensor, context: Context, skipped: float) -> Tensor:
        """The blocks, where some tokens skip those in the middle."""
        first, *middle, last = self.blocks
        route = draw_route(context.layout, skipped)
        cos, sin = context.turn
        inner = dataclasses.replace(
            context,
            layout=route.kept,
            turn=(cos[route.index_K], sin[route.index_K]),
            biases=text_biases(route.kept, context.text, x_GPC.dtype),
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
        return NoiseFeatures(embedding_FC, self.modulation_proj(F.silu(embedding_FC)).unflatten(-1, (6, -1)))

    def with_keys_values(self, features: TextFeatures) -> TextFeatures:
        """The same features with every block's keys and values, so that a step of sampling need not compute them."""
        keys_values = tuple(block.text_keys_values(features) for block in cast(Iterable[Block], self.blocks))
        return dataclasses.replace(features, keys_values=keys_values)

    def _turn(self, layout: Layout, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        cos, sin = layout.remember(("rotary", self.config), lambda: rotary_tables(layout, self.config))
        turn: tuple[Tensor, Tensor] = layout.remember(
            ("rotary", self.config, dtype), lambda: (cos.to(dtype), sin.to(dtype))
        )
        return turn


class Block(nn.Module):
    """Self-attention, cross-attention to text and MLP, each added to the stream of tokens."""

    PARTS = ("before_attention", "before_text", "after_text")

    def __init__(self, text_width: int, config: ModelConfig) -> None:
        super().__init__()
        width, hidden = config.width, int(config.width * config.mlp_ratio)
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width)
        # Over the whole width, as Wan does, so that its weights fit: heads may differ in strength.
        self.q_scale = nn.Parameter(torch.ones(width))
        self.k_scale = nn.Parameter(torch.ones(width))
        self.attention_out = nn.Linear(width, width)
        self.text_norm = nn.LayerNorm(width, EPS)
        self.text_q = nn.Linear(width, width)
        self.text_kv = nn.Linear(text_width, 2 * width)
        self.text_q_scale = nn.Parameter(torch.ones(width))
        self.text_k_scale = nn.Parameter(torch.ones(width))
        self.text_out = nn.Linear(width, width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.table = nn.Parameter(torch.zeros(6, width))
        self._initialise()

    def _initialise(self) -> None:
        """Every branch begins at zero through its last matrix, with its gate open, so that it learns at once."""
        for layer in (self.qkv, self.text_q, self.text_kv, self.up):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
        for layer in (self.attention_out, self.text_out, self.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.table[2] = self.table[5] = 1

    def text_keys_values(self, features: TextFeatures) -> tuple[Tensor, Tensor]:
        """Keys and values of all text tokens, (B, L, H, D) each; they do not depend on the noise level."""
        k_BLC, v_BLC = self.text_kv(features.values_BLC).chunk(2, dim=-1)
        k_BLC = rms_normalise(k_BLC, self.text_k_scale)
        return split_heads(k_BLC, self.heads), split_heads(v_BLC, self.heads)

    def forward(self, x_GPC: Tensor, context: Context, keys_values: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """One step of the stream.

        Args:
            x_GPC: the tokens.
            context: what all blocks share.
            keys_values: of :meth:`text_keys_values`, if known already.
        """
        layout, text = context.layout, context.text
        modulation = layout.for_tokens((context.shared_FMC + self.table).to(x_GPC.dtype))
        q_NHD, k_NHD, v_NHD = self.before_attention(x_GPC, modulation, *context.turn)
        mixed_NC = attend_segments(q_NHD, k_NHD, v_NHD, layout)
        x_GPC, q_NHD = self.before_text(x_GPC, mixed_NC, modulation)
        keys_values = keys_values or self.text_keys_values(text)
        mixed_NC = attend_text(q_NHD, *keys_values, layout, context.biases)
        return self.after_text(x_GPC, mixed_NC, modulation)

    # The three parts between the attentions know tensors only, so that each compiles to a few fused kernels. Their
    # modulation is (G, 1, M, C): shift, scale and gate of the attention, then of the MLP.

    def before_attention(
        self, x_GPC: Tensor, modulation: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the self-attention, (N, H, D) each."""
        shift, scale = modulation[:, :, 0], modulation[:, :, 1]
        q_NC, k_NC, v_NC = self.qkv(modulate(x_GPC, shift, scale).flatten(0, 1)).chunk(3, dim=-1)
        q_NHD = rotate(split_heads(rms_normalise(q_NC, self.q_scale), self.heads), (cos, sin))
        k_NHD = rotate(split_heads(rms_normalise(k_NC, self.k_scale), self.heads), (cos, sin))
        return q_NHD, k_NHD, split_heads(v_NC, self.heads)

    def before_text(self, x_GPC: Tensor, mixed_NC: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        """The stream with what the tokens told each other, and its queries to the text, (N, H, D)."""
        x_GPC = torch.addcmul(x_GPC, self.attention_out(mixed_NC).view_as(x_GPC), modulation[:, :, 2])
        q_NC = rms_normalise(self.text_q(self.text_norm(x_GPC).flatten(0, 1)), self.text_q_scale)
        return x_GPC, split_heads(q_NC, self.heads)

    def after_text(self, x_GPC: Tensor, mixed_NC: Tensor, modulation: Tensor) -> Tensor:
        """The stream with what the text told it, and the MLP."""
        x_GPC = x_GPC + self.text_out(mixed_NC).view_as(x_GPC)
        shift, scale, gate = modulation[:, :, 3], modulation[:, :, 4], modulation[:, :, 5]
        hidden = F.gelu(self.up(modulate(x_GPC, shift, scale)), approximate="tanh")
        return torch.addcmul(x_GPC, self.down(hidden), gate)


def modulate(x_GPC: Tensor, shift_G1C: Tensor, scale_G1C: Tensor) -> Tensor:
    """Layer norm, then scale and shift by what the noise level of each latent frame says (DiT, arXiv 2212.09748)."""
    return torch.addcmul(shift_G1C, F.layer_norm(x_GPC, x_GPC.shape[-1:], eps=EPS), 1 + scale_G1C)

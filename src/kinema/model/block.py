"""The block of the denoiser and what all blocks of a forward pass share.

The block is that of the Wan family (arXiv 2503.20314, section 4.2): RMS-normalised queries and keys, 3-axis rotary
positions, cross-attention to text, tanh-GELU MLP, and a shift, scale and gate from the noise level through one
projection shared by all blocks plus a learned table per block.

Suffixes: N tokens of the pack, F latent frames of the pack, C channels, H heads, D channels of a head, K rotary angles,
G × P tokens as groups of equal noise level (see Layout.by_frame), S tokens of all texts,
M modulations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.attention import rotate, split_heads
from kinema.captions.text_encoder import TextFeatures
from kinema.config import ModelConfig
from kinema.model.layers import Reading, attend_places, attend_segments, attend_text, gelu, rms_normalise
from kinema.model.layout import Layout

EPS = 1e-6


@dataclass(frozen=True)
class Context:
    """What all blocks of one forward pass share.

    Attributes:
        layout: the places of the tokens.
        turn: cosine and sine of the rotary angles, (N, 1, K).
        shared_FMC: the shared projection of each latent frame's noise level.
        text: features of the captions.
        readings: which tokens read which text together.
        across_time: whether tokens attend to those of their own place only, in all frames of their segment.
    """

    layout: Layout
    turn: tuple[Tensor, Tensor]
    shared_FMC: Tensor
    text: TextFeatures
    readings: list[Reading]
    across_time: bool = False


class Projection(nn.Linear):
    """A matrix between the stream of tokens and the outside; the optimizer for hidden matrices leaves it out."""

    no_muon = True


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
        """Keys and values of all text tokens, (S, H, D) each; they do not depend on the noise level."""
        k_SC, v_SC = self.text_kv(features.values_SC).chunk(2, dim=-1)
        k_SC = rms_normalise(k_SC, self.text_k_scale)
        return split_heads(k_SC, self.heads), split_heads(v_SC, self.heads)

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
        attend_tokens = attend_places if context.across_time else attend_segments
        mixed_NC = attend_tokens(q_NHD, k_NHD, v_NHD, layout)
        x_GPC, q_NHD = self.before_text(x_GPC, mixed_NC, modulation)
        keys_values = keys_values or self.text_keys_values(text)
        mixed_NC = attend_text(q_NHD, *keys_values, context.readings)
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
        hidden = gelu(self.up(modulate(x_GPC, shift, scale)))
        return torch.addcmul(x_GPC, self.down(hidden), gate)


def modulate(x_GPC: Tensor, shift_G1C: Tensor, scale_G1C: Tensor) -> Tensor:
    """Layer norm, then scale and shift by what the noise level of each latent frame says (DiT, arXiv 2212.09748)."""
    return torch.addcmul(shift_G1C, F.layer_norm(x_GPC, x_GPC.shape[-1:], eps=EPS), 1 + scale_G1C)

"""A small bidirectional transformer that reads captions, trained jointly with the denoiser.

Summary and beats of a caption are read together, so "it" in a beat can find its noun in the summary; which latent
frame sees which token is decided later, by the spans.

Suffixes: B captions, L tokens of the longest caption, C channels, H heads, D channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.attention import angular_frequencies, attend, rotate, split_heads, visibility_bias
from kinema.captions.tokenizer import TextPack
from kinema.config import TextConfig

SHORTEST_PERIOD, LONGEST_PERIOD = 4.0, 512.0  # rotary periods in tokens of text
MLP_RATIO = 4


@dataclass(frozen=True)
class TextFeatures:
    """What the denoiser reads: one vector a token, and the span it speaks about.

    Attributes:
        values_BLC: features of the tokens.
        start_s_BL: start of each token's span in seconds, −inf for the summary.
        end_s_BL: end of each token's span in seconds, inf for the summary.
        mask_BL: False on padding.
        keys_values: per block of the denoiser, keys and values of these tokens, (B, L, heads, channels) each; set when
            features are reused over many steps of sampling.
    """

    values_BLC: Tensor
    start_s_BL: Tensor
    end_s_BL: Tensor
    mask_BL: Tensor
    keys_values: tuple[tuple[Tensor, Tensor], ...] | None = None


class TextEncoder(nn.Module):
    """Token ids to features: embedding, ``depth`` pre-norm blocks, final norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        assert config.width % config.heads == 0
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(TextBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        half = config.width // config.heads // 2
        frequency_K = angular_frequencies(half, SHORTEST_PERIOD, LONGEST_PERIOD)
        self.register_buffer("frequency_K", frequency_K, persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.5)

    def forward(self, text: TextPack) -> TextFeatures:
        """Reads all captions of a pack.

        Args:
            text: rows of token ids; the longest row costs, so pack captions of similar length.
        """
        x_BLC = self.embedding(text.ids_BL)
        angle_LK = torch.arange(x_BLC.shape[1], device=x_BLC.device)[:, None] * self.get_buffer("frequency_K")
        turn = angle_LK.cos()[:, None], angle_LK.sin()[:, None]
        full = bool(text.mask_BL.all())
        for block in self.blocks:
            x_BLC = block(x_BLC, turn, None if full else text.mask_BL)
        return TextFeatures(self.norm(x_BLC), text.start_s_BL, text.end_s_BL, text.mask_BL)


class TextBlock(nn.Module):
    """Self-attention and MLP, each after a norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, MLP_RATIO * width)
        self.down = nn.Linear(MLP_RATIO * width, width)
        for layer in (self.qkv, self.up):
            nn.init.normal_(layer.weight, std=width**-0.5)
            nn.init.zeros_(layer.bias)
        for layer in (self.out, self.down):  # the block begins as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BLC: Tensor, turn: tuple[Tensor, Tensor], mask_BL: Tensor | None) -> Tensor:
        """Lets every token read the tokens of its row; ``mask_BL`` is None if there is no padding."""
        qkv_BLHD = split_heads(self.qkv(self.attention_norm(x_BLC)), 3 * self.heads)
        q_BLHD, k_BLHD = rotate(qkv_BLHD[:, :, : 2 * self.heads], turn).chunk(2, dim=2)
        v_BLHD = qkv_BLHD[:, :, 2 * self.heads :]
        bias_BTL = None if mask_BL is None else visibility_bias(mask_BL[:, None], q_BLHD.dtype)
        x_BLC = x_BLC + self.out(attend(q_BLHD, k_BLHD, v_BLHD, bias_BTL))
        hidden = F.gelu(self.up(self.mlp_norm(x_BLC)), approximate="tanh")
        mlp_BLC: Tensor = self.down(hidden)
        return x_BLC + mlp_BLC

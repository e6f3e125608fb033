"""A small bidirectional transformer that reads captions, trained jointly with the denoiser.

Summary and beats of a caption are read together, so "it" in a beat can find its noun in the summary; which latent
frame sees which token is decided later, by the spans.

Suffixes: S tokens of all captions, end to end, B captions of a batch, L tokens of a row, C channels, H heads,
D channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.captions.attention import angular_frequencies, attend, rotate, split_heads
from kinema.captions.rows import STREAM, Rows, batches_of, spare
from kinema.captions.tokenizer import TextPack
from kinema.config import TextConfig

SHORTEST_PERIOD, LONGEST_PERIOD = 4.0, 512.0  # rotary periods in tokens of text
MLP_RATIO = 4


@dataclass(frozen=True)
class TextFeatures:
    """What the denoiser reads: one vector a token, and the span it speaks about.

    Attributes:
        values_SC: features of the tokens, and of padding after the last one.
        start_s_S: start of each token's span in seconds, −inf for the summary.
        end_s_S: end of each token's span in seconds, inf for the summary.
        lengths: tokens of each text.
        keys_values: per block of the denoiser, keys and values of these tokens, (S, heads, channels) each; set when
            features are reused over many steps of sampling.
    """

    values_SC: Tensor
    start_s_S: Tensor
    end_s_S: Tensor
    lengths: tuple[int, ...]
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
        """Reads all captions of a pack."""
        padding = spare(len(text.ids_S), STREAM, len(text.lengths))
        x_SC = self.embedding(F.pad(text.ids_S, (0, padding)))
        index_S = torch.cat([torch.arange(length) for length in (*text.lengths, padding)])
        index_S = index_S.to(x_SC.device, non_blocking=True)
        angle_SK = index_S[:, None] * self.get_buffer("frequency_K")
        turn = angle_SK.cos()[:, None], angle_SK.sin()[:, None]
        batches = batches_of(text.lengths, slice(0, len(text.lengths)), x_SC.device)
        for block in self.blocks:
            x_SC = block(x_SC, turn, batches)
        return TextFeatures(self.norm(x_SC), text.start_s_S, text.end_s_S, text.lengths)


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

    def forward(self, x_SC: Tensor, turn: tuple[Tensor, Tensor], batches: Sequence[Rows]) -> Tensor:
        """Lets every token read the tokens of its caption."""
        qkv_SHD = split_heads(self.qkv(self.attention_norm(x_SC)), 3 * self.heads)
        turned_SHD, v_SHD = rotate(qkv_SHD[:, : 2 * self.heads], turn), qkv_SHD[:, 2 * self.heads :]
        mixed = []
        for rows in batches:
            q_BLHD, k_BLHD = rows.pad(turned_SHD).chunk(2, dim=2)
            mixed.append(rows.flat(attend(q_BLHD, k_BLHD, rows.pad(v_SHD), rows.bias(q_BLHD.dtype))))
        mixed_SC = torch.cat(mixed)
        x_SC = x_SC + self.out(F.pad(mixed_SC, (0, 0, 0, len(x_SC) - len(mixed_SC))))
        hidden = F.gelu(self.up(self.mlp_norm(x_SC)), approximate="tanh")
        mlp_SC: Tensor = self.down(hidden)
        return x_SC + mlp_SC

"""Pure helpers of the denoiser: norms, rotary tables, attention inside the segments of a pack, timed text.

Suffixes: N tokens of the pack, F latent frames of the pack, C channels, H heads, D channels of a head, K rotary angles
(D / 2), G × P tokens as groups of equal noise level (see Layout.by_frame), B equal segments, T tokens of a segment,
S tokens of all texts, L tokens of a row of texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.captions.attention import angular_frequencies, attend, visibility_bias
from kinema.captions.rows import Rows, batches_of
from kinema.captions.text_encoder import TextFeatures
from kinema.config import ModelConfig
from kinema.model.layout import Group, Layout

SHORTEST_SECONDS = 0.8  # rotary period; two latent frames of the fastest video (30 frames per second) are 0.27 s apart
SHORTEST_TOKENS = 4.0  # rotary period along rows and columns

PLACE_DECAYS_S = (0.25, 0.5, 1.0, 2.0, 4.0)  # time since the start, saturating: bounded for videos longer than any seen
PLACE_WAVES = (0.5, 1.0, 2.0)  # periods per picture along each side
PLACE_FEATURES = len(PLACE_DECAYS_S) + 4 * len(PLACE_WAVES)


def rms_normalise(x: Tensor, scale_C: Tensor, eps: float = 1e-6) -> Tensor:
    """Divides by the root mean square over the last axis and scales (arXiv 1910.07467, equation 4).

    Written with a vector norm because it takes half the time of ``torch.nn.functional.rms_norm`` on a CPU.
    """
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / (norm + eps) * (scale_C * math.sqrt(x.shape[-1])).to(x.dtype)


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form (arXiv 1606.08415), ½ (1 + tanh u) = sigmoid(2 u).

    A compiled kernel on a CPU takes two and a half times as long for a tanh as for the sigmoid of its double.
    """
    if torch.compiler.is_compiling():
        return x * torch.sigmoid(math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))
    return F.gelu(x, approximate="tanh")


def sinusoid(noise_level_F: Tensor, channels: int) -> Tensor:
    """Cosines and sines of 1000 σ at frequencies from 1 to 1/10000 (as in DDPM, arXiv 2006.11239).

    Returns:
        (F, channels), float32.
    """
    half = channels // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, device=noise_level_F.device) / half)
    angle = 1000 * noise_level_F.float()[:, None] * frequency
    return torch.cat((angle.cos(), angle.sin()), dim=-1)


def rotary_tables(layout: Layout, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every token's rotary angles: time in seconds, then rows and columns in tokens.

    Each axis owns a share of the K angles (as in Wan: 4/10 time, 3/10 rows, 3/10 columns), with periods in geometric
    progression up to the bases of the config.

    Returns:
        Two tensors (N, 1, K), float32.
    """
    count = config.width // config.heads // 2
    space = round(0.3 * count)
    seconds = angular_frequencies(count - 2 * space, SHORTEST_SECONDS, config.rope_seconds_base).to(layout.device)
    tokens = angular_frequencies(space, SHORTEST_TOKENS, config.rope_space_base).to(layout.device)
    time_s_N = layout.time_s_F[layout.frame_N]
    angle_NK = torch.cat(
        (time_s_N[:, None] * seconds, layout.row_N[:, None] * tokens, layout.col_N[:, None] * tokens), dim=-1
    )
    return angle_NK.cos()[:, None], angle_NK.sin()[:, None]


def rotary_turn(layout: Layout, config: ModelConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The same in another precision, computed once for a layout."""
    cos, sin = layout.remember(("rotary", config), lambda: rotary_tables(layout, config))
    turn: tuple[Tensor, Tensor] = layout.remember(("rotary", config, dtype), lambda: (cos.to(dtype), sin.to(dtype)))
    return turn


def place_features(layout: Layout) -> Tensor:
    """Where a token lies in the picture and how long after the start: what relative rotary positions do not tell.

    Rows and columns are taken relative to the sides, so a floor is at the bottom of any size.

    Returns:
        (N, PLACE_FEATURES), float32.
    """
    decay_s = torch.tensor(PLACE_DECAYS_S, device=layout.device)
    waves = 2 * torch.pi * torch.tensor(PLACE_WAVES, device=layout.device)
    rows_N = torch.tensor([float(s.grid.rows) for s in layout.segments], device=layout.device)[layout.segment_N]
    cols_N = torch.tensor([float(s.grid.cols) for s in layout.segments], device=layout.device)[layout.segment_N]
    parts = [torch.exp(-layout.time_s_F[layout.frame_N][:, None] / decay_s)]
    for index_N, size_N in ((layout.row_N, rows_N), (layout.col_N, cols_N)):
        angle = ((index_N + 0.5) / size_N - 0.5)[:, None] * waves
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts, dim=-1)


def batch(values_N: Tensor, count: int) -> Tensor:
    """Views the tokens of equal segments as a batch, (count · T, …) → (count, T, …)."""
    return values_N.view(count, values_N.shape[0] // count, *values_N.shape[1:])


def attend_segments(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, layout: Layout) -> Tensor:
    """Attention of all tokens of a segment with each other.

    On CUDA in half precision, packs of several shapes take one call of FlashAttention with variable lengths. Elsewhere
    equal neighbours are one batch, and the batches are done one by one.

    Returns:
        (N, H · D).
    """
    if not layout.uniform and v_NHD.is_cuda and v_NHD.dtype in (torch.bfloat16, torch.float16):
        return attend_lengths(q_NHD, k_NHD, v_NHD, layout)
    mixed = []
    for group in layout.groups:
        q, k, v = (batch(x[group.tokens], group.count) for x in (q_NHD, k_NHD, v_NHD))
        mixed.append(attend(q, k, v).flatten(0, 1))
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def attend_lengths(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, layout: Layout) -> Tensor:
    """The same in one call, by the places where segments begin (varlen FlashAttention, arXiv 2307.08691)."""
    from torch.nn.attention.varlen import varlen_attn  # takes a second to import, and the CPU never needs it

    begins = layout.remember("begins", lambda: segment_begins(layout))
    longest = max(segment.grid.count for segment in layout.segments)
    dtype = v_NHD.dtype
    mixed_NHD = varlen_attn(q_NHD.to(dtype), k_NHD.to(dtype), v_NHD.contiguous(), begins, begins, longest, longest)
    assert isinstance(mixed_NHD, Tensor)
    return mixed_NHD.flatten(1)


def attend_places(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, layout: Layout) -> Tensor:
    """Attention of every token with those of its own place in the other latent frames of its segment.

    Returns:
        (N, H · D).
    """
    mixed = []
    for group in layout.groups:
        mixed_BTC = attend(*(_by_place(x_NHD, group) for x_NHD in (q_NHD, k_NHD, v_NHD)))
        by_place = mixed_BTC.reshape(group.count, -1, group.grid.frames, mixed_BTC.shape[-1])
        mixed.append(by_place.transpose(1, 2).flatten(0, 2))
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def _by_place(x_NHD: Tensor, group: Group) -> Tensor:
    """The tokens of a group as a batch of places, a row per latent frame in each."""
    x_BFPHD = x_NHD[group.tokens].view(group.count, group.grid.frames, -1, *x_NHD.shape[1:])
    return x_BFPHD.transpose(1, 2).flatten(0, 1)


def segment_begins(layout: Layout) -> Tensor:
    """The first token of every segment, and the end: int32, one more than segments."""
    counts = torch.tensor([segment.grid.count for segment in layout.segments])
    return F.pad(counts.cumsum(0), (1, 0)).to(layout.device, torch.int32)


@dataclass(frozen=True)
class Reading:
    """Neighbouring segments of equal grids whose texts are of similar length: they read as one batch.

    Attributes:
        rows: their texts.
        tokens: their tokens in the pack.
        bias: added to the scores, (B, T, L), or (B, 1, L) if time does not matter; None if all see everything.
    """

    rows: Rows
    tokens: slice
    bias: Tensor | None


def attend_text(q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, readings: Sequence[Reading]) -> Tensor:
    """Attention of all tokens to the text of their segment.

    Returns:
        (N, H · D).
    """
    mixed = []
    counts = [reading.tokens.stop - reading.tokens.start for reading in readings]
    parts = torch.split(q_NHD, counts)  # gradients of parts are joined, those of slices are added up
    for reading, q_THD in zip(readings, parts, strict=True):
        rows = reading.rows
        q_BTHD = batch(q_THD, len(rows.mask_BL))
        mixed.append(attend(q_BTHD, rows.pad(k_SHD), rows.pad(v_SHD), reading.bias).flatten(0, 1))
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def readings_of(layout: Layout, text: TextFeatures, dtype: torch.dtype) -> list[Reading]:
    """Which text each token sees: tokens whose span holds the time of its latent frame, both ends included."""
    assert len(text.lengths) == len(layout.segments), "one text per segment"
    timed = not bool((torch.isinf(text.start_s_S) & torch.isinf(text.end_s_S)).all())
    readings, token, frame = [], 0, 0
    for group in layout.groups:
        grid = group.grid
        for rows in batches_of(text.lengths, group.segments, layout.device):
            count = len(rows.mask_BL)
            tokens = slice(token, token + count * grid.count)
            frames = slice(frame, frame + count * grid.frames)
            bias = rows.bias(dtype)
            if timed:
                visible_BFL = _visible(batch(layout.time_s_F[frames], count), rows, text)
                bias = visibility_bias(visible_BFL, dtype).repeat_interleave(grid.rows * grid.cols, dim=1)
            readings.append(Reading(rows, tokens, bias))
            token, frame = tokens.stop, frames.stop
    return readings


def _visible(time_s_BF: Tensor, rows: Rows, text: TextFeatures) -> Tensor:
    """Which tokens of its text each latent frame sees, (B, F, L)."""
    start_s_BL, end_s_BL = rows.pad(text.start_s_S), rows.pad(text.end_s_S)
    time_s_BF1 = time_s_BF[:, :, None]
    return (start_s_BL[:, None] <= time_s_BF1) & (time_s_BF1 <= end_s_BL[:, None]) & rows.mask_BL[:, None]

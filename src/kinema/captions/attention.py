"""Attention and rotary positions, shared by the text encoder and the denoiser.

Suffixes: B rows, T queries, S keys, H heads, D channels of a head, K rotary angles (D / 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Up to this many scores a head, two matrix products and a softmax train 3 to 4 times as fast on a CPU in bfloat16 as
# the fused kernel (24 × 5 heads × 144 × 144, forward and backward: 13 ms against 43 ms); beyond it the fused one wins.
EXPLICIT_SCORES = 200_000


def attend(q_BTHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, bias_BTS: Tensor | None = None) -> Tensor:
    """Softmax attention of every head (Vaswani et al. 2017, arXiv 1706.03762, equation 1).

    Args:
        q_BTHD: queries.
        k_BSHD: keys.
        v_BSHD: values.
        bias_BTS: added to the scores of all heads, 0 or −inf, in the dtype of the queries; T may be 1. At least one
            key of each query must be visible.

    Returns:
        (B, T, H · D), the heads side by side.
    """
    q, k, v = (tensor.transpose(1, 2) for tensor in (q_BTHD, k_BSHD, v_BSHD))
    bias = None if bias_BTS is None else bias_BTS[:, None]
    if q.device.type == "cpu" and q.shape[2] * k.shape[2] <= EXPLICIT_SCORES:
        scores_BHTS = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if bias is not None:
            scores_BHTS = scores_BHTS + bias
        mixed_BHTD = scores_BHTS.softmax(-1) @ v
    else:
        mixed_BHTD = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    joined: Tensor = mixed_BHTD.transpose(1, 2).flatten(2)
    return joined


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Splits the last axis, (..., heads · D) → (..., heads, D)."""
    return x.view(*x.shape[:-1], heads, x.shape[-1] // heads)


def visibility_bias(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Booleans as a bias on attention scores: 0 where visible, −inf elsewhere."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, -torch.inf)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turns pairs of channels (i, i + D/2) by given angles (RoFormer, arXiv 2104.09864, equation 34).

    Args:
        x: (..., D).
        turn: cosine and sine of the angles, broadcastable to (..., K); applied in the dtype of ``x``.
    """
    cos, sin = (table.to(x.dtype) for table in turn)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def angular_frequencies(count: int, shortest: float, longest: float) -> Tensor:
    """Frequencies 2π / period, with ``count`` periods in geometric progression between two bounds, both included."""
    exponent_K = torch.linspace(0, 1, count, dtype=torch.float64)
    return (2 * torch.pi / (shortest * (longest / shortest) ** exponent_K)).float()

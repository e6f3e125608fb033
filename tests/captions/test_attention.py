from __future__ import annotations

import math

import pytest
import torch

from kinema.captions import attention
from kinema.captions.attention import angular_frequencies, attend, rotate, split_heads, visibility_bias


@pytest.mark.parametrize("masked", [False, True])
def test_explicit_and_fused_attention_agree(monkeypatch: pytest.MonkeyPatch, masked: bool) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 5, 3, 8), torch.randn(2, 7, 3, 8), torch.randn(2, 7, 3, 8)
    visible = torch.rand(2, 5, 7) < 0.5
    visible[..., 0] = True
    bias = visibility_bias(visible, q.dtype) if masked else None
    explicit = attend(q, k, v, bias)
    monkeypatch.setattr(attention, "EXPLICIT_SCORES", 0)
    torch.testing.assert_close(attend(q, k, v, bias), explicit)
    assert explicit.shape == (2, 5, 24)


def test_hidden_keys_have_no_influence() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 2, 1, 4), torch.randn(1, 3, 1, 4), torch.randn(1, 3, 1, 4)
    bias = visibility_bias(torch.tensor([[[True, True, False]]]), q.dtype)
    torch.testing.assert_close(attend(q, k, v, bias), attend(q, k[:, :2], v[:, :2]))


def test_rotation_keeps_lengths_and_makes_products_depend_on_the_distance_alone() -> None:
    torch.manual_seed(0)
    x, y, frequency = torch.randn(8), torch.randn(8), torch.rand(4)

    def turned(vector: torch.Tensor, position: float) -> torch.Tensor:
        return rotate(vector, ((position * frequency).cos(), (position * frequency).sin()))

    torch.testing.assert_close(turned(x, 3.0).norm(), x.norm())
    torch.testing.assert_close(turned(x, 5.0) @ turned(y, 3.5), turned(x, 1.5) @ y)
    assert abs(turned(x, 5.0) @ turned(y, 3.5) - turned(x, 5.0) @ turned(y, 3.0)) > 1e-3


def test_periods_span_the_bounds() -> None:
    periods = 2 * math.pi / angular_frequencies(5, 0.5, 50.0)
    torch.testing.assert_close(periods[[0, -1]], torch.tensor([0.5, 50.0]))
    torch.testing.assert_close(periods[1:] / periods[:-1], torch.full((4,), 100**0.25))


def test_heads_are_neighbouring_channels() -> None:
    assert split_heads(torch.arange(6.0)[None], 2).tolist() == [[[0, 1, 2], [3, 4, 5]]]

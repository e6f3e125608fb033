from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.captions.text_encoder import TextFeatures
from kinema.config import ModelConfig
from kinema.model.layers import (
    attend_lengths,
    attend_segments,
    place_features,
    readings_of,
    rms_normalise,
    rotary_tables,
    sinusoid,
)
from kinema.model.layout import Layout, Segment
from kinema.shapes import TokenGrid, latent_time_s


def features(*spans: list[tuple[float, float]]) -> TextFeatures:
    starts, ends = (torch.tensor([span[i] for text in spans for span in text]) for i in range(2))
    return TextFeatures(torch.zeros(len(starts), 4), starts, ends, tuple(len(text) for text in spans))


ALWAYS = (-math.inf, math.inf)


def test_rms_norm_agrees_with_torch() -> None:
    x, scale = torch.randn(5, 16), torch.rand(16)
    torch.testing.assert_close(rms_normalise(x, scale), F.rms_norm(x, (16,), scale, 1e-6))
    assert rms_normalise(torch.zeros(1, 16), scale).abs().max() == 0


def test_one_call_with_lengths_is_attention_inside_every_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the CUDA kernel is given, with a stand-in that does its work by the places where segments begin."""
    from torch.nn.attention import varlen

    def stand_in(
        q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, begins: Tensor, begins_k: Tensor, longest: int, longest_k: int
    ) -> Tensor:
        assert begins.dtype == torch.int32 and torch.equal(begins, begins_k) and longest == longest_k
        sizes = begins.diff().tolist()
        assert max(sizes) == longest and q_NHD.dtype == k_NHD.dtype == v_NHD.dtype and q_NHD.shape == v_NHD.shape
        rows = zip(*(x.transpose(0, 1).split(sizes, dim=1) for x in (q_NHD, k_NHD, v_NHD)), strict=True)
        return torch.cat([F.scaled_dot_product_attention(q, k, v) for q, k, v in rows], dim=1).transpose(0, 1)

    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    layout = Layout([Segment(grid, 12.0) for grid in (TokenGrid(3, 2, 2), TokenGrid(1, 2, 4), TokenGrid(3, 2, 2))])
    q, k, v = torch.randn(3, layout.tokens, 2, 8)
    torch.testing.assert_close(attend_lengths(q, k, v, layout), attend_segments(q, k, v, layout))


def test_noise_levels_are_told_apart() -> None:
    embedding = sinusoid(torch.linspace(0, 1, 1001), 256)
    assert embedding.shape == (1001, 256)
    assert torch.pdist(embedding).min() > 0.1


def test_rotary_time_is_in_seconds() -> None:
    config = ModelConfig(width=64, heads=2)
    at_12, at_24 = (Layout([Segment(TokenGrid(9, 2, 3), fps)]) for fps in (12.0, 24.0))
    cos_12, cos_24 = rotary_tables(at_12, config)[0], rotary_tables(at_24, config)[0]
    shifted = Layout([Segment(TokenGrid(1, 2, 3), 12.0, start_s=latent_time_s(8, 24.0))])
    torch.testing.assert_close(rotary_tables(shifted, config)[0], cos_24[-6:])
    assert (cos_12[-6:] - cos_24[-6:]).abs().max() > 0.1


def test_every_place_of_a_long_wide_video_has_its_own_features() -> None:
    layout = Layout([Segment(TokenGrid(3, 8, 16), 12.0)])
    assert torch.pdist(place_features(layout)).min() > 1e-3
    late = place_features(Layout([Segment(TokenGrid(1, 1, 1), 12.0, start_s=60.0)]))
    assert late.abs().max() <= 1


def test_corners_look_alike_at_every_size() -> None:
    small, large = (place_features(Layout([Segment(TokenGrid(1, side, side), 12.0)])) for side in (16, 64))
    torch.testing.assert_close(small[0], large[0], atol=0.3, rtol=0)
    assert (small[0] - small[-1]).abs().max() > 1


def test_frames_see_the_text_of_their_moment() -> None:
    layout = Layout([Segment(TokenGrid(3, 1, 2), 12.0)] * 2)
    times = layout.time_s_F[:3].tolist()
    text = features([ALWAYS, (times[1], times[2])], [ALWAYS, (0.0, times[0])])
    (reading,) = readings_of(layout, text, torch.float32)
    bias = reading.bias
    assert bias is not None
    second_visible = (bias[:, :, 1] == 0).tolist()
    assert second_visible == [[False, False, True, True, True, True], [True, True, False, False, False, False]]
    assert (bias[:, :, 0] == 0).all()


def test_no_bias_is_made_where_everything_is_visible() -> None:
    layout = Layout([Segment(TokenGrid(2, 1, 2), 12.0), *[Segment(TokenGrid(1, 2, 2), 12.0)] * 2])
    text = features([ALWAYS, ALWAYS], [ALWAYS, ALWAYS, ALWAYS], [ALWAYS])
    full, padded = readings_of(layout, text, torch.float32)
    assert full.bias is None
    assert padded.bias is not None and padded.bias.tolist() == [[[0.0] * 3], [[0.0, -math.inf, -math.inf]]]

"""Tokens that skip the middle blocks: who they are, and what they and the others see."""

from __future__ import annotations

import math

import pytest
import torch

from kinema.captions.tokenizer import TextPack
from kinema.config import ModelConfig, TextConfig
from kinema.model.layout import Layout, Segment
from kinema.model.routing import draw_route
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, TokenGrid

PACKS = {
    "uniform": [TokenGrid(3, 4, 4)] * 2,
    "mixed": [TokenGrid(3, 2, 3), TokenGrid(1, 1, 1), TokenGrid(2, 4, 5), TokenGrid(2, 4, 5)],
}


def layout_of(pack: str) -> Layout:
    return Layout([Segment(grid, 12.0) for grid in PACKS[pack]])


@pytest.fixture
def model() -> TextToVideo:
    """Four blocks, all parameters away from where they begin."""
    torch.manual_seed(0)
    model = TextToVideo(TextConfig(vocab_size=40, width=32, depth=1, heads=2), ModelConfig(width=64, depth=4, heads=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def words(count: int) -> TextPack:
    ids_S = torch.randint(3, 40, (count * 5,), generator=torch.Generator().manual_seed(0))
    beat_S = torch.arange(count * 5) % 5 >= 3
    start_s_S, end_s_S = torch.where(beat_S, 0.2, -math.inf), torch.where(beat_S, 0.5, math.inf)
    return TextPack(ids_S, start_s_S, end_s_S, (5,) * count, (0,) * count)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("skipped", [0.25, 0.5, 0.9])
def test_every_latent_frame_keeps_the_same_share(pack: str, skipped: float) -> None:
    layout = layout_of(pack)
    torch.manual_seed(0)
    route = draw_route(layout, skipped)
    assert (route.index_K.diff() > 0).all() and len(route.index_K) == route.kept.tokens
    kept_F = torch.bincount(layout.frame_N[route.index_K], minlength=layout.frames)
    tokens_F = torch.bincount(layout.frame_N)
    assert torch.equal(kept_F, tokens_F - (skipped * tokens_F).long()) and (kept_F > 0).all()
    assert torch.equal(route.kept.time_s_F, layout.time_s_F)
    assert torch.equal(draw_route(layout, skipped).index_K, route.index_K) == (len(route.index_K) == layout.tokens)


def test_all_tokens_are_kept_in_turns() -> None:
    layout = layout_of("mixed")
    kept_N = torch.zeros(layout.tokens)
    for _ in range(400):
        kept_N[draw_route(layout, 0.5).index_K] += 1
    single = layout.segments[0].grid.count  # the frame of one token, which is always kept
    assert kept_N[single] == 400
    kept_N[single] = 200
    assert ((kept_N - 200).abs() < 60).all()


@pytest.mark.parametrize("pack", PACKS)
def test_skipped_tokens_go_past_the_middle_unseen(
    pack: str, model: TextToVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the outer blocks taken out, the middle alone shows who was in it."""
    for block in (model.transformer.blocks[0], model.transformer.blocks[-1]):
        monkeypatch.setattr(block, "forward", lambda x_GPC, context: x_GPC)
    layout = layout_of(pack)
    text, sigma_F = model.text_encoder(words(len(layout.segments))), torch.full((layout.frames,), 0.5)
    torch.manual_seed(1)
    index_K = draw_route(layout, 0.5).index_K
    skipped_N = torch.ones(layout.tokens, dtype=torch.bool)
    skipped_N[index_K] = False

    def through(noisy_NC: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)  # the same route
        return model(noisy_NC, layout, sigma_F, text, 0.5)

    noisy_NC = torch.randn(layout.tokens, TOKEN_CHANNELS, generator=torch.Generator().manual_seed(2))
    plain_NC = through(noisy_NC)
    other_NC = torch.where(skipped_N[:, None], noisy_NC + 1, noisy_NC)
    changed_N = (through(other_NC) - plain_NC).abs().amax(dim=1) > 1e-6
    assert torch.equal(changed_N, skipped_N)  # nobody in the middle saw them
    for index in (1, 2):
        monkeypatch.setattr(model.transformer.blocks[index], "forward", lambda x_GPC, context: x_GPC)
    changed_N = (through(noisy_NC) - plain_NC).abs().amax(dim=1) > 1e-6
    assert torch.equal(changed_N, ~skipped_N)  # and they were not changed there


def test_a_route_that_skips_nobody_is_the_whole_model(model: TextToVideo) -> None:
    """Shares below one token of a frame skip none."""
    layout = layout_of("mixed")
    text, sigma_F = model.text_encoder(words(len(layout.segments))), torch.rand(layout.frames)
    noisy_NC = torch.randn(layout.tokens, TOKEN_CHANNELS)
    whole_NC, routed_NC = (model(noisy_NC, layout, sigma_F, text, skipped) for skipped in (0.0, 0.01))
    torch.testing.assert_close(routed_NC, whole_NC, rtol=1e-5, atol=1e-5)


def test_every_weight_learns(model: TextToVideo) -> None:
    layout = layout_of("uniform")
    text = model.text_encoder(words(len(layout.segments)))
    velocity_NC = model(torch.randn(layout.tokens, TOKEN_CHANNELS), layout, torch.rand(layout.frames), text, 0.5)
    velocity_NC.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.transformer.parameters())

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kinema.captions.tokenizer import TextPack
from kinema.config import ModelConfig, TextConfig
from kinema.model.layout import Layout, Segment
from kinema.model.transformer import TextToVideo
from kinema.shapes import TOKEN_CHANNELS, TokenGrid, VideoShape

WIDE, TALL, IMAGE = TokenGrid(3, 2, 3), TokenGrid(2, 3, 2), TokenGrid(1, 2, 2)


def make_model(detail_width: int = 0) -> TextToVideo:
    torch.manual_seed(0)
    text = TextConfig(vocab_size=40, width=32, depth=1, heads=2)
    return TextToVideo(text, ModelConfig(width=64, depth=2, heads=2, detail_width=detail_width))


@pytest.fixture(params=[0, 32], ids=["", "detail"])
def model(request: pytest.FixtureRequest) -> TextToVideo:
    """A tiny model away from its initial values, where every part has an effect."""
    model = make_model(request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def make_text(count: int, timed: bool = True) -> TextPack:
    """Texts of different lengths: a summary, and a beat from 0.2 to 0.5 s."""
    generator = torch.Generator().manual_seed(count)
    lengths = [4 + (3 * i) % 5 for i in range(count)]
    index_S = torch.cat([torch.arange(length) for length in lengths])
    beat_S = (index_S >= 2) & (index_S < 4) & timed
    start_s_S, end_s_S = torch.where(beat_S, 0.2, -math.inf), torch.where(beat_S, 0.5, math.inf)
    ids_S = torch.randint(3, 40, (len(index_S),), generator=generator)
    return TextPack(ids_S, start_s_S, end_s_S, tuple(lengths), (0,) * count)


def only(text: TextPack, index: int) -> TextPack:
    first, length = sum(text.lengths[:index]), text.lengths[index]
    cut = slice(first, first + length)
    return TextPack(text.ids_S[cut], text.start_s_S[cut], text.end_s_S[cut], (length,), (0,))


def inputs(layout: Layout) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    noisy_NC = torch.randn(layout.tokens, TOKEN_CHANNELS, generator=generator)
    return noisy_NC, torch.rand(layout.frames, generator=generator)


def run(model: TextToVideo, layout: Layout, noisy_NC: Tensor, sigma_F: Tensor, text: TextPack) -> Tensor:
    return model(noisy_NC, layout, sigma_F, model.encode_text(text))


@pytest.mark.parametrize("detail_width", [0, 32])
def test_the_first_velocity_is_zero_and_can_be_learnt(detail_width: int) -> None:
    model, layout = make_model(detail_width), Layout([Segment(WIDE, 12.0)])
    velocity_NC = run(model, layout, *inputs(layout), make_text(1))
    assert velocity_NC.shape == (WIDE.count, TOKEN_CHANNELS) and not velocity_NC.any()
    (velocity_NC - 1).square().sum().backward()
    for part in (model.transformer, model.transformer.detail):
        assert part is None or (part.out_proj.weight.grad is not None and part.out_proj.weight.grad.any())


@pytest.mark.parametrize(
    "grids",
    [[WIDE] * 3, [WIDE, TALL, IMAGE], [WIDE, WIDE, TALL, WIDE], [TALL, TokenGrid(4, 3, 2)], [*[IMAGE] * 20, TALL]],
    ids=["uniform", "mixed", "runs", "equal frames", "texts in batches"],
)
@pytest.mark.parametrize("timed", [False, True])
def test_a_pack_equals_its_clips_alone(model: TextToVideo, grids: list[TokenGrid], timed: bool) -> None:
    segments = [Segment(grid, 12.0, start_s=0.1 * i) for i, grid in enumerate(grids)]
    layout, text = Layout(segments), make_text(len(grids), timed)
    noisy_NC, sigma_F = inputs(layout)
    target_NC = torch.randn(layout.tokens, TOKEN_CHANNELS)

    packed_NC = run(model, layout, noisy_NC, sigma_F, text)
    (packed_NC * target_NC).sum().backward()
    packed_grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    noisy = noisy_NC.split([grid.count for grid in grids])
    sigma = sigma_F.split([grid.frames for grid in grids])
    alone_NC = torch.cat([run(model, Layout([s]), noisy[i], sigma[i], only(text, i)) for i, s in enumerate(segments)])
    (alone_NC * target_NC).sum().backward()

    torch.testing.assert_close(packed_NC, alone_NC, atol=1e-5, rtol=1e-5)
    assert set(packed_grads) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        difference = (packed_grads[name] - parameter.grad).norm() / parameter.grad.norm()
        assert difference < 1e-5, f"{name}: {difference:.1e}"


def test_segments_do_not_see_each_other(model: TextToVideo) -> None:
    layout, text = Layout([Segment(WIDE, 12.0)] * 2), make_text(2)
    noisy_NC, sigma_F = inputs(layout)
    before = run(model, layout, noisy_NC, sigma_F, text)
    noisy_NC[WIDE.count :] += 1
    sigma_F[WIDE.frames :] /= 2
    text.ids_S[text.lengths[0] + 1] += 1
    after = run(model, layout, noisy_NC, sigma_F, text)
    assert torch.equal(before[: WIDE.count], after[: WIDE.count])
    assert not torch.isclose(before[WIDE.count :], after[WIDE.count :]).all()


def test_a_beat_is_seen_by_the_frames_of_its_span_first(model: TextToVideo) -> None:
    """With one block, a change of a beat's words reaches only the latent frames that its span holds."""
    model.transformer.blocks, model.transformer.detail = model.transformer.blocks[:1], None
    layout, text = Layout([Segment(WIDE, 12.0)]), only(make_text(1), 0)
    assert [0.2 <= time_s <= 0.5 for time_s in layout.time_s_F.tolist()] == [False, True, False]
    noisy_NC, sigma_F = inputs(layout)
    features = model.encode_text(text)
    before = model(noisy_NC, layout, sigma_F, features)
    features.values_SC.data[2:4] += 1
    after = model(noisy_NC, layout, sigma_F, features)
    changed_F = (before - after).view(WIDE.frames, -1).abs().amax(1) > 1e-6
    assert changed_F.tolist() == [False, True, False]


def test_each_latent_frame_has_its_own_noise_level(model: TextToVideo) -> None:
    layout, text = Layout([Segment(WIDE, 12.0)]), make_text(1)
    noisy_NC, sigma_F = inputs(layout)
    before = run(model, layout, noisy_NC, sigma_F, text)
    sigma_F[1] = 0
    after = run(model, layout, noisy_NC, sigma_F, text)
    change_F = (before - after).view(WIDE.frames, -1).abs().mean(1)
    assert change_F[1] > change_F[0] > 0 and change_F[1] > change_F[2] > 0


def test_keys_and_values_of_the_text_can_be_reused(model: TextToVideo) -> None:
    layout, text = Layout([Segment(WIDE, 12.0), Segment(TALL, 12.0)]), make_text(2)
    noisy_NC, sigma_F = inputs(layout)
    fresh = run(model, layout, noisy_NC, sigma_F, text)
    with torch.no_grad():
        features = model.encode_text(text)
        assert features.keys_values is not None
        torch.testing.assert_close(model(noisy_NC, layout, sigma_F, features), fresh)


def test_what_is_read_of_noise_levels_can_be_reused(model: TextToVideo) -> None:
    layout, text = Layout([Segment(WIDE, 12.0), Segment(TALL, 12.0)]), make_text(2)
    noisy_NC, _ = inputs(layout)
    levels = torch.tensor([0.0, 0.3, 0.9])
    index_F = torch.tensor([2, 0, 1, 1, 2])
    fresh = run(model, layout, noisy_NC, levels[index_F], text)
    noise = model.transformer.read_noise(levels).at(index_F)
    torch.testing.assert_close(model(noisy_NC, layout, noise, model.encode_text(text)), fresh)


def test_bfloat16_stays_near_float32(model: TextToVideo) -> None:
    layout, text = Layout([Segment(WIDE, 12.0)] * 2), make_text(2)
    noisy_NC, sigma_F = inputs(layout)
    exact = run(model, layout, noisy_NC, sigma_F, text)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run(model, layout, noisy_NC, sigma_F, text)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize(
    "shape", [VideoShape(1, 32, 32), VideoShape(1, 1024, 1024), VideoShape(5, 1024, 32), VideoShape(721, 32, 32)]
)
def test_any_size_and_duration(model: TextToVideo, shape: VideoShape) -> None:
    layout = Layout([Segment(shape.tokens, 12.0)])
    noisy_NC, sigma_F = inputs(layout)
    with torch.no_grad():
        velocity_NC = run(model, layout, noisy_NC, sigma_F, make_text(1))
    assert velocity_NC.shape == noisy_NC.shape and velocity_NC.isfinite().all()

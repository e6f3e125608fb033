"""What a request costs: the estimate grows with what grows, and what does not fit is told with what does."""

from __future__ import annotations

import re

import pytest
import torch

from kinema.codec import streaming, tiling
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.codec.pixels import fast_bf16
from kinema.config import nano, preset
from kinema.errors import InputError
from kinema.model.transformer import TextToVideo
from kinema.sample import cost as cost_module
from kinema.sample.cost import (
    Cost,
    available_bytes,
    check_memory,
    codec_weights,
    cost_of,
    has_bf16,
    model_weights,
    pack_size,
    weights_of,
)
from kinema.shapes import PIXELS_PER_LATENT, VideoShape

NANO = nano()


def cost(shape: VideoShape, window: int = 10**6, count: int = 1, calls: int = 30, passes: int = 2) -> Cost:
    return cost_of(shape, window, 4, count, calls, passes, NANO)


def memory(shape: VideoShape) -> float:
    return cost(shape).memory_bytes


@pytest.mark.parametrize("shape", [VideoShape(1801, 1024, 1024), VideoShape(721, 512, 1024), VideoShape(49, 1024, 576)])
def test_what_does_not_fit_is_told_with_what_does(shape: VideoShape) -> None:
    free = 0.7e9
    with pytest.raises(InputError, match="GB") as caught:
        check_memory(shape, memory, free)
    named = re.search(r"--size (\d+)x(\d+)", str(caught.value))
    assert named is not None
    fits = VideoShape(shape.frames, int(named[2]), int(named[1]))
    check_memory(fits, memory, free)
    assert fits.width / fits.height == pytest.approx(shape.width / shape.height, rel=0.35)
    wider = VideoShape(shape.frames, round(shape.height * (fits.width + 16) / shape.width / 16) * 16, fits.width + 16)
    with pytest.raises(InputError):
        check_memory(wider, memory, free)  # it is the largest


@pytest.mark.parametrize("shape", [VideoShape(33, 256, 256), VideoShape(1, 1024, 1024)])
def test_without_bfloat16_the_networks_need_more(shape: VideoShape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_module, "has_bf16", lambda: True)
    narrow = memory(shape)
    monkeypatch.setattr(cost_module, "has_bf16", lambda: False)
    assert 1.1 * narrow < memory(shape) < 2 * narrow


def test_a_minute_of_small_video_fits_into_a_gigabyte() -> None:
    assert memory(VideoShape(721, 64, 64)) < 1e9
    assert available_bytes() > 0


def test_a_rollout_costs_less_memory_and_attention_than_the_whole() -> None:
    shape = VideoShape(721, 256, 256)
    whole, rolled = cost(shape), cost(shape, window=9)
    assert rolled.memory_bytes < whole.memory_bytes and rolled.model_flops < whole.model_flops
    assert rolled.tokens == whole.tokens == 181 * 256


def test_steps_passes_and_variations_multiply_the_work() -> None:
    shape = VideoShape(33, 64, 64)
    once = cost(shape, calls=1, passes=1).model_flops
    assert cost(shape, count=3, calls=5, passes=2).model_flops == pytest.approx(30 * once)


def test_packs_stay_below_their_limit() -> None:
    assert pack_size(288, 1000) * 288 <= 8192 and pack_size(288, 3) == 3 and pack_size(10**6, 3) == 1


def test_a_loop_and_given_frames_cost_as_well() -> None:
    shape = VideoShape(33, 64, 64)
    plain, given = cost(shape), cost_of(shape, 10**6, 4, 1, 30, 2, NANO, given=100)
    assert given.pixels - plain.pixels == 100 * 64 * 64 and given.memory_bytes > plain.memory_bytes
    both = plain + given
    assert both.calls == 60 and both.model_flops == 2 * plain.model_flops
    assert both.memory_bytes == given.memory_bytes  # one after the other


def test_a_larger_network_needs_more_memory() -> None:
    shape = VideoShape(33, 128, 128)
    needs = [
        cost_of(shape, 10**6, 4, 1, 30, 2, preset(name)).memory_bytes for name in ("nano", "small", "base", "large")
    ]
    assert needs == sorted(needs) and needs[3] > 12e9  # three billion weights of four bytes


@pytest.mark.parametrize("name", ["nano", "small"])
def test_the_counted_weights_are_those_of_the_networks(name: str) -> None:
    config = preset(name)
    with torch.device("meta"):
        model, codec = TextToVideo(config.text, config.model), VideoAutoencoder(config.codec)
    blocks = model.transformer.blocks
    assert weights_of(config.model) == pytest.approx(sum(p.numel() for p in blocks.parameters()), rel=0.12)
    assert model_weights(config) == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.02)
    assert codec_weights(config.codec) == pytest.approx(sum(p.numel() for p in codec.parameters()), rel=0.02)


def test_what_is_known_without_torch_is_what_torch_says() -> None:
    assert has_bf16() == fast_bf16(torch.device("cpu"))
    assert (cost_module.PIXELS_AT_ONCE, cost_module.LARGEST_WHOLE) == (
        streaming.PIXELS_AT_ONCE,
        streaming.LARGEST_WHOLE,
    )
    assert (tiling.TILE * PIXELS_PER_LATENT) ** 2 == cost_module.TILE_PIXELS

"""What a request costs: the estimate grows with what grows, and what does not fit is told with what does."""

from __future__ import annotations

import re

import pytest

from kinema.config import nano, preset
from kinema.errors import InputError
from kinema.model.transformer import TextToVideo
from kinema.sample.cost import Cost, available_bytes, check_memory, cost_of, pack_size, weights_of
from kinema.shapes import VideoShape

NANO = nano()


def cost(shape: VideoShape, window: int = 10**6, count: int = 1, calls: int = 30, passes: int = 2) -> Cost:
    return cost_of(shape, window, 4, count, calls, passes, NANO.model, NANO.text)


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


@pytest.mark.parametrize("name", ["nano", "small"])
def test_the_counted_weights_are_those_of_the_blocks(name: str) -> None:
    config = preset(name)
    blocks = TextToVideo(config.text, config.model).transformer.blocks
    assert weights_of(config.model) == pytest.approx(sum(p.numel() for p in blocks.parameters()), rel=0.12)

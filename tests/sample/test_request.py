"""What a user may ask for; every refusal is one line that names the value and what would do."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from kinema.card import Card, SamplingDefaults
from kinema.config import nano, override
from kinema.errors import InputError
from kinema.flow.solvers import SOLVERS
from kinema.sample import order as orders
from kinema.sample.order import Order, parse_size
from kinema.sample.request import Request, frames_to_sample, make_request
from kinema.shapes import VideoShape

CLIPS_ALONE = override(nano(), ["train_model.image_share=0"])
CARD = Card("test", height=64, width=96, frames=33, fps=12.0, sampling=SamplingDefaults(25, 3.5, "heun"))


def ask(prompt: str = "a ball", **options: Any) -> Request:
    return make_request(CARD, CLIPS_ALONE, Order.of({"prompt": prompt} | options))


def test_what_is_left_out_is_native() -> None:
    request = ask()
    assert request.shape == VideoShape(33, 64, 96)
    assert (request.fps, request.steps, request.guidance, request.solver) == (12.0, 25, 3.5, "heun")


def test_what_is_given_counts() -> None:
    request = ask(seconds=1, size=(128, 48), fps=24, steps=3, guidance=1, solver="euler")
    assert request.shape == VideoShape(25, 48, 128)
    assert (request.fps, request.steps, request.guidance, request.solver) == (24.0, 3, 1.0, "euler")


@pytest.mark.parametrize(
    ("shape", "frames"),
    [
        (VideoShape(1, 64, 64), 9),  # as a clip of training
        (VideoShape(33, 64, 64), 9),
        (VideoShape(61, 64, 64), 16),  # its own
        (VideoShape(1, 512, 512), 4),  # what fits a pack of both passes
        (VideoShape(1, 1024, 1024), 1),
    ],
)
def test_what_is_shorter_than_clips_of_training_is_the_beginning_of_one(shape: VideoShape, frames: int) -> None:
    assert frames_to_sample(shape, CLIPS_ALONE) == frames
    short_ones = override(CLIPS_ALONE, ["worlds.shapes=[[64,64,1,0.1],[64,64,17,0.1]]"])
    assert frames_to_sample(shape, short_ones) == shape.latent.frames
    images = nano()
    assert frames_to_sample(shape, images) == (1 if shape.frames == 1 else frames)
    assert frames_to_sample(VideoShape(5, 64, 64), images) == 9
    if shape.height == 64:
        size = f"{shape.width}x{shape.height}"
        request = ask(seconds=shape.frames / 12, size=size, rollout=False)
        assert request.cost.tokens == 16 * frames and request.window == frames


def test_the_names_of_solvers_are_those_of_flow() -> None:
    assert set(orders.SOLVER_NAMES) == set(SOLVERS)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"prompt": ""}, "empty"),
        ({"prompt": " \n ... !"}, "empty"),
        ({"size": (100, 64)}, "96x64"),
        ({"size": (64, 9999)}, "64x1024"),
        ({"seconds": 0}, "--seconds 0"),
        ({"seconds": 1e6}, "at most 60"),
        ({"seconds": math.nan}, "--seconds nan"),
        ({"fps": 1}, "--fps 1"),
        ({"steps": -3}, "--steps -3"),
        ({"steps": 10**9}, "--steps"),
        ({"guidance": -1.0}, "--guidance"),
        ({"guidance": math.nan}, "--guidance nan"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 2**64}, "--seed"),
        ({"solver": "eular"}, "euler, heun"),
    ],
)
def test_what_is_not_possible_is_told_in_one_line(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        ask(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prompt", ["шар падает", "球が落ちる", "x" * 10_000, "7"])
def test_any_words_are_a_prompt(prompt: str) -> None:
    assert ask(prompt).prompt == prompt


def test_sizes() -> None:
    assert parse_size("128x96") == parse_size(" 128X96 ") == (128, 96)
    for wrong in ("abc", "128", "x", "128x", "-64x64", "64.0x64", "64x64x3", "1" * 99 + "x64"):
        with pytest.raises(InputError, match="WIDTHxHEIGHT"):
            parse_size(wrong)

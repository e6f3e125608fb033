"""The weights that ship: they load, they are small, and they still do what the card says."""

from __future__ import annotations

import numpy as np
import pytest

import kinema
from kinema.evaluate.judge import segment
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline
from kinema.sample.weights import BUILT_IN, WeightsFolder
from kinema.worlds.make import HELD_OUT_SEED, make_clip


@pytest.fixture(scope="module")
def nano() -> Pipeline:
    return kinema.load("nano")


def test_the_weights_are_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in BUILT_IN.rglob("*") if file.is_file()) < 100e6


def test_the_card_tells_data_compute_date_and_scores() -> None:
    card = WeightsFolder.find("nano").card()
    assert {"date", "data", "model_flops", "model_steps"} <= card.training.keys()
    assert {"codec_held_out_psnr", "adherence_colors_present", "adherence_count_right"} <= card.scores.keys()


def test_the_codec_keeps_held_out_clips_sharp(nano: Pipeline) -> None:
    worlds = nano.config.worlds
    psnr_db = [
        reconstruct(nano.codec, make_clip(family, HELD_OUT_SEED + seed, worlds).pixels_THW3)[1]
        for family in worlds.families
        for seed in range(2)
    ]
    assert np.mean(psnr_db) > 31


def test_prompts_become_bodies_of_their_colors(nano: Pipeline) -> None:
    prompts = {"red": "a red ball falls and bounces on a grey floor", "blue": "a blue cube falls on a white floor"}
    for color, prompt in prompts.items():
        tracks = segment(nano.generate(prompt, seed=1).pixels)
        assert color in [track.color for track in tracks]


def test_every_shape_of_video_runs(nano: Pipeline) -> None:
    for size, seconds in (((112, 64), 1.0), ((64, 112), 1.0), ((96, 96), 0.05)):
        video = nano.generate("a green ball falls", seconds=seconds, size=size, steps=2)
        assert video.pixels.shape[1:] == (size[1], size[0], 3)
        assert len(video.pixels) == (1 if seconds < 0.1 else 13)

"""Scores from verdicts, intervals, and the held-out prompts."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kinema.card import Card
from kinema.config import WorldsConfig, nano
from kinema.evaluate import adherence
from kinema.evaluate.adherence import Expectation, Verdict, expectation_of, held_out_clips, judge_clip, rate, score
from kinema.worlds import palette

SMALL = WorldsConfig(frames=9, samples_per_pixel=1)
RED_BALL = Expectation("a red ball falls", "fall", ("red",), ("sphere",), True)


def test_held_out_clips_cover_every_combination_equally() -> None:
    clips = list(held_out_clips(dataclasses.replace(SMALL, height=32, width=32, frames=1), each=1))
    found = Counter((c.source.family, c.state.bodies[0].color, c.state.bodies[0].shape) for c in clips if c.state)
    assert found == Counter({(f, *pair): 1 for f, pairs in palette.HELD_OUT.items() for pair in pairs})


def test_expectation_names_the_bodies_in_the_prompt() -> None:
    clip = next(held_out_clips(SMALL, each=1))
    wanted = expectation_of(clip)
    positions = [wanted.prompt.index(color) for color in wanted.colors]
    assert positions == sorted(positions) and len(wanted.shapes) == len(wanted.colors)
    assert wanted.falls and wanted.family == "fall"


def test_a_true_clip_meets_its_own_expectation_and_no_other() -> None:
    clip = next(held_out_clips(WorldsConfig(), each=1))
    wanted = expectation_of(clip)
    verdict = judge_clip(clip.pixels_THW3, wanted)
    assert set(verdict.colors) == set(wanted.colors) and verdict.count == len(wanted.colors) and verdict.falls
    absent = next(color for color in palette.COLORS if color not in wanted.colors)
    wrong = dataclasses.replace(wanted, colors=(absent, *wanted.colors[1:]))
    verdict = judge_clip(clip.pixels_THW3, wrong)
    assert verdict.shapes[0] is None and not verdict.falls and absent not in verdict.colors
    assert not judge_clip(clip.pixels_THW3[::-1], wanted).falls


def test_score_counts_each_kind_of_failure_by_itself() -> None:
    two = Expectation("", "collide", ("red", "blue"), ("sphere", "cube"), False)
    verdicts = [
        Verdict(("red",), 1, ("sphere",), True),
        Verdict((), 0, (None,), False),
        Verdict(("blue", "red", "green"), 3, ("cube", "cube"), False),
        Verdict(("red",), 2, ("sphere", None), False),
    ]
    scores = score(verdicts, [RED_BALL, RED_BALL, two, two])
    assert scores.colors_present.value == 2 / 4
    assert scores.count_right.value == 2 / 4
    assert (scores.shape_right.value, scores.shape_right.n) == (3 / 6, 6)
    assert (scores.falls_right.value, scores.falls_right.n) == (1 / 2, 2)


def test_interval_has_the_width_of_a_binomial() -> None:
    hits = [1] * 70 + [0] * 30
    result = rate(hits)
    assert result.value == 0.7 and result.n == 100
    assert result.high - result.low == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 100), rel=0.15)
    assert rate([1] * 10) == adherence.Rate(1.0, 1.0, 1.0, 10)


class Blur(torch.nn.Module):
    """A codec whose latents are the pixels: reconstructions are exact."""

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        return video

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


def test_run_reports_the_ceilings_beside_the_model(tmp_path: Path) -> None:
    """A model that always shows grey scores 0, while true clips and an exact codec score the same, high value."""

    def generate(prompt: str, seed: int) -> Any:
        return SimpleNamespace(pixels=np.full((9, 32, 64, 3), 90, np.uint8))

    pipeline: Any = SimpleNamespace(card=Card("grey", 64, 64, 9, 12.0), config=nano(), codec=Blur(), generate=generate)
    calls: list[tuple[int, int]] = []
    scores = adherence.run(pipeline, tmp_path, each=1, on_clip=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (20, 20)
    assert scores["true"] == scores["codec"] and scores["true"].colors_present.value > 0.9
    assert scores["generated"].colors_present.value == scores["generated"].shape_right.value == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["scores"]) == {"true", "codec", "generated"} and len(report["clips"]) == 20
    assert {path.name for path in tmp_path.glob("*.png")} == {f"generated_{family}.png" for family in palette.HELD_OUT}

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
from kinema.config import nano
from kinema.data import Clip
from kinema.evaluate import adherence
from kinema.evaluate.adherence import (
    Expectation,
    Verdict,
    can_be_judged,
    expectation_of,
    judge_clip,
    number_of_prompts,
    rate,
    score,
    scores_by_family,
)
from kinema.evaluate.judge import COLORS, FAMILIES
from kinema.worlds import palette

RED_BALL = Expectation("a red ball falls", "fall", ("red",), ("sphere",), moves=True, falls=True)


def test_held_out_clips_cover_every_combination_of_the_judged_families(judged_clips: tuple[Clip, ...]) -> None:
    found = Counter(
        (c.source.family, c.state.bodies[0].color, c.state.bodies[0].shape) for c in judged_clips if c.state
    )
    assert found == Counter({(f, *pair): 1 for f in FAMILIES for pair in palette.HELD_OUT[f]})
    assert len(judged_clips) == number_of_prompts(1)


def test_every_clip_shows_what_its_prompt_says(judged_clips: tuple[Clip, ...]) -> None:
    """Colours stand in the prompt in order, and the first body moves or goes down where it says so."""
    for clip in judged_clips:
        wanted, state = expectation_of(clip), clip.state
        assert state is not None and len(wanted.shapes) == len(wanted.colors) == len(set(wanted.colors))
        positions = [wanted.prompt.index(f"{color} ") for color in wanted.colors]
        assert positions == sorted(positions)
        way_T3 = state.position_TB3[:, 0] - state.position_TB3[0, 0]
        assert not wanted.moves or np.abs(way_T3).max() > 0.3
        assert not wanted.falls or way_T3[:, 2].min() < -0.15
        assert wanted.family in adherence.CAMERA_MOVES or not np.ptp(state.camera_eye_T3, axis=0).any()


def test_what_cannot_be_judged_is_left_out(judged_clips: tuple[Clip, ...]) -> None:
    clip = next(clip for clip in judged_clips if clip.state and len(clip.state.bodies) > 1)
    assert clip.state is not None and can_be_judged(clip)

    def allowed(facts: dict[str, Any] | None = None, **changes: str) -> bool:
        assert clip.state is not None
        first, *others = clip.state.bodies
        bodies = (*others, dataclasses.replace(first, **changes))  # type: ignore[arg-type]
        state = dataclasses.replace(clip.state, bodies=bodies, facts=clip.state.facts | (facts or {}))
        return can_be_judged(dataclasses.replace(clip, state=state))

    assert allowed()
    assert not allowed(color="white") and not allowed(material="glass")
    assert not allowed(color=clip.state.bodies[1].color)
    assert not allowed({"camera_move": "pans left"})


def test_a_true_clip_meets_its_own_expectation_and_no_other(judged_clips: tuple[Clip, ...]) -> None:
    clip = judged_clips[0]
    wanted = expectation_of(clip)
    verdict = judge_clip(clip.pixels_THW3, wanted)
    assert set(verdict.colors) == set(wanted.colors) and verdict.count == len(wanted.colors)
    assert verdict.falls and verdict.moves
    absent = next(color for color in COLORS if color not in wanted.colors)
    wrong = dataclasses.replace(wanted, colors=(absent, *wanted.colors[1:]))
    verdict = judge_clip(clip.pixels_THW3, wrong)
    assert verdict.shapes[0] is None and not verdict.falls and not verdict.moves and absent not in verdict.colors
    still = judge_clip(clip.pixels_THW3[:1].repeat(21, axis=0), wanted)
    assert not still.falls and not still.moves and set(still.colors) == set(wanted.colors)


def test_score_counts_each_kind_of_failure_by_itself() -> None:
    two = Expectation("", "collide", ("red", "blue"), ("sphere", "cube"), moves=True, falls=False)
    verdicts = [
        Verdict(("red",), 1, ("sphere",), moves=True, falls=True),
        Verdict((), 0, (None,), moves=False, falls=False),
        Verdict(("blue", "red", "green"), 3, ("cube", "cube"), moves=True, falls=False),
        Verdict(("red",), 2, ("sphere", None), moves=True, falls=False),
    ]
    wanted = [RED_BALL, RED_BALL, two, two]
    scores = score(verdicts, wanted)
    assert scores.colors_present.value == 2 / 4
    assert scores.count_right.value == 2 / 4
    assert (scores.shape_right.value, scores.shape_right.n) == (3 / 6, 6)
    assert (scores.moves_right.value, scores.moves_right.n) == (3 / 4, 4)
    assert (scores.falls_right.value, scores.falls_right.n) == (1 / 2, 2)
    families = scores_by_family({"true": verdicts}, wanted)
    assert families["all"]["true"] == scores
    assert families["collide"]["true"].shape_right.value == 2 / 4 and families["collide"]["true"].falls_right.n == 0


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


class Grey:
    """Weights that always show grey, and count how often they are asked; they may be interrupted."""

    def __init__(self, sha256: str, most: int = 1000) -> None:
        self.card, self.config, self.codec, self.sha256 = Card("grey", 64, 64, 9, 12.0), nano(), Blur(), sha256
        self.calls, self.most = 0, most

    def generate(self, prompt: str, seed: int) -> Any:
        if self.calls == self.most:
            raise KeyboardInterrupt
        self.calls += 1
        return SimpleNamespace(pixels=np.full((9, 32, 64, 3), 90, np.uint8))


def test_run_reports_the_ceilings_beside_the_model_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_clips: tuple[Clip, ...]
) -> None:
    """A model that shows grey scores 0, while true clips and an exact codec score the same, high value."""
    monkeypatch.setattr(adherence, "held_out_clips", lambda worlds, each: iter(judged_clips))
    total = len(judged_clips)
    stopped: Any = Grey("a", most=10)
    with pytest.raises(KeyboardInterrupt):
        adherence.run(stopped, tmp_path, each=1)
    assert not (tmp_path / "report.json").exists()

    again: Any = Grey("a")
    progress: list[tuple[int, int]] = []
    scores = adherence.run(again, tmp_path, each=1, on_clip=lambda done, total: progress.append((done, total)))
    assert again.calls == total - 10 and progress == [(done, total) for done in range(total + 1)]
    everything = scores["all"]
    assert everything["true"] == everything["codec"] and everything["true"].colors_present.value > 0.9
    assert everything["generated"].colors_present.value == everything["generated"].shape_right.value == 0

    report = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert set(report["scores"]) == {"true", "codec", "generated"} and len(report["clips"]) == total
    assert set(report["families"]) == set(FAMILIES)
    assert {path.name for path in tmp_path.glob("*.png")} == {f"generated_{family}.png" for family in FAMILIES}

    other: Any = Grey("b")
    adherence.run(other, tmp_path, each=1)
    assert other.calls == total  # clips of other weights are not taken for these

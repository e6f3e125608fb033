"""Scores from verdicts, intervals, and the held-out prompts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from kinema.data import Clip
from kinema.evaluate import adherence
from kinema.evaluate.adherence import (
    Expectation,
    Verdict,
    can_be_judged,
    expectation_of,
    judge_clip,
    number_of_prompts,
    scores,
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


def test_scores_count_each_kind_of_failure_by_itself() -> None:
    two = Expectation("", "collide", ("red", "blue"), ("sphere", "cube"), moves=True, falls=False)
    verdicts = [
        Verdict(("red",), 1, ("sphere",), moves=True, falls=True),
        Verdict((), 0, (None,), moves=False, falls=False),
        Verdict(("blue", "red", "green"), 3, ("cube", "cube"), moves=True, falls=False),
        Verdict(("red",), 2, ("sphere", None), moves=True, falls=False),
    ]
    found = scores(
        {"generated": verdicts, "truth": [verdicts[0], verdicts[0], *verdicts[2:]]}, [RED_BALL, RED_BALL, two, two]
    )
    assert {s.name: (s.value, s.n) for s in found} == {
        "colors_present": (2 / 4, 4),
        "count_right": (2 / 4, 4),
        "shape_right": (3 / 6, 6),
        "moves_right": (3 / 4, 4),
        "falls_right": (1 / 2, 2),
    }
    with pytest.raises(ValueError):
        scores({"generated": verdicts}, [RED_BALL])
    assert found[1].floors == {"truth": 3 / 4}
    assert np.isnan(found[4].per_unit).tolist() == [False, False, True, True]


def test_run_scores_the_model_beside_its_floors_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_clips: tuple[Clip, ...]
) -> None:
    """A model that shows grey scores 0, while true clips and an exact codec score the same, high value."""
    monkeypatch.setattr(adherence, "held_out_clips", lambda worlds, each: iter(judged_clips))
    total = len(judged_clips[:: adherence.QUICK_EVERY])
    with pytest.raises(KeyboardInterrupt):
        adherence.run(exam_of(Painter(most=4), tmp_path))
    again, progress = Painter(), list[tuple[int, int]]()
    result = adherence.run(exam_of(again, tmp_path, progress))
    assert again.calls == total - 4 and progress == [(done, total) for done in range(total + 1)]
    colors, _, shapes, *_ = result.scores
    assert colors.value == shapes.value == 0
    assert colors.floors["truth"] == colors.floors["codec"] > 0.9
    families, clips = result.tables
    assert [row[0] for row in families.rows] == list(FAMILIES) and len(clips.rows) == total
    assert len(result.strips) == adherence.STRIPS

    other = Painter(sha256="b")
    adherence.run(exam_of(other, tmp_path))
    assert other.calls == total  # clips of other weights are not taken for these

"""Windows of latents: they cover the timeline, hand latents on, and one window is the whole clip."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import kinema
from kinema.model.layout import Layout, Segment
from kinema.sample import rollout
from kinema.sample.condition import Condition
from kinema.sample.order import Order
from kinema.sample.pipeline import Pipeline
from kinema.sample.request import Request
from kinema.sample.rollout import CONTEXT_LEVEL, Native, lead_back, window_clock_s, windows
from kinema.shapes import TokenGrid


@pytest.fixture(scope="module")
def pipeline(weights_folder: Path) -> Pipeline:
    return kinema.load(weights_folder)


@given(st.integers(1, 300), st.integers(5, 12), st.integers(1, 4))
@settings(deadline=None)
def test_windows_cover_the_timeline_and_overlap(total: int, window: int, context: int) -> None:
    plan = windows(total, window, context)
    assert plan[0][0] == 0 and plan[-1][1] == total
    assert all(stop - start == min(window, total) for start, stop in plan)
    assert all(after[0] <= before[1] - context and after[1] > before[1] for before, after in itertools.pairwise(plan))


@pytest.mark.parametrize(("tokens", "shift"), [(144, 3.0), (576, 6.0), (64, 2.0), (16, 1.0), (4, 1.0)])
def test_larger_clips_are_shifted_more_and_smaller_ones_less_down_to_none(tokens: int, shift: float) -> None:
    assert Native(144, 3.0).shift_of(tokens) == pytest.approx(shift)


def test_the_clock_of_a_window_begins_at_zero_and_keeps_the_distances() -> None:
    whole = Layout([Segment(TokenGrid(20, 2, 2), 12.0)]).time_s_F
    part = Layout([Segment(TokenGrid(9, 2, 2), 12.0, window_clock_s(7, 12.0), 7)]).time_s_F
    assert part[0] == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(part.diff(), whole[7:16].diff())


def test_windows_see_what_was_generated_under_slight_noise_and_do_not_change_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Condition, Tensor]] = []
    guidance: list[float] = []
    denoise = rollout.denoise

    def spy(model: object, words: object, request: Request, condition: Condition, *rest: object) -> Tensor:
        seen.append((condition, denoise(model, words, request, condition, *rest)))  # type: ignore[arg-type]
        guidance.append(request.guidance)
        return seen[-1][1]

    monkeypatch.setattr(rollout, "denoise", spy)
    order = Order("a red ball", seconds=6, size=(32, 32), steps=2, guidance=3.0, rollout=True)
    latents_CTHW = pipeline.sample(pipeline.request(order))[0]
    plan = windows(latents_CTHW.shape[1], 9, 4)
    assert len(seen) == len(plan) == 3 and not seen[0][0].known_T.any()
    assert guidance == [3.0, 1.5, 1.5]
    for (start, stop), (condition, new_BCTHW) in zip(plan, seen, strict=True):
        known = condition.known_T
        assert (condition.level_T[known] == CONTEXT_LEVEL).all()
        torch.testing.assert_close(condition.data_BCTHW[0, :, known], latents_CTHW[:, start:stop][:, known])
        torch.testing.assert_close(new_BCTHW[0], latents_CTHW[:, start:stop])


def test_where_the_lines_change_the_text_counts_in_full_and_what_was_before_does_not(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, bool]] = []
    denoise = rollout.denoise

    def spy(model: object, words: object, request: Request, *rest: object) -> Tensor:
        asked.append((request.guidance, request.history))
        return denoise(model, words, request, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rollout, "denoise", spy)
    beats = [{"at": 0.0, "until": 4.0, "text": "a red ball"}, {"at": 4.0, "until": 9.0, "text": "two blue cubes"}]
    board = {"summary": "bodies", "seconds": 9.0, "beat": beats}
    order = Order(size=(32, 32), steps=2, guidance=3.0, rollout=True, storyboard=board)
    pipeline.sample(pipeline.request(order))
    onward, turning = (1.5, True), (3.0, False)
    assert asked == [(3.0, True), turning, turning, onward, onward]  # what is new is told by one, both, the other


def test_the_second_pass_of_guidance_knows_what_was_before_if_history_does_not_count(pipeline: Pipeline) -> None:
    order = Order("a red ball", seconds=6, size=(32, 32), steps=2, guidance=3.0, rollout=True)
    request = pipeline.request(order)
    videos = [pipeline.sample(dataclasses.replace(request, history=history))[0] for history in (True, False)]
    torch.testing.assert_close(videos[0][:, :9], videos[1][:, :9])  # nothing is known in the first window
    assert (videos[0][:, 9:] - videos[1][:, 9:]).abs().max() > 1e-3


def test_a_short_clip_is_the_same_both_ways(pipeline: Pipeline) -> None:
    order = Order("a red ball", seconds=1, size=(32, 32), steps=2)
    pixels = [pipeline.make(pipeline.request(dataclasses.replace(order, rollout=way))).pixels for way in (True, False)]
    assert (pixels[0] == pixels[1]).all()


def test_the_bridge_of_a_loop_lies_between_its_end_and_the_frames_after_its_first() -> None:
    latents = torch.arange(7.0).view(1, 1, 7, 1, 1).expand(1, 16, 7, 4, 4)
    condition = lead_back(latents, bridge=2, context=3)
    assert condition.data_BCTHW[0, 0, :, 0, 0].tolist() == [4, 5, 6, 0, 0, 1, 2, 3]
    assert condition.known_T.tolist() == [True] * 3 + [False] * 2 + [True] * 3

"""When things happen: detectors on true clips and on drawn tracks, and what scrambling does to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import timing
from kinema.evaluate.examples import TEST_SEED, unseen
from kinema.evaluate.timing import FAMILIES, Timed, event_time_s, mean_errors, scores


@pytest.fixture(scope="module")
def clips() -> tuple[Clip, ...]:
    worlds = WorldsConfig(samples_per_pixel=1)
    found = (
        unseen(family, worlds, 2, timing._can_be_timed, first_seed=TEST_SEED + timing.ONLY_HERE) for family in FAMILIES
    )
    return tuple(clip for clips in found for clip in clips)


def test_events_of_true_clips_are_read_within_a_tenth_of_a_second(clips: tuple[Clip, ...]) -> None:
    errors = [abs(event_time_s(clip, clip.pixels_THW3) - timing._event_s(clip)) for clip in clips]
    assert np.mean(errors) < 0.1 and len(errors) == 8, np.round(errors, 3)


def test_a_video_that_runs_late_is_as_late_as_it_runs_and_a_scrambled_one_is_wrong(clips: tuple[Clip, ...]) -> None:
    scrambled = []
    for clip in clips:
        late_THW3 = np.concatenate([np.repeat(clip.pixels_THW3[:1], 6, axis=0), clip.pixels_THW3[:-6]])
        delay_s = event_time_s(clip, late_THW3) - event_time_s(clip, clip.pixels_THW3)
        assert delay_s == pytest.approx(0.5, abs=0.05), clip.source
        mixed_THW3 = clip.pixels_THW3[np.random.default_rng(1).permutation(len(clip.pixels_THW3))]
        scrambled.append(abs(event_time_s(clip, mixed_THW3) - timing._event_s(clip)))
        grey_THW3 = np.full_like(clip.pixels_THW3, 90)
        assert np.isnan(event_time_s(clip, grey_THW3))
    known = np.array(scrambled)[np.isfinite(scrambled)]
    assert np.isnan(scrambled).any() or known.mean() > 0.2
    assert np.nanmean([*known, 1.0]) > 0.2


def test_without_times_every_line_holds_all_the_time(clips: tuple[Clip, ...]) -> None:
    timed = Timed(clips[0], 0.5, 1)
    with_times, without = timed.storyboard(True), timed.storyboard(False)
    assert [beat["text"] for beat in with_times["beat"]] == [beat["text"] for beat in without["beat"]]
    assert all(beat["at"] == 0 and beat["until"] == 2.75 for beat in without["beat"])
    assert with_times["summary"] == without["summary"] and with_times != without
    assert max(beat["until"] for beat in with_times["beat"]) <= 2.75


def test_scores_pair_the_same_clips_with_and_without_times() -> None:
    errors = {
        "model": [0.1, 0.2, np.nan],
        "without times": [0.4, 0.3, 0.5],
        "truth": [0.0, 0.1, 0.1],
        "codec": [0.1, 0.1, 0.1],
        "family mean": [0.2, 0.2, 0.2],
    }
    error, gain, seen = scores(errors)
    assert error.value == pytest.approx(0.15) and error.n == 2 and error.floors["without times"] == pytest.approx(0.4)
    assert gain.value == pytest.approx(0.2) and seen.value == pytest.approx(2 / 3) and seen.floors["codec"] == 1


def test_the_mean_of_the_others_is_what_ignoring_the_text_costs(clips: tuple[Clip, ...]) -> None:
    of_fall = [Timed(clips[0], 0.4, 0), Timed(clips[1], 0.6, 0), Timed(clips[2], 1.0, 0)]
    assert clips[2].source.family != "fall"
    assert mean_errors(of_fall)[:2] == pytest.approx([0.2, 0.2]) and np.isnan(mean_errors(of_fall)[2])


def test_a_model_that_obeys_times_scores_like_truth_and_one_that_stands_still_scores_nothing(
    clips: tuple[Clip, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in shows the true clip when it is told when, and a clip half a second late when it is not."""
    monkeypatch.setattr(
        timing, "unseen", lambda family, *_, **__: iter([c for c in clips if c.source.family == family])
    )
    monkeypatch.setattr(timing, "QUICK_FAMILIES", FAMILIES)
    stories = {clip.caption.summary: clip for clip in clips}

    def obeys(prompt: str, seed: int, storyboard: dict[str, Any]) -> Any:
        clip = stories[storyboard["summary"]]
        if storyboard == Timed(clip, 0.0, 0).storyboard(True):
            return clip.pixels_THW3
        return np.concatenate([np.repeat(clip.pixels_THW3[:1], 6, axis=0), clip.pixels_THW3[:-6]])

    result = timing.run(exam_of(Painter(obeys), tmp_path))
    error, gain, seen = result.scores
    assert error.value == pytest.approx(error.floors["truth"]) and gain.value > 0.3 and seen.value == 1
    still = timing.run(
        exam_of(Painter(lambda prompt, seed, storyboard: obeys("", 0, storyboard)[:1].repeat(33, 0), "b"), tmp_path)
    )
    assert still.scores[2].value < 0.3
    assert result.tables[0].rows[0][0] == "fall" and len(result.strips) == timing.STRIPS

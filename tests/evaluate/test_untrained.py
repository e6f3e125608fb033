"""Every suite from end to end on a model that has learnt nothing: it is far from the truth, twice in the same bytes.

The networks are tiny and random, the codec too. What noise cannot get wrong (a resting body that is not seen does not
move too early) is not in the list; the suites print a share of what is seen beside it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import TINY, write_random_weights
from kinema.data import Clip
from kinema.evaluate import (
    adherence,
    causes,
    consistency,
    frechet,
    laws,
    permanence,
    phyworld,
    preference,
    report,
    state,
    suites,
    timing,
    waves,
    words,
)
from kinema.evaluate.statistics import shortfall
from kinema.evaluate.suite import Score
from kinema.sample.pipeline import Pipeline, load
from kinema.worlds import flat

FEW: tuple[tuple[ModuleType, str, Any], ...] = (
    *((module, "QUICK_CLIPS", 1) for module in (state, laws, consistency, phyworld, waves)),
    *((permanence, "QUICK_CLIPS", 2), (timing, "QUICK_CLIPS", 2), (timing, "QUICK_FAMILIES", ("throw",))),
    *((causes, "QUICK_ROWS", 2), (causes, "QUICK_PANES", 1), (causes, "QUICK_SPEEDS_MPS", (2.0, 5.5))),
    *((words, "QUICK_FAMILIES", ("fall",)), (words, "QUICK_PAIRS", 1), (words, "QUICK_MATERIAL_SCENES", 3)),
    *((words, "FAMILIES", ("ramp", "ripple", "mirror")), (frechet, "FAMILIES", ("ramp", "ripple", "mirror"))),
    *((preference, "QUICK_PAIRS", 1), (preference, "VIOLATIONS", preference.VIOLATIONS[:2])),
)

FAR = {
    "state": ("place_error_px", "velocity_error_mps", "found_share"),
    "laws": ("velocity_error_mps", "tracked_share", "gravity_error_mps2", "energy_drift", "momentum_drift"),
    "permanence": ("comes_out_share", "shape_after_share", "time_error_s", "vanished_per_min"),
    "causes": ("reacts_share", "gap_stops_share", "fall_time_error_s"),
    "consistency": ("turn_error_deg", "kept_share", "given_stroke_stays_share", "painted_area_error"),
    "phyworld": tuple(f"{scene}_{where}_distribution_mps" for scene in flat.SCENES for where in ("in", "out_of")),
    "adherence": ("colors_present", "count_right", "shape_right", "moves_right", "falls_right"),
    "words": ("named_things_right", "left_right", "large_right", "material_right", "family_right"),
    "timing": ("timing_error_s", "event_seen"),
    "waves": ("water_in_motion_error", "ripple_seen", "reflection_seen", "lens_error", "refraction_seen"),
    "frechet": ("frechet_distance",),
}
"""Scores that show it; ``preference`` has no truth to be far from, and a test of its own for untrained networks."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Random networks, as if trained on the flat worlds too, so that phyworld asks."""
    families = (*TINY.worlds.families, *flat.SCENES)
    config = dataclasses.replace(TINY, worlds=dataclasses.replace(TINY.worlds, samples_per_pixel=1, families=families))
    return load(write_random_weights(tmp_path_factory.mktemp("untrained") / "weights", config))


# One test a suite, so that two workers share them: all of them together take minutes.
@pytest.mark.parametrize("suite", suites.NAMES)
def test_an_untrained_model_is_far_from_the_truth_twice_in_the_same_bytes(
    pipeline: Pipeline,
    judged_clips: tuple[Clip, ...],
    suite: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name, value in FEW:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(adherence, "held_out_clips", lambda worlds, each: iter(judged_clips[::4]))
    first, second = (suites.run([pipeline], suites.find([suite]), True, tmp_path / cache)[0] for cache in "ab")
    assert [result.name for result in first] == [suite]

    scores = {score.name: score for score in first[0].scores}
    for name in FAR.get(suite, ()):
        score = scores[name]
        assert shortfall(score) > 0.5, (name, score.value, score.floors)
        assert is_good(score), (name, score.floors)  # the same measure says that the truth is true
    assert suite in FAR or scores["ppe"].value >= 0.5

    subject = [report.Subject(pipeline.card.name, pipeline.sha256, dataclasses.asdict(pipeline.card.sampling))]
    for write in (report.to_json, report.to_html):
        assert write(subject, [first], True) == write(subject, [second], True)
    pictures = len(first[0].strips) + len(first[0].curves)
    assert report.to_html(subject, [first], True).count("data:image/png;base64,") == pictures
    assert pictures or suite in ("state", "frechet")


def test_an_exam_without_names_has_all_suites_in_order() -> None:
    assert tuple(suite.NAME for suite in suites.find()) == suites.NAMES


def is_good(score: Score) -> bool:
    """Whether what was measured on true clips is what truth should give."""
    if score.name == "frechet_distance":
        return score.floors["truth"] < 0.01 * score.value
    if score.better == "higher":
        return score.floors["truth"] >= 0.7
    return score.floors["truth"] < (3.0 if score.name.endswith(("_px", "_deg")) else 0.3)

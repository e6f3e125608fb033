"""Every suite from end to end on a model that has learnt nothing: it is far from the truth, twice in the same bytes.

The networks are tiny and random, the codec too. What noise cannot get wrong (a resting body that is not seen does not
move too early) is not in the list; the suites print a share of what is seen beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
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
from kinema.evaluate.suite import Score, SuiteResult
from kinema.sample.pipeline import load
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

Run = tuple[list[SuiteResult], str, str]  # results, report.json, report.html


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, judged_clips: tuple[Clip, ...]) -> Iterator[tuple[Run, Run]]:
    """All suites in a size smaller than the quick one, from two empty folders."""
    families = (*TINY.worlds.families, *flat.SCENES)  # as if trained on the flat worlds, so that phyworld asks
    config = dataclasses.replace(TINY, worlds=dataclasses.replace(TINY.worlds, samples_per_pixel=1, families=families))
    folder = tmp_path_factory.mktemp("untrained")
    pipeline = load(write_random_weights(folder / "weights", config))
    subject = [report.Subject(pipeline.card.name, pipeline.sha256, dataclasses.asdict(pipeline.card.sampling))]
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in FEW:
            patch.setattr(module, name, value)
        patch.setattr(adherence, "held_out_clips", lambda worlds, each: iter(judged_clips[::4]))
        done = []
        for cache in ("first", "second"):
            results = suites.run([pipeline], suites.find(), True, folder / cache)
            pages = (write(subject, results, True) for write in (report.to_json, report.to_html))
            done.append((results[0], *pages))
    yield done[0], done[1]


@pytest.mark.parametrize("suite", suites.NAMES)
def test_an_untrained_model_is_far_from_the_truth(runs: tuple[Run, Run], suite: str) -> None:
    result = next(result for result in runs[0][0] if result.name == suite)
    scores = {score.name: score for score in result.scores}
    for name in FAR.get(suite, ()):
        score = scores[name]
        assert shortfall(score) > 0.5, (name, score.value, score.floors)
        assert is_good(score), (name, score.floors)  # the same measure says that the truth is true
    assert suite in FAR or scores["ppe"].value >= 0.5


def is_good(score: Score) -> bool:
    """Whether what was measured on true clips is what truth should give."""
    if score.name == "frechet_distance":
        return score.floors["truth"] < 0.01 * score.value
    if score.better == "higher":
        return score.floors["truth"] >= 0.7
    return score.floors["truth"] < (3.0 if score.name.endswith(("_px", "_deg")) else 0.3)


def test_two_runs_from_empty_folders_give_the_same_bytes(runs: tuple[Run, Run]) -> None:
    (results, first_json, first_html), (_, second_json, second_html) = runs
    assert [result.name for result in results] == list(suites.NAMES)
    assert first_json == second_json and first_html == second_html
    assert first_html.count("data:image/png;base64,") > 2 * len(suites.NAMES)

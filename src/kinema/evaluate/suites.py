"""All suites of the exam, in the order of the report, and running them.

Suites are imported when they are run: a wrong name is told before torch is loaded.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kinema.config import nearest
from kinema.errors import InputError

if TYPE_CHECKING:
    from kinema.card import Card, SamplingDefaults
    from kinema.evaluate.suite import Suite, SuiteResult
    from kinema.sample.pipeline import Pipeline

NAMES = (
    *("state", "laws", "permanence", "causes", "consistency", "phyworld", "adherence"),
    *("words", "timing", "preference", "waves", "frechet"),
)
"""Each is the name of a module of this folder."""

FEWER_STEPS = 3  # so many times fewer in a quick exam, which shifts scores by less than other clips would

OnSuite = Callable[[str, float], None]  # name of the suite at work, and how much of all work is done, 0 to 1


def check_names(names: Sequence[str]) -> None:
    """Refuses what is no suite.

    Raises:
        InputError: names the nearest.
    """
    for name in names:
        if name not in NAMES:
            near = nearest(name, list(NAMES))
            raise InputError(f"no suite {name!r}: did you mean {near}? All are: {', '.join(NAMES)}")


def find(names: Sequence[str] = ()) -> tuple[Suite, ...]:
    """The suites of these names, in the report's order; all if none is named."""
    check_names(names)
    return tuple(cast("Suite", importlib.import_module(f"kinema.evaluate.{name}")) for name in chosen(names))


def chosen(names: Sequence[str]) -> list[str]:
    """These names in the report's order; all if there are none."""
    return [name for name in NAMES if not names or name in names]


def run(
    pipelines: Sequence[Pipeline], suites: Sequence[Suite], quick: bool, folder: Path, on_suite: OnSuite | None = None
) -> list[list[SuiteResult]]:
    """Examines one or two models.

    Args:
        pipelines: the model, and the one that it is compared with.
        suites: what to run.
        quick: fewer clips and a third of the solver's steps: a few minutes in all.
        folder: where generated clips are kept.
        on_suite: progress.

    Returns:
        For each model the results of all suites.
    """
    from kinema.evaluate.suite import Exam, GeneratedClips

    report = on_suite or (lambda name, share: None)
    parts = len(pipelines) * len(suites)
    results: list[list[SuiteResult]] = [[] for _ in pipelines]
    for place, suite in enumerate(suites):
        for index, pipeline in enumerate(pipelines):
            before = len(pipelines) * place + index
            exam = Exam(
                pipeline,
                quick,
                GeneratedClips(pipeline, folder, sampling_of(pipeline.card, quick).steps if quick else None),
                functools.partial(_part, report, suite, before, parts),
            )
            result = suite.run(exam)
            results[index].append(dataclasses.replace(result, name=suite.NAME, about=suite.ABOUT))
            report(suite.NAME, (before + 1) / parts)
    return results


def sampling_of(card: Card, quick: bool) -> SamplingDefaults:
    """How the videos of an exam are made: as the weights' card says, in a third of the steps if it is quick."""
    sampling = card.sampling
    return dataclasses.replace(sampling, steps=max(1, sampling.steps // FEWER_STEPS)) if quick else sampling


def _part(report: OnSuite, suite: Suite, before: int, parts: int, done: int, total: int) -> None:
    """Progress of one suite as a share of everything."""
    report(suite.NAME, (before + done / max(total, 1)) / parts)

"""``kinema evaluate``: suites of questions with exact answers; a report for programs and one for people."""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kinema.card import save_card, save_text
from kinema.errors import InputError
from kinema.evaluate import suites
from kinema.files import make_folder_of, whole_file, whole_text
from kinema.sample.weights import WeightsFolder

if TYPE_CHECKING:
    from kinema.evaluate.suite import SuiteResult


def run(options: argparse.Namespace) -> None:
    """Runs suites on one or two models; writes ``report.json`` and ``report.html`` and prints all scores.

    Repeating the command after an interruption goes on where it stopped.

    Raises:
        InputError: no such suite or weights, or a folder that cannot be written.
        KinemaError: damaged weights, or a full disk.
    """
    suites.check_names(options.suite)
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers} is not possible: give 1 or more processes, or leave it out")
    names = [options.weights] if options.against is None else [options.weights, options.against]
    folders = [WeightsFolder.find(name) for name in names]
    if options.update_card and options.quick:
        raise InputError("--update-card needs the full size: leave out --quick")
    make_folder_of(options.out / "report.json")

    from kinema.evaluate import report, workers  # matplotlib, torch: only now that all else is known to be right

    report.check_drawing()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading", total=1.0)
        results = workers.run(
            [folder.path for folder in folders],
            suites.chosen(options.suite),
            options.quick,
            options.out / "generated",
            options.workers or workers.as_many_as_fit(),
            lambda name, share: progress.update(task, description=name, completed=share),
        )
    subjects = []
    for folder in folders:
        card = folder.card()
        sampling = dataclasses.asdict(suites.sampling_of(card, options.quick))
        subjects.append(report.Subject(card.name, folder.sha256(), sampling))
    whole_text(options.out / "report.json", report.to_json(subjects, results, options.quick))
    whole_text(options.out / "report.html", report.to_html(subjects, results, options.quick))
    if options.update_card:
        _update_card(folders[0], results[0])
    for result in results[0]:
        _print_scores(result)
    print(f"report: {options.out / 'report.html'}")


def _print_scores(result: SuiteResult) -> None:
    """A suite's scores beside the floors that they all have."""
    from kinema.evaluate.report import FLOORS, interval, number

    print(f"{result.name:34}" + "".join(f"{name:>10}" for name in (*FLOORS, "model")) + "   95% interval")
    for score in result.scores:
        values = [*(score.floors.get(name) for name in FLOORS), score.value]
        cells = "".join(f"{number(value):>10}" for value in values)
        print(f"  {score.name:32}{cells}   {interval(score.low, score.high)} of {score.n}")
    print()


def _update_card(folder: WeightsFolder, results: list[SuiteResult]) -> None:
    """Writes the scores into both forms of the weights' card."""
    values = {
        f"{result.name}_{score.name}": float(f"{score.value:.3g}")
        for result in results
        for score in result.scores
        if math.isfinite(score.value)
    }
    card = folder.card()
    card = dataclasses.replace(card, scores=card.scores | values)
    for save, name in ((save_card, "card.json"), (save_text, "card.md")):
        with whole_file(folder.path / name) as part:
            save(card, part)

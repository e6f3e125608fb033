"""``kinema evaluate``: does the video show what the prompt says? Scores beside their ceilings, and pictures."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kinema.card import save_card, save_text
from kinema.files import make_folder_of, whole_file
from kinema.sample.weights import WeightsFolder

if TYPE_CHECKING:
    from kinema.evaluate.adherence import AdherenceScores


def run(options: argparse.Namespace) -> None:
    """Judges true clips, their codec reconstructions and generated clips; writes ``report.json`` and contact sheets.

    Repeating the command after an interruption goes on where it stopped.

    Raises:
        InputError: no such weights, or a folder that cannot be written.
        KinemaError: damaged weights, or a full disk.
    """
    folder = WeightsFolder.find(options.weights)
    make_folder_of(options.out / "report.json")

    from kinema.evaluate import adherence  # torch: only now that all else is known to be right
    from kinema.sample.pipeline import load

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("adherence", total=None)
        scores = adherence.run(
            load(folder.path),
            options.out,
            on_clip=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if options.update_card:
        _update_card(folder, scores["all"]["generated"])
    _print_scores(scores)
    print(f"report and contact sheets: {options.out}")


def _print_scores(scores: dict[str, dict[str, AdherenceScores]]) -> None:
    """All clips with their ceilings and intervals; then each family's generated clips."""
    names = [field.name for field in fields(scores["all"]["generated"])]
    print(f"{'':16}{'true clips':>14}{'codec':>14}{'generated':>14}   95% interval")
    for name in names:
        true, codec, generated = (getattr(scores["all"][column], name) for column in ("true", "codec", "generated"))
        print(
            f"{name:16}{true.value:>14.1%}{codec.value:>14.1%}{generated.value:>14.1%}   "
            f"{generated.low:.1%} to {generated.high:.1%} of {generated.n}"
        )
    print(f"\n{'generated':16}" + "".join(f"{name:>16}" for name in names))
    for family in [family for family in scores if family != "all"]:
        rates = [getattr(scores[family]["generated"], name) for name in names]
        print(f"{family:16}" + "".join(f"{rate.value:>16.1%}" if rate.n else f"{'':>16}" for rate in rates))


def _update_card(folder: WeightsFolder, scores: AdherenceScores) -> None:
    """Writes the scores of generated clips into both forms of the weights' card."""
    values = {f"adherence_{field.name}": round(getattr(scores, field.name).value, 3) for field in fields(scores)}
    card = folder.card()
    card = replace(card, scores=card.scores | values)
    for save, name in ((save_card, "card.json"), (save_text, "card.md")):
        with whole_file(folder.path / name) as part:
            save(card, part)

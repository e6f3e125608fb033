"""Does the video show what the prompt says? Colours, number, shapes and falling, judged from pixels.

The prompts name combinations of colour, shape and family that no training clip contains. The same judge also looks
at the true clips behind the prompts and at their codec reconstructions: what it scores there is the ceiling for
generated clips.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.clips.contact_sheet import contact_sheet
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.judge import count_bodies, falls, segment
from kinema.evaluate.silhouette import shape_of
from kinema.files import whole_file
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline
from kinema.worlds import palette
from kinema.worlds.make import HELD_OUT_SEED, make_clip
from kinema.worlds.narrate import short_prompt

FALLING = ("fall", "ramp")  # families in which the first body goes down
BOOTSTRAP = 2000  # resamplings of an interval

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True)
class Expectation:
    """What a clip must show: its bodies in the prompt's order, and whether the first one goes down."""

    prompt: str
    family: str
    colors: tuple[str, ...]
    shapes: tuple[str, ...]
    falls: bool


@dataclass(frozen=True)
class Verdict:
    """What the judge saw in one clip. A body that is not there has no shape and does not fall."""

    colors: tuple[str, ...]  # seen, in any order
    count: int
    shapes: tuple[str | None, ...]  # of the expected bodies, in their order
    falls: bool  # the first body


@dataclass(frozen=True)
class Rate:
    """A share with its 95% bootstrap interval over clips, and the number of things it is a share of."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class AdherenceScores:
    """How often clips show what was asked for."""

    colors_present: Rate  # clips in which every named colour is there
    count_right: Rate  # clips with the right number of bodies
    shape_right: Rate  # named bodies that are there in their shape
    falls_right: Rate  # clips whose first body falls, where it should


def held_out_clips(worlds: WorldsConfig, each: int = 5) -> Iterator[Clip]:
    """World clips that no training set contains: ``each`` of every held-out combination of colour, shape and family."""
    for family, combinations in palette.HELD_OUT.items():
        made: Counter[tuple[str, str]] = Counter()
        seed = HELD_OUT_SEED
        while sum(made.values()) < each * len(combinations):
            clip = make_clip(family, seed, worlds)
            seed += 1
            assert clip.state is not None
            combination = (clip.state.bodies[0].color, clip.state.bodies[0].shape)
            if made[combination] < each:
                made[combination] += 1
                yield clip


def expectation_of(clip: Clip) -> Expectation:
    """What a video of a world clip's plainest prompt must show."""
    assert clip.state is not None, "only clips of the worlds know what they show"
    family, bodies = clip.source.family, clip.state.bodies
    return Expectation(
        prompt=short_prompt(family, bodies, str(clip.state.facts["floor"])),
        family=family,
        colors=tuple(body.color for body in bodies),
        shapes=tuple(body.shape for body in bodies),
        falls=family in FALLING,
    )


def judge_clip(pixels_THW3: Pixels, expectation: Expectation) -> Verdict:
    """Looks at one clip."""
    tracks = segment(pixels_THW3)
    by_color = {track.color: track for track in tracks}
    named = [by_color.get(color) for color in expectation.colors]
    return Verdict(
        colors=tuple(by_color),
        count=count_bodies(tracks),
        shapes=tuple(shape_of(track, tracks, pixels_THW3) if track else None for track in named),
        falls=named[0] is not None and falls(named[0]),
    )


def score(verdicts: Sequence[Verdict], expectations: Sequence[Expectation]) -> AdherenceScores:
    """Sums up the verdicts on clips that were made for these expectations."""
    pairs = list(zip(verdicts, expectations, strict=True))
    shapes = [sum(a == b for a, b in zip(v.shapes, e.shapes, strict=True)) for v, e in pairs]
    return AdherenceScores(
        colors_present=rate([int(set(e.colors) <= set(v.colors)) for v, e in pairs]),
        count_right=rate([int(v.count == len(e.colors)) for v, e in pairs]),
        shape_right=rate(shapes, [len(e.shapes) for e in expectations]),
        falls_right=rate([int(v.falls) for v, e in pairs if e.falls]),
    )


def rate(hits: Sequence[int], trials: Sequence[int] | None = None) -> Rate:
    """Share of hits with a percentile bootstrap interval (Efron 1979) that resamples clips.

    Args:
        hits: hits in each clip.
        trials: things in each clip that could have been hits; one each if left out.
    """
    hit_N = np.asarray(hits, dtype=np.float64)
    trial_N = np.ones_like(hit_N) if trials is None else np.asarray(trials, dtype=np.float64)
    if not len(hit_N):
        return Rate(float("nan"), float("nan"), float("nan"), 0)
    drawn_RN = np.random.default_rng(0).integers(len(hit_N), size=(BOOTSTRAP, len(hit_N)))
    share_R = hit_N[drawn_RN].sum(axis=1) / trial_N[drawn_RN].sum(axis=1)
    low, high = np.quantile(share_R, [0.025, 0.975])
    return Rate(float(hit_N.sum() / trial_N.sum()), float(low), float(high), int(trial_N.sum()))


def run(pipeline: Pipeline, out: Path, each: int = 5, on_clip: Progress | None = None) -> dict[str, AdherenceScores]:
    """Generates a video for every held-out prompt and scores it beside the true clip and its reconstruction.

    Writes ``report.json`` and one contact sheet of generated clips per family (a row per prompt, in the report's
    order) into ``out``.

    Args:
        pipeline: the model.
        out: an existing folder.
        each: prompts for each of the 20 held-out combinations.
        on_clip: called after each prompt.

    Returns:
        Scores of the columns ``true``, ``codec`` and ``generated``.
    """
    card = pipeline.card
    worlds = dataclasses.replace(
        pipeline.config.worlds, height=card.height, width=card.width, frames=card.frames, fps=card.fps
    )
    total = each * sum(len(combinations) for combinations in palette.HELD_OUT.values())
    expectations: list[Expectation] = []
    verdicts: dict[str, list[Verdict]] = {"true": [], "codec": [], "generated": []}
    sheets: dict[str, list[Pixels]] = {}
    for index, clip in enumerate(held_out_clips(worlds, each)):
        wanted = expectation_of(clip)
        generated_THW3 = pipeline.generate(wanted.prompt, seed=index).pixels
        sheets.setdefault(wanted.family, []).append(generated_THW3)
        expectations.append(wanted)
        columns = (clip.pixels_THW3, reconstruct(pipeline.codec, clip.pixels_THW3)[0], generated_THW3)
        for column, pixels_THW3 in zip(verdicts, columns, strict=True):
            verdicts[column].append(judge_clip(pixels_THW3, wanted))
        if on_clip:
            on_clip(index + 1, total)
    for family, clips in sheets.items():
        contact_sheet(clips, out / f"generated_{family}.png")
    scores = {column: score(seen, expectations) for column, seen in verdicts.items()}
    write_report(out / "report.json", pipeline, expectations, verdicts, scores)
    return scores


def write_report(
    path: Path,
    pipeline: Pipeline,
    expectations: Sequence[Expectation],
    verdicts: dict[str, list[Verdict]],
    scores: dict[str, AdherenceScores],
) -> None:
    """Writes scores side by side, and what was asked for and seen in every clip, as JSON."""
    report: dict[str, Any] = {
        "suite": "adherence",
        "model": pipeline.card.name,
        "sampling": dataclasses.asdict(pipeline.card.sampling),
        "scores": {column: dataclasses.asdict(value) for column, value in scores.items()},
        "clips": [
            {
                **dataclasses.asdict(wanted),
                "seed": index,
                "seen": {c: dataclasses.asdict(v[index]) for c, v in verdicts.items()},
            }
            for index, wanted in enumerate(expectations)
        ],
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

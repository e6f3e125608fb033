"""Does the video show what the prompt says? Colours, number, shapes, motion and falling, judged from pixels.

The prompts name combinations of colour, shape and family that no training clip contains. The same judge also looks
at the true clips behind the prompts and at their codec reconstructions: what it scores there is the ceiling for
generated clips.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kinema
from kinema.clips.contact_sheet import contact_sheet
from kinema.config import WorldsConfig
from kinema.data import BodyInfo, Clip, WorldState
from kinema.evaluate.judge import FAMILIES, count_bodies, falls, is_judged, moves, segment
from kinema.evaluate.silhouette import shape_of
from kinema.files import whole_file, whole_text
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline
from kinema.worlds import palette
from kinema.worlds.make import HELD_OUT_SEED, make_clip
from kinema.worlds.narration.narrate import short_prompt

FALLING = ("fall", "ramp")  # families whose prompts say that the first body goes down …
MOVING = (*FALLING, "throw", "collide", "pendulum", "occlude")  # … or that it moves
CAMERA_MOVES = ("orbit",)  # families whose prompts say that the camera moves
EACH = 3  # prompts for every held-out combination
BOOTSTRAP = 2000  # resamplings of an interval

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True)
class Expectation:
    """What a clip must show: its bodies in the prompt's order, and whether the first one moves and goes down."""

    prompt: str
    family: str
    colors: tuple[str, ...]
    shapes: tuple[str, ...]
    moves: bool
    falls: bool


@dataclass(frozen=True)
class Verdict:
    """What the judge saw in one clip. A body that is not there has no shape, does not move and does not fall."""

    colors: tuple[str, ...]  # seen, in any order
    count: int
    shapes: tuple[str | None, ...]  # of the expected bodies, in their order
    moves: bool  # the first body, like the next
    falls: bool


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
    moves_right: Rate  # clips whose first body moves, where it should
    falls_right: Rate  # clips whose first body falls, where it should


def held_out_clips(worlds: WorldsConfig, each: int = EACH) -> Iterator[Clip]:
    """World clips that no training set contains: ``each`` of every held-out combination of the judged families.

    Seeds go up from ``HELD_OUT_SEED``; clips that cannot be judged are left out.
    """
    for family in FAMILIES:
        made: Counter[tuple[str, str]] = Counter()
        seed = HELD_OUT_SEED
        while sum(made.values()) < each * len(palette.HELD_OUT[family]):
            clip = make_clip(family, seed, worlds)
            seed += 1
            assert clip.state is not None
            combination = (clip.state.bodies[0].color, clip.state.bodies[0].shape)
            if made[combination] < each and can_be_judged(clip):
                made[combination] += 1
                yield clip


def number_of_prompts(each: int = EACH) -> int:
    """How many clips :func:`held_out_clips` makes."""
    return each * sum(len(palette.HELD_OUT[family]) for family in FAMILIES)


def can_be_judged(clip: Clip) -> bool:
    """Whether pixels alone can tell if a clip shows what its plainest prompt says.

    Left out are clips with a white, black or glass body; with two bodies of one colour, or a brown and an orange one,
    whose hue is the same; with a moving camera that the prompt does not mention; and those of the ramp in which
    friction holds the first body, against what the prompt says.
    """
    assert clip.state is not None, "only clips of the worlds know what they show"
    family, facts = clip.source.family, clip.state.facts
    bodies = _whole_bodies(clip.state)
    colors = {body.color for body in bodies}
    return (
        family in FAMILIES
        and all(is_judged(body) for body in bodies)
        and len(colors) == len(bodies)
        and not {"brown", "orange"} <= colors
        and (facts["camera_move"] == "fixed" or family in CAMERA_MOVES)
        and (family != "ramp" or facts["ways"][0] != "stays")
    )


def expectation_of(clip: Clip) -> Expectation:
    """What a video of a world clip's plainest prompt must show."""
    assert clip.state is not None, "only clips of the worlds know what they show"
    family, bodies = clip.source.family, _whole_bodies(clip.state)
    return Expectation(
        prompt=short_prompt(family, clip.state),
        family=family,
        colors=tuple(body.color for body in bodies),
        shapes=tuple(body.shape for body in bodies),
        moves=family in MOVING,
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
        moves=named[0] is not None and moves(named[0]),
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
        moves_right=rate([int(v.moves) for v, e in pairs if e.moves]),
        falls_right=rate([int(v.falls) for v, e in pairs if e.falls]),
    )


def rate(hits: Sequence[int], trials: Sequence[int] | None = None) -> Rate:
    """Share of hits with a percentile bootstrap interval (Efron 1979) that resamples clips.

    Args:
        hits: hits in each clip.
        trials: things in each clip that could have been hits; one each if left out.

    Returns:
        The share; nan of nothing.
    """
    hit_N = np.asarray(hits, dtype=np.float64)
    trial_N = np.ones_like(hit_N) if trials is None else np.asarray(trials, dtype=np.float64)
    if not len(hit_N):
        return Rate(float("nan"), float("nan"), float("nan"), 0)
    drawn_RN = np.random.default_rng(0).integers(len(hit_N), size=(BOOTSTRAP, len(hit_N)))
    share_R = hit_N[drawn_RN].sum(axis=1) / trial_N[drawn_RN].sum(axis=1)
    low, high = np.quantile(share_R, [0.025, 0.975])
    return Rate(float(hit_N.sum() / trial_N.sum()), float(low), float(high), int(trial_N.sum()))


def run(
    pipeline: Pipeline, out: Path, each: int = EACH, on_clip: Progress | None = None
) -> dict[str, dict[str, AdherenceScores]]:
    """Generates a video for every held-out prompt and scores it beside the true clip and its reconstruction.

    Writes ``report.json`` and one contact sheet of generated clips per family (a row per prompt, in the report's
    order) into ``out``. Generated clips are kept in ``out/generated``: after an interruption, the same weights,
    settings and prompts go on where they stopped.

    Args:
        pipeline: the model.
        out: an existing folder.
        each: prompts for each held-out combination.
        on_clip: called at the start and after each prompt.

    Returns:
        For ``all`` and for every family the scores of the columns ``true``, ``codec`` and ``generated``.
    """
    card = pipeline.card
    worlds = dataclasses.replace(
        pipeline.config.worlds, height=card.height, width=card.width, frames=card.frames, fps=card.fps
    )
    (out / "generated").mkdir(exist_ok=True)
    progress = on_clip or (lambda done, total: None)
    progress(0, number_of_prompts(each))
    expectations: list[Expectation] = []
    verdicts: dict[str, list[Verdict]] = {"true": [], "codec": [], "generated": []}
    sheets: dict[str, list[Pixels]] = {}
    for index, clip in enumerate(held_out_clips(worlds, each)):
        wanted = expectation_of(clip)
        generated_THW3 = _generated(pipeline, wanted.prompt, index, out / "generated")
        sheets.setdefault(wanted.family, []).append(generated_THW3)
        expectations.append(wanted)
        columns = (clip.pixels_THW3, reconstruct(pipeline.codec, clip.pixels_THW3)[0], generated_THW3)
        for column, pixels_THW3 in zip(verdicts, columns, strict=True):
            verdicts[column].append(judge_clip(pixels_THW3, wanted))
        progress(index + 1, number_of_prompts(each))
    for family, clips in sheets.items():
        contact_sheet(clips, out / f"generated_{family}.png")
    scores = scores_by_family(verdicts, expectations)
    write_report(out / "report.json", pipeline, expectations, verdicts, scores)
    return scores


def scores_by_family(
    verdicts: dict[str, list[Verdict]], expectations: Sequence[Expectation]
) -> dict[str, dict[str, AdherenceScores]]:
    """Scores of every column, for ``all`` clips and for each family's."""
    rows = {"all": list(range(len(expectations)))}
    for index, wanted in enumerate(expectations):
        rows.setdefault(wanted.family, []).append(index)
    return {
        name: {
            column: score([seen[index] for index in chosen], [expectations[index] for index in chosen])
            for column, seen in verdicts.items()
        }
        for name, chosen in rows.items()
    }


def write_report(
    path: Path,
    pipeline: Pipeline,
    expectations: Sequence[Expectation],
    verdicts: dict[str, list[Verdict]],
    scores: dict[str, dict[str, AdherenceScores]],
) -> None:
    """Writes scores side by side, and what was asked for and seen in every clip, as JSON.

    Rates of nothing are left out.
    """
    plain = {
        family: {
            column: {name: rate for name, rate in dataclasses.asdict(value).items() if rate["n"]}
            for column, value in columns.items()
        }
        for family, columns in scores.items()
    }
    report: dict[str, Any] = {
        "suite": "adherence",
        "model": pipeline.card.name,
        "sha256": pipeline.sha256,
        "sampling": dataclasses.asdict(pipeline.card.sampling),
        "scores": plain.pop("all"),
        "families": plain,
        "clips": [
            {
                **dataclasses.asdict(wanted),
                "seed": index,
                "seen": {c: dataclasses.asdict(v[index]) for c, v in verdicts.items()},
            }
            for index, wanted in enumerate(expectations)
        ],
    }
    whole_text(path, json.dumps(report, indent=1) + "\n")


def _generated(pipeline: Pipeline, prompt: str, seed: int, folder: Path) -> Pixels:
    """The video of a prompt, from ``folder`` if these weights have made it with these settings before."""
    card = pipeline.card
    shape = (card.frames, card.height, card.width, card.fps)
    made_of = [kinema.__version__, pipeline.sha256, prompt, seed, *shape, dataclasses.asdict(card.sampling)]
    path = folder / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        pixels_THW3 = pipeline.generate(prompt, seed=seed).pixels
        with whole_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, pixels_THW3=pixels_THW3)
    with np.load(path) as stored:
        kept_THW3: Pixels = stored["pixels_THW3"]
    return kept_THW3


def _whole_bodies(state: WorldState) -> list[BodyInfo]:
    """The bodies without the pieces that some break into."""
    return [body for body in state.bodies if body.part_of < 0]

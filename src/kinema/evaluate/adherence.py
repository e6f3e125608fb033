"""Does the video show what the prompt says? Colours, number, shapes, motion and falling, judged from pixels.

The prompts name combinations of colour, shape and family that no training clip contains. The same judge also looks
at the true clips behind the prompts and at their codec reconstructions: what it scores there is the ceiling for
generated clips.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kinema.config import WorldsConfig
from kinema.data import BodyInfo, Clip, WorldState
from kinema.evaluate.judge import FAMILIES, count_bodies, falls, is_judged, moves, segment
from kinema.evaluate.silhouette import shape_of
from kinema.evaluate.statistics import rate
from kinema.evaluate.suite import Exam, Pixels, Score, Strip, SuiteResult, Table
from kinema.worlds import palette
from kinema.worlds.make import HELD_OUT_SEED, draw_scene, world_of
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.scene import Scene

FALLING = ("fall", "ramp")  # families whose prompts say that the first body goes down …
MOVING = (*FALLING, "throw", "collide", "pendulum", "occlude")  # … or that it moves
CAMERA_MOVES = ("orbit",)  # families whose prompts say that the camera moves
EACH = 3  # prompts for every held-out combination
QUICK_EACH, QUICK_EVERY = 1, 3  # of every third combination
STRIPS = 8  # in the report

NAME = "adherence"
ABOUT = "Does the video show what the prompt says? Colours, number, shapes, motion and falling on held-out prompts."


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


def held_out_clips(worlds: WorldsConfig, each: int = EACH) -> Iterator[Clip]:
    """World clips that no training set contains: ``each`` of every held-out combination of the judged families.

    Seeds go up from ``HELD_OUT_SEED``; clips that cannot be judged are left out.
    """
    for family in FAMILIES:
        made: Counter[tuple[str, str]] = Counter()
        seed = HELD_OUT_SEED
        while sum(made.values()) < each * len(palette.HELD_OUT[family]):
            scene, rng = draw_scene(family, seed, worlds)
            combination = (scene.bodies[0].info.color, scene.bodies[0].info.shape)
            if made[combination] < each and may_be_judged(scene):
                clip = world_of(scene, rng, seed, worlds).clip
                if can_be_judged(clip):
                    made[combination] += 1
                    yield clip
            seed += 1


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
    return (
        family in FAMILIES
        and _can_be_told_apart(_whole_bodies(clip.state))
        and (facts["camera_move"] == "fixed" or family in CAMERA_MOVES)
        and (family != "ramp" or facts["ways"][0] != "stays")
    )


def may_be_judged(scene: Scene) -> bool:
    """Refuses scenes whose clips :func:`can_be_judged` would refuse for their bodies, before they are filmed."""
    return _can_be_told_apart([body.info for body in scene.bodies if body.info.part_of < 0])


def _can_be_told_apart(bodies: Sequence[BodyInfo]) -> bool:
    colors = {body.color for body in bodies}
    judged = all(is_judged(body) for body in bodies)
    return judged and len(colors) == len(bodies) and not {"brown", "orange"} <= colors


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


def run(exam: Exam) -> SuiteResult:
    """Generates a video for every held-out prompt and scores it beside the true clip and its reconstruction."""
    each, every = (QUICK_EACH, QUICK_EVERY) if exam.quick else (EACH, 1)
    total = -(-number_of_prompts(each) // every)
    exam.on_progress(0, total)
    expectations: list[Expectation] = []
    verdicts: dict[str, list[Verdict]] = {"truth": [], "codec": [], "generated": []}
    clips: list[Pixels] = []
    for index, clip in enumerate(itertools.islice(held_out_clips(exam.worlds, each), 0, None, every)):
        wanted = expectation_of(clip)
        clips.append(exam.cache.make(wanted.prompt, seed=index))
        expectations.append(wanted)
        columns = (clip.pixels_THW3, exam.cache.coded(clip.pixels_THW3), clips[-1])
        for column, pixels_THW3 in zip(verdicts, columns, strict=True):
            verdicts[column].append(judge_clip(pixels_THW3, wanted))
        exam.on_progress(index + 1, total)
    return SuiteResult(
        NAME,
        ABOUT,
        scores(verdicts, expectations),
        tables=(_families(verdicts, expectations), _clip_by_clip(verdicts, expectations)),
        strips=_strips(clips, verdicts["generated"], expectations),
    )


def scores(verdicts: Mapping[str, Sequence[Verdict]], expectations: Sequence[Expectation]) -> tuple[Score, ...]:
    """How often clips show what was asked for.

    Args:
        verdicts: of the columns ``generated`` and, as floors, of any others, on clips made for these expectations.
        expectations: what every clip must show.
    """

    def share(
        name: str,
        about: str,
        hit: Callable[[Verdict, Expectation], float],
        trial: Callable[[Expectation], int] = lambda wanted: 1,
    ) -> Score:
        hits = {
            column: [hit(v, e) if trial(e) else 0.0 for v, e in zip(seen, expectations, strict=True)]
            for column, seen in verdicts.items()
        }
        return rate(name, about, hits.pop("generated"), [trial(e) for e in expectations], hits)

    return (
        share("colors_present", "clips in which every named colour is there", _has_colors),
        share("count_right", "clips with the right number of bodies", lambda v, e: v.count == len(e.colors)),
        share("shape_right", "named bodies that are there in their shape", _right_shapes, lambda e: len(e.shapes)),
        share(
            "moves_right", "clips whose first body moves, of those where it should", lambda v, e: v.moves, _must_move
        ),
        share(
            "falls_right", "clips whose first body falls, of those where it should", lambda v, e: v.falls, _must_fall
        ),
    )


def _has_colors(verdict: Verdict, wanted: Expectation) -> bool:
    return set(wanted.colors) <= set(verdict.colors)


def _right_shapes(verdict: Verdict, wanted: Expectation) -> int:
    return sum(seen == shape for seen, shape in zip(verdict.shapes, wanted.shapes, strict=True))


def _must_move(wanted: Expectation) -> int:
    return int(wanted.moves)


def _must_fall(wanted: Expectation) -> int:
    return int(wanted.falls)


def _families(verdicts: Mapping[str, Sequence[Verdict]], expectations: Sequence[Expectation]) -> Table:
    """A row for each family: the model's shares, and in brackets those of the codec and of the truth."""
    rows = []
    for family in dict.fromkeys(wanted.family for wanted in expectations):
        chosen = [index for index, wanted in enumerate(expectations) if wanted.family == family]
        part = scores(
            {column: [seen[index] for index in chosen] for column, seen in verdicts.items()},
            [expectations[index] for index in chosen],
        )
        cells = [f"{s.value:.0%} ({s.floors['codec']:.0%}, {s.floors['truth']:.0%})" if s.n else "" for s in part]
        rows.append((family, *cells))
    return Table("Families: model (codec, truth)", ("family", *_score_names()), tuple(rows))


def _score_names() -> list[str]:
    return [score.name for score in scores({"generated": []}, [])]


def _clip_by_clip(verdicts: Mapping[str, Sequence[Verdict]], expectations: Sequence[Expectation]) -> Table:
    """What was asked for and seen in every generated clip; the seed is the row's number."""

    def listed(names: Sequence[str | None]) -> str:
        return ", ".join(name or "none" for name in names)

    rows = [
        (
            *(seed, wanted.family, wanted.prompt, listed(seen.colors), seen.count, listed(seen.shapes)),
            *(("no", "yes")[seen.moves], ("no", "yes")[seen.falls]),
        )
        for seed, (wanted, seen) in enumerate(zip(expectations, verdicts["generated"], strict=True))
    ]
    columns = ("seed", "family", "prompt", "colours seen", "bodies seen", "shapes seen", "moves", "falls")
    return Table("Clip by clip, generated", columns, tuple(rows))


def _strips(
    clips: Sequence[Pixels], verdicts: Sequence[Verdict], expectations: Sequence[Expectation]
) -> tuple[Strip, ...]:
    """Some clips, those with the most wrong first."""

    def right(index: int) -> float:
        seen, wanted = verdicts[index], expectations[index]
        shapes = _right_shapes(seen, wanted) / max(len(wanted.shapes), 1)
        return _has_colors(seen, wanted) + (seen.count == len(wanted.colors)) + shapes

    order = sorted(range(len(clips)), key=lambda index: (right(index), index))
    shown = order if len(order) <= STRIPS else [*order[: STRIPS - 2], order[len(order) // 2], order[-1]]
    return tuple(Strip(f"{expectations[i].prompt} (seed {i}; {right(i):.1f} of 3)", clips[i]) for i in shown)


def _whole_bodies(state: WorldState) -> list[BodyInfo]:
    """The bodies without the pieces that some break into."""
    return [body for body in state.bodies if body.part_of < 0]

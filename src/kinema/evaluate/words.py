"""Do words mean something to the model? The same scenes in wordings and combinations that it has and has not been told.

Four cells: combinations of colour, shape and family that training clips contain or never contain, told in wordings
that training captions use or never use. Both wordings of a scene start from the same noise, so their difference is the
words'. Beside them: who is left of whom, who is larger, what a body is made of, and which of the sixteen families a
video looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema.data import Clip, WorldState
from kinema.evaluate.adherence import Expectation, Verdict, can_be_judged, expectation_of, judge_clip, may_be_judged
from kinema.evaluate.bodies import places_of
from kinema.evaluate.examples import TEST_SEED, unseen
from kinema.evaluate.families import FAMILIES, family_of
from kinema.evaluate.judge import Track, segment
from kinema.evaluate.material import MATERIALS, filmed, material_of, remade
from kinema.evaluate.statistics import Floor, finite_mean, rate, score_of
from kinema.evaluate.suite import Exam, Pixels, Score, Strip, SuiteResult, Table
from kinema.worlds.make import HELD_OUT_SEED, draw_scene
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.narration.phrases import HELD_OUT_PHRASES
from kinema.worlds.narration.words import MATERIAL_WORDS, agree
from kinema.worlds.scene import Scene

NAME = "words"
ABOUT = (
    "Words: colours, numbers and shapes in combinations and wordings that training has and has not shown; left and "
    "right, large and small; materials; and whether the video looks like the family that the prompt names."
)

WORDINGS = {  # what short prompts say, and what no training caption ever says instead
    "fall": ("fall* and bounce*", HELD_OUT_PHRASES["falls"][0]),
    "throw": ("be* thrown", HELD_OUT_PHRASES["thrown"][0].replace("{way}", "")),
    "collide": ("hit*", HELD_OUT_PHRASES["hits"][0].replace(" {other}", "")),
    "ramp": ("{goes} down a ramp", ""),  # see _other_words
    "pendulum": ("swing*", HELD_OUT_PHRASES["swings"][0].replace("{way}", "")),
    "occlude": ("move* behind a wall", HELD_OUT_PHRASES["hides"][0].replace("{other}", "a wall")),
}
EACH, FAMILY_EACH, PAIRS = 4, 3, 10  # scenes of a family and cell; prompts of a family; pairs of relations
QUICK_EACH, QUICK_FAMILY_EACH, QUICK_PAIRS = 1, 1, 1
MATERIAL_SCENES, QUICK_MATERIAL_SCENES = 8, 1  # each in all materials
QUICK_FAMILIES = ("fall", "collide")
ONLY_HERE = 10_000  # held-out seeds from here on: other scenes than those of the suite on adherence
STRIPS = 6
_RELATED = (("red", "blue"), ("green", "yellow"), ("purple", "cyan"), ("pink", "lime"), ("orange", "blue"))
_NOUNS = ("ball", "cube")
_BEGINNING = 3  # sides are read in the first third of a clip: later bodies may have moved past each other


@dataclass(frozen=True)
class Case:
    """A scene that is asked for in two wordings."""

    clip: Clip
    wanted: Expectation
    seed: int
    held_out: bool  # whether training never shows its combination

    def prompt(self, other_words: bool) -> str:
        return other_wording(self.clip) if other_words else self.wanted.prompt


def run(exam: Exam) -> SuiteResult:
    """Makes all videos and scores them beside true clips and their reconstructions."""
    each = QUICK_EACH if exam.quick else EACH
    families = QUICK_FAMILIES if exam.quick else tuple(WORDINGS)
    pairs, of_family = (QUICK_PAIRS, QUICK_FAMILY_EACH) if exam.quick else (PAIRS, FAMILY_EACH)
    of_materials = QUICK_MATERIAL_SCENES if exam.quick else MATERIAL_SCENES
    total = 4 * each * len(families) + 4 * pairs + len(MATERIALS) * of_materials + of_family * len(FAMILIES)
    done = 0

    def make(prompt: str, seed: int) -> Pixels:
        nonlocal done
        pixels_THW3 = exam.cache.make(prompt, seed=seed)
        done += 1
        exam.on_progress(done, total)
        return pixels_THW3

    exam.on_progress(0, total)
    cases = list(_cases(exam, families, each))
    verdicts: dict[str, list[Verdict]] = {"truth": [], "codec": [], "seen": [], "other": []}
    videos: list[tuple[str, Pixels]] = []
    for case in cases:
        shown = {"truth": case.clip.pixels_THW3, "codec": exam.cache.coded(case.clip.pixels_THW3)}
        for column, other in (("seen", False), ("other", True)):
            shown[column] = make(case.prompt(other), case.seed)
            videos.append((case.prompt(other), shown[column]))
        for column, pixels_THW3 in shown.items():
            verdicts[column].append(judge_clip(pixels_THW3, case.wanted))
    found: dict[str, list[float]] = {}
    for kind in ("left", "large"):
        found[kind] = [
            float(
                np.mean([is_related(kind, make(text, seed), colors) for text, colors in relation_prompts(kind, seed)])
            )
            for seed in range(pairs)
        ]
    readings = material_readings(exam, of_materials, make)
    likeness, confusions = _likeness(exam, of_family, make)
    scores = (
        *(*cell_scores(cases, verdicts), *_relation_scores(exam, cases, found)),
        *(material_score(readings), _family_score(likeness)),
    )
    right = [
        share_right(verdict, case.wanted)
        for case, *both in zip(cases, verdicts["seen"], verdicts["other"], strict=True)
        for verdict in both
    ]
    order = sorted(range(len(videos)), key=lambda index: right[index])
    strips = tuple(Strip(*videos[index]) for index in order[:STRIPS])
    tables = (_cells(cases, verdicts), _material_table(readings), _confusion_table(confusions))
    return SuiteResult(NAME, ABOUT, scores, tables, strips=strips)


def other_wording(clip: Clip) -> str:
    """The plainest prompt of a clip with what happens told in words that no training caption contains."""
    assert clip.state is not None
    family, prompt = clip.source.family, short_prompt(clip.source.family, clip.state)
    if family == "ramp":
        ball = clip.state.bodies[0].shape == "sphere"
        usual = "rolls down a ramp" if ball else "slides down a ramp"
        new = agree(HELD_OUT_PHRASES["down_ramp" if ball else "slides_down_ramp"][0], False)
    else:
        many = family != "collide" and len([body for body in clip.state.bodies if body.part_of < 0]) > 1
        usual, new = (agree(phrase, many) for phrase in WORDINGS[family])
    assert usual in prompt, (usual, prompt)
    return prompt.replace(usual, new)


def share_right(verdict: Verdict, wanted: Expectation) -> float:
    """Share of what was named that is there: colours, the right number, shapes; equal parts."""
    colors = np.mean([color in verdict.colors for color in wanted.colors])
    shapes = np.mean([seen == asked for seen, asked in zip(verdict.shapes, wanted.shapes, strict=True)])
    return float(np.mean([colors, verdict.count == len(wanted.colors), shapes]))


def cell_scores(cases: Sequence[Case], verdicts: Mapping[str, Sequence[Verdict]]) -> tuple[Score, ...]:
    """What is right in all, and how much is lost by other words and by new combinations."""
    right = {
        column: np.array([share_right(verdict, case.wanted) for verdict, case in zip(own, cases, strict=True)])
        for column, own in verdicts.items()
    }
    old, new = (
        np.array([index for index, case in enumerate(cases) if case.held_out == held]) for held in (False, True)
    )
    both = (right["seen"] + right["other"]) / 2

    def gap(column: str) -> list[float]:
        lost: list[float] = (right[column][old] - right[column][new]).tolist()
        return lost

    return (
        score_of(
            "named_things_right",
            "share of named colours, numbers and shapes that are there, all wordings and combinations",
            "higher",
            both.tolist(),
            {column: right[column].tolist() for column in ("truth", "codec")},
        ),
        score_of(
            "loss_by_new_wording",
            "the same share in wordings of training minus in wordings never used in training; same scene, same noise",
            "lower",
            (right["seen"] - right["other"]).tolist(),
            {"truth": 0.0},
        ),
        score_of(
            "loss_by_new_combination",
            "the same share for combinations of training minus for combinations never shown in training",
            "lower",
            (both[old] - both[new]).tolist(),
            {column: gap(column) for column in ("truth", "codec")},
        ),
    )


def relation_prompts(kind: str, seed: int) -> list[tuple[str, tuple[str, str]]]:
    """A pair of prompts that differ in who is where (``left``) or who is larger (``large``), and the answer.

    Returns:
        Prompts with the colour of the body on the left or of the larger one, and then of the other.
    """
    first, second = _RELATED[seed % len(_RELATED)]
    one, two = (_NOUNS[0], _NOUNS[0]) if kind == "large" else (_NOUNS[seed % 2], _NOUNS[(seed + 1) % 2])
    prompts = []
    for a, b in ((first, second), (second, first)):
        text = (
            f"a {a} {one} on the left and a {b} {two} on the right on a grey floor"
            if kind == "left"
            else f"a large {a} {one} and a small {b} {two} on a grey floor"
        )
        prompts.append((text.replace("a orange", "an orange"), (a, b)))
    return prompts


def is_related(kind: str, pixels_THW3: Pixels, colors: tuple[str, str]) -> bool:
    """Whether the first colour is left of the second one, or larger; wrong if one is not there."""
    by_color = {track.color: track for track in segment(pixels_THW3)}
    if not set(colors) <= set(by_color):
        return False
    first, second = (_side_or_size(kind, by_color[color]) for color in colors)
    return first < second if kind == "left" else first > second


def _side_or_size(kind: str, track: Track) -> float:
    if kind == "large":
        return float(np.quantile(track.area_T[track.seen_T], 0.9))
    frames = np.flatnonzero(track.seen_T)
    early = frames[frames < len(track.seen_T) / _BEGINNING]
    return float(np.median(track.centre_T2[early if len(early) else frames[:1], 1]))


def material_prompt(clip: Clip, material: str) -> str:
    """The plainest prompt of a clip with its first body's material named, as training captions name it."""
    assert clip.state is not None
    color = clip.state.bodies[0].color
    word = MATERIAL_WORDS[material][0]
    return short_prompt(clip.source.family, clip.state).replace(color, f"{color} {word}", 1)


def material_seen(pixels_THW3: Pixels, color: str) -> str | None:
    """What the body of a colour is made of; none if it is not there."""
    tracks = segment(pixels_THW3)
    return next((material_of(track, tracks, pixels_THW3) for track in tracks if track.color == color), None)


def is_lone(scene: Scene) -> bool:
    """Whether one body is all that a scene has."""
    return len(scene.bodies) == 1


def any_clip(clip: Clip) -> bool:
    """Every clip will do."""
    return True


def _cases(exam: Exam, families: Sequence[str], each: int) -> Iterator[Case]:
    for family in families:
        for held_out, first_seed in ((False, TEST_SEED), (True, HELD_OUT_SEED + ONLY_HERE)):
            for clip in unseen(family, exam.worlds, each, can_be_judged, may_be_judged, first_seed):
                yield Case(clip, expectation_of(clip), clip.source.seed % 2**20, held_out)


def _relation_scores(exam: Exam, cases: Sequence[Case], found: Mapping[str, list[float]]) -> tuple[Score, ...]:
    about = {
        "left": "share of prompts whose left body is left of the other; each pair of colours both ways round",
        "large": "share of prompts whose large ball is larger than the small one; each pair both ways round",
    }
    scores = []
    for kind, shares in found.items():
        true = [_relation_in(kind, case.clip, case.clip.pixels_THW3) for case in cases]
        code = [_relation_in(kind, case.clip, exam.cache.coded(case.clip.pixels_THW3)) for case in cases]
        floors = {"truth": finite_mean(true), "codec": finite_mean(code), "chance": 0.5}
        scores.append(rate(f"{kind}_right", about[kind], shares, floors=floors))
    return tuple(scores)


def _relation_in(kind: str, clip: Clip, pixels_THW3: Pixels) -> float:
    """Whether the judge reads the relation of a true clip's first two bodies; nan if there is none to be read."""
    state = clip.state
    assert state is not None
    if len(state.bodies) < 2 or kind == "large" and not _differ_in_size(state):
        return float("nan")
    first, second = state.bodies[0].color, state.bodies[1].color
    if kind == "left":
        turned = places_of(state, 0)[0, 1] > places_of(state, 1)[0, 1]
    else:
        turned = state.visible_TB[:, 0].max() < state.visible_TB[:, 1].max()
    return float(is_related(kind, pixels_THW3, (second, first) if turned else (first, second)))


def _differ_in_size(state: WorldState) -> bool:
    """Whether one of the first two bodies covers at least a third more of the picture than the other."""
    one, two = state.visible_TB[:, 0].max(), state.visible_TB[:, 1].max()
    return bool(max(one, two) > 1.33 * min(one, two))


def material_readings(
    exam: Exam, scenes: int, make: Callable[[str, int], Pixels]
) -> dict[str, list[tuple[str, str | None]]]:
    """Materials as they are and as they are read: of true clips of so many scenes, of coded ones, and of videos.

    The materials of a scene have everything else in common, the noise too.
    """
    readings: dict[str, list[tuple[str, str | None]]] = {"model": [], "truth": [], "codec": []}
    for clip in unseen("fall", exam.worlds, scenes, any_clip, is_lone, first_seed=TEST_SEED + 2 * ONLY_HERE):
        scene, _ = draw_scene("fall", clip.source.seed, exam.worlds)
        for material in MATERIALS:
            true_THW3 = filmed(remade(scene, [material]), exam.worlds)
            video_THW3 = make(material_prompt(clip, material), clip.source.seed % 2**20)
            shown = {"truth": true_THW3, "codec": exam.cache.coded(true_THW3), "model": video_THW3}
            for column, pixels_THW3 in shown.items():
                readings[column].append((material, material_seen(pixels_THW3, scene.bodies[0].info.color)))
    return readings


def material_score(readings: Mapping[str, Sequence[tuple[str, str | None]]]) -> Score:
    """Units are scenes, each in all materials, so that one material read everywhere gives chance."""
    right = {
        column: np.mean(np.reshape([is_made_of == seen for is_made_of, seen in pairs], (-1, len(MATERIALS))), axis=1)
        for column, pairs in readings.items()
    }
    floors = {column: finite_mean(right[column]) for column in ("truth", "codec")}
    return rate(
        "material_right",
        "share of prompts whose body is made of what they say: matte, metal or wood; the same scene in all three",
        right["model"].tolist(),
        floors={**floors, "chance": 1 / len(MATERIALS)},
    )


def _material_table(readings: Mapping[str, Sequence[tuple[str, str | None]]]) -> Table:
    """How often each material is read as what."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for column, label in (("model", "model"), ("truth", "true clip"), ("codec", "codec")):
        for material in MATERIALS:
            seen = [reading for is_made_of, reading in readings[column] if is_made_of == material]
            shares = [seen.count(reading) / max(len(seen), 1) for reading in (*MATERIALS, None)]
            rows.append((label, material, len(seen), *shares))
    return Table(
        "Materials", ("video", "made of", "clips", *(f"seen as {m}" for m in MATERIALS), "not found"), tuple(rows)
    )


def _likeness(
    exam: Exam, each: int, make: Callable[[str, int], Pixels]
) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    """Whether clips of every family look like it: true, coded and made from their plainest prompts."""
    right: dict[str, list[float]] = {"model": [], "truth": [], "codec": []}
    confusions = []
    for family in FAMILIES:
        for clip in unseen(family, exam.worlds, each, any_clip, first_seed=TEST_SEED + ONLY_HERE):
            assert clip.state is not None
            video_THW3 = make(short_prompt(family, clip.state), clip.source.seed % 2**20)
            seen = family_of(video_THW3)
            confusions.append((family, seen))
            right["model"].append(float(seen == family))
            right["truth"].append(float(family_of(clip.pixels_THW3) == family))
            right["codec"].append(float(family_of(exam.cache.coded(clip.pixels_THW3)) == family))
    return right, confusions


def _family_score(right: Mapping[str, list[float]]) -> Score:
    floors: dict[str, Floor] = {"truth": right["truth"], "codec": right["codec"], "chance": 1 / len(FAMILIES)}
    return rate(
        "family_right", "share of videos that look like the family of their prompt", right["model"], floors=floors
    )


def _cells(cases: Sequence[Case], verdicts: Mapping[str, Sequence[Verdict]]) -> Table:
    """Colours, number and shapes in each of the four cells, and in truth."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for held_out in (False, True):
        own = [index for index, case in enumerate(cases) if case.held_out == held_out]
        combination = "never in training" if held_out else "in training"
        for column, label in (("seen", "in training"), ("other", "never in training"), ("truth", "–"), ("codec", "–")):
            pairs = [(verdicts[column][index], cases[index].wanted) for index in own]
            source = {"truth": "true clip", "codec": "codec"}.get(column, "model")
            rows.append(
                (
                    *(source, combination, label, len(pairs)),
                    finite_mean([float(set(wanted.colors) <= set(verdict.colors)) for verdict, wanted in pairs]),
                    finite_mean([float(verdict.count == len(wanted.colors)) for verdict, wanted in pairs]),
                    finite_mean(
                        [
                            float(np.mean([a == b for a, b in zip(verdict.shapes, wanted.shapes, strict=True)]))
                            for verdict, wanted in pairs
                        ]
                    ),
                )
            )
    columns = ("video", "combination", "wording", "clips", "all colours there", "number right", "shapes right")
    return Table("Combinations and wordings", columns, tuple(rows))


def _confusion_table(confusions: Sequence[tuple[str, str]]) -> Table:
    rows = []
    for family in FAMILIES:
        seen = [looks for asked, looks in confusions if asked == family]
        wrong = [looks for looks in seen if looks != family]
        rows.append((family, len(seen), 1 - len(wrong) / max(len(seen), 1), ", ".join(sorted(set(wrong))) or None))
    return Table("Families", ("asked for", "videos", "looks like it", "looks like instead"), tuple(rows))

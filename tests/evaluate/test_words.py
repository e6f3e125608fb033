"""Words: prompts in two wordings, relations and families, on clips whose content is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from evaluate.test_judge import painted
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import families, words
from kinema.evaluate.adherence import Verdict, expectation_of
from kinema.evaluate.examples import TEST_SEED
from kinema.evaluate.families import family_of, features
from kinema.evaluate.words import Case, cell_scores, is_related, other_wording, relation_prompts, share_right
from kinema.worlds.make import make_clip
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.narration.phrases import HELD_OUT_PHRASES


def test_other_wordings_change_the_deed_and_nothing_else(judged_clips: tuple[Clip, ...]) -> None:
    told = {word.split("*")[0] for words_ in HELD_OUT_PHRASES.values() for word in words_}
    for clip in judged_clips:
        if clip.source.family not in words.WORDINGS:
            continue
        assert clip.state is not None
        prompt, other = short_prompt(clip.source.family, clip.state), other_wording(clip)
        assert other != prompt and "*" not in other and "{" not in other
        assert any(word.split()[0] in other for word in told), other
        for body in clip.state.bodies:
            assert body.color in other
        assert other.endswith(f"{clip.state.facts['floor']} floor")


def test_a_share_is_lost_for_every_thing_that_is_wrong(judged_clips: tuple[Clip, ...]) -> None:
    wanted = dataclasses.replace(expectation_of(judged_clips[0]), colors=("red", "blue"), shapes=("sphere", "cube"))
    right = Verdict(("red", "blue"), 2, ("sphere", "cube"), True, True)
    assert share_right(right, wanted) == 1
    assert share_right(dataclasses.replace(right, count=3), wanted) == pytest.approx(2 / 3)
    assert share_right(dataclasses.replace(right, shapes=("sphere", "cone")), wanted) == pytest.approx(5 / 6)
    assert share_right(Verdict((), 0, (None, None), False, False), wanted) == 0


def test_losses_are_differences_between_wordings_and_between_combinations(judged_clips: tuple[Clip, ...]) -> None:
    wanted = dataclasses.replace(expectation_of(judged_clips[0]), colors=("red",), shapes=("sphere",))
    cases = [
        Case(judged_clips[0], wanted, index, held_out) for index, held_out in enumerate((False, False, True, True))
    ]
    good, bad = Verdict(("red",), 1, ("sphere",), True, True), Verdict((), 0, (None,), False, False)
    verdicts = {
        "truth": [good] * 4,
        "codec": [good] * 4,
        "seen": [good, good, good, bad],
        "other": [good, bad, bad, bad],
    }
    named, wording, combination = cell_scores(cases, verdicts)
    assert named.value == pytest.approx(0.5) and named.floors["truth"] == 1
    assert wording.value == pytest.approx(0.5) and wording.per_unit == (0, 1, 1, 0)
    assert combination.value == pytest.approx(0.75 - 0.25) and combination.floors["codec"] == 0


def test_left_and_large_are_read_off_pictures() -> None:
    picture = painted([("red", 30, 15, 7), ("blue", 30, 45, 4)])
    assert is_related("left", picture, ("red", "blue")) and not is_related("left", picture, ("blue", "red"))
    assert is_related("large", picture, ("red", "blue")) and not is_related("large", picture, ("blue", "red"))
    assert not is_related("left", picture, ("red", "green"))
    for seed in range(4):
        for kind in ("left", "large"):
            (one, (a, b)), (two, (c, d)) = relation_prompts(kind, seed)
            assert (a, b) == (d, c) and one != two and one.index(a) < one.index(b) and two.index(b) < two.index(a)


def test_families_of_unseen_clips_are_told_and_a_scrambled_clip_is_not() -> None:
    right, scrambled = [], []
    for family in ("ramp", "pendulum", "occlude", "ripple", "float", "mirror", "paint", "blocks"):
        pixels_THW3 = make_clip(family, TEST_SEED + 5, WorldsConfig(samples_per_pixel=1)).pixels_THW3
        right.append(family_of(pixels_THW3) == family)
        mixed = np.random.default_rng(0).permutation(pixels_THW3.reshape(-1, 3)).reshape(pixels_THW3.shape)
        scrambled.append(family_of(mixed) == family)
    assert np.mean(right) >= 0.75 and np.mean(scrambled) <= 0.25, (right, scrambled)


def test_features_of_a_family_see_where_and_when_something_moves() -> None:
    still = painted([("red", 30, 15, 7)], 9)
    moved = still.copy()
    moved[5:] = painted([("red", 30, 45, 7)], 4)
    assert features(still).shape == features(moved).shape
    assert not np.allclose(features(still), features(moved)) and np.isfinite(features(still)).all()
    wide = np.repeat(np.repeat(still, 2, axis=1), 2, axis=2)
    assert np.abs(features(wide) - features(still)).max() < np.log(3)  # maps do not depend on the number of pixels


def test_the_fit_separates_two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", ("fall", "blocks"))
    classifier, right = families.fitted(WorldsConfig(frames=9, samples_per_pixel=1, height=32, width=32), 3)
    assert right == 1.0 and classifier.weight_KS.shape[1] == 2


def test_who_shows_what_is_asked_scores_like_truth_and_who_shows_grey_scores_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_clips: tuple[Clip, ...]
) -> None:
    """The stand-in knows the true clip of every scene, unless it is told in words that it does not know."""
    by_family = {clip.source.family: clip for clip in judged_clips}
    monkeypatch.setattr(words, "unseen", lambda family, *others, **seeds: iter([by_family[family]]))
    monkeypatch.setattr(words, "FAMILIES", ("fall", "ramp"))
    monkeypatch.setattr(words, "QUICK_FAMILIES", ("fall", "throw"))
    monkeypatch.setattr(words, "QUICK_PAIRS", 1)
    known: dict[str, Any] = {
        short_prompt(family, clip.state): clip.pixels_THW3 for family, clip in by_family.items() if clip.state
    }
    for kind in ("left", "large"):
        for text, (a, b) in relation_prompts(kind, 0):
            known[text] = painted([(a, 30, 15, 8), (b, 30, 45, 5)])
    grey = np.full((21, 64, 64, 3), 120, np.uint8)
    result = words.run(exam_of(Painter(lambda prompt, seed: known.get(prompt, grey)), tmp_path))
    by_name = {score.name: score for score in result.scores}
    assert by_name["loss_by_new_wording"].value > 0.8 and by_name["loss_by_new_combination"].value == 0
    assert by_name["left_right"].value == by_name["large_right"].value == 1
    assert by_name["family_right"].value == by_name["family_right"].floors["truth"]
    others = words.run(  # a world in which every body has another colour
        exam_of(Painter(lambda prompt, seed: np.roll(known.get(prompt, grey), 1, axis=-1), "c"), tmp_path)
    )
    assert others.scores[0].value < 0.6 * by_name["named_things_right"].value, others.scores[0]
    nothing = words.run(exam_of(Painter(lambda prompt, seed: grey, "b"), tmp_path))
    assert all(score.value <= 0.5 for score in nothing.scores), nothing.scores
    assert nothing.scores[0].value == 0 < 0.8 < nothing.scores[0].floors["truth"]

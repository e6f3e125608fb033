from __future__ import annotations

import pytest

from kinema.worlds.narration.renaming import kinds_named, renamed

TURN = {"cube": "cylinder", "sphere": "capsule", "red": "orange"}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("a red ball falls", "an orange capsule falls"),
        ("A crimson sphere hits two boxes", "A tangerine pill hits two cans"),
        ("an emerald cone stays", "an emerald cone stays"),
        ("the cubes and the ball", "the cylinders and the capsule"),
        ("a balloon is no ballroom", "a balloon is no ballroom"),
    ],
)
def test_words_of_other_kinds_take_the_place_of_words(text: str, other: str) -> None:
    assert renamed(text, TURN) == other and renamed(text, {}) == text


def test_kinds_are_found_by_any_of_their_words() -> None:
    assert kinds_named("a crimson pill, two boxes and a white wall") == {"red", "capsule", "cube"}

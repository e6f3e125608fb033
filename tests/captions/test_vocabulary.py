from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.captions.vocabulary import Vocabulary, words

CAPTIONS = [
    "A red ball falls.",
    "Two glass boxes collide; the ball's shadow moves.",
    "three cherries roll",
    "slow-motion",
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.from_captions(CAPTIONS)


def test_words_of_the_captions_are_understood(vocabulary: Vocabulary) -> None:
    for caption in CAPTIONS:
        assert vocabulary.unknown(caption) == []


@pytest.mark.parametrize("word", ["balls", "box", "glasses", "cherry", "RED", "ball’s", "fall"])
def test_plurals_singulars_case_and_possessives_are_understood(vocabulary: Vocabulary, word: str) -> None:
    assert vocabulary.unknown(word) == []
    assert len(vocabulary.understood(word)) == 1


def test_unknown_words_come_once_in_order_with_near_ones(vocabulary: Vocabulary) -> None:
    assert vocabulary.unknown("a dragon, a bal and a dragon") == [
        ("dragon", []),
        ("bal", ["ball"]),
        ("and", []),
    ]


def test_digits_suggest_the_number_word(vocabulary: Vocabulary) -> None:
    assert vocabulary.unknown("3 balls") == [("3", ["three"])]
    assert vocabulary.unknown("7") == [("7", [])]


def test_punctuation_alone_is_no_word(vocabulary: Vocabulary) -> None:
    assert vocabulary.unknown("... — !? '' --") == []
    assert vocabulary.understood("") == []


def test_marks_do_not_split_words_of_other_scripts() -> None:
    assert words("हिन्दी गेंद, красный ШАР") == ["हिन्दी", "गेंद", "красный", "шар"]


def test_rare_words_can_be_left_out() -> None:
    assert Vocabulary.from_captions(["ball ball cube"], min_count=2).known == {"ball"}


def test_file_round_trip(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json").known == vocabulary.known


@given(st.text())
@settings(deadline=None)
def test_every_word_is_either_understood_or_unknown(text: str) -> None:
    vocabulary = Vocabulary({"ball", "two"})
    found = [*vocabulary.understood(text), *(word for word, _ in vocabulary.unknown(text))]
    assert sorted(found) == sorted(set(words(text)))

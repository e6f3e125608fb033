"""Storyboards: gaps and overlaps are legal, mistakes are told with file and line, and the lines reach their moments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kinema.data import Beat
from kinema.errors import InputError
from kinema.sample.storyboard import Lines, parse_storyboard, read_storyboard

GOOD = """
summary = "a red ball and a blue cube"

[[beat]]
at = 1.0        # out of order
until = 2
text = "it bounces"
image = "b.png"

[[beat]]
at = 0
text = "the ball falls"

[[beat]]
at = 1.5
until = 3.0
text = "the cube waits"
"""


def write(folder: Path, source: str) -> Path:
    path = folder / "board.toml"
    path.write_text(source, encoding="utf-8")
    return path


def test_beats_are_sorted_and_may_overlap(tmp_path: Path) -> None:
    board = read_storyboard(write(tmp_path, GOOD))
    assert board.seconds == 3.0 and board.summary == "a red ball and a blue cube"
    assert board.beats == (
        Beat(0.0, 1.0, "the ball falls"),  # until the next one
        Beat(1.0, 2.0, "it bounces"),
        Beat(1.5, 3.0, "the cube waits"),
    )
    assert board.images == ((1.0, str(tmp_path / "b.png")),)


def test_gaps_are_legal_and_the_length_can_be_given(tmp_path: Path) -> None:
    source = '[[beat]]\nat = 1\nuntil = 2\ntext = "a"\n[[beat]]\nat = 4\ntext = "b"\n'
    assert read_storyboard(write(tmp_path, source), 6.0).beats == (Beat(1, 2, "a"), Beat(4, 6, "b"))


def test_the_summary_comes_from_the_beats(tmp_path: Path) -> None:
    board = read_storyboard(write(tmp_path, re.sub("summary.*", "", GOOD)))
    assert board.summary == "the ball falls. it bounces. the cube waits."


def test_its_facts_give_it_back(tmp_path: Path) -> None:
    board = read_storyboard(write(tmp_path, GOOD))
    assert parse_storyboard(board.facts(), None, Lines("", "facts"), Path()) == board


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("until = 2", "until = 0.5"), "line 6: the beat ends at 0.5 s, before it begins"),
        (("at = 1.5", "at = 99"), "line 15"),
        (("until = 3.0", "until = 3.0\nuntill = 4"), "line 17: unknown key 'untill', did you mean until"),
        (("summary", "sumary"), "line 2: unknown key 'sumary', did you mean summary"),
        (("at = 0", "when = 0"), "line 11: unknown key 'when'"),
        (("at = 0\n", ""), "line 10: the beat has no 'at'"),
        (("at = 0", "at = 'soon'"), "line 11: at = 'soon' is no number"),
        (("at = 0", "at = nan"), "line 11: at = nan is no number"),
        (("at = 0", "at = -1"), "line 11: at = -1 is not possible"),
        (('text = "it bounces"', 'text = " . "'), "line 7: text = ' . ' is no text"),
        (('text = "it bounces"', "text = 3"), "line 7: text = 3 is no text"),
        (("at = 0", "at = "), "line 11"),  # no TOML
        (("[[beat]]\nat = 0", "[beat]\nat = 0"), "board.toml is no TOML"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        read_storyboard(write(tmp_path, GOOD.replace(*change)))
    assert "\n" not in str(caught.value) and "board.toml" in str(caught.value)


def test_times_beyond_the_end_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("line 16: the beat ends at 3 s, the video at 2.5 s")):
        read_storyboard(write(tmp_path, GOOD), 2.5)
    with pytest.raises(InputError, match=re.escape("line 14: the beat begins at 1.5 s, the video ends at 1.2 s")):
        read_storyboard(write(tmp_path, GOOD.replace("until = 2\n", "")), 1.2)


@pytest.mark.parametrize("count", [0, 241, 10_000])
def test_no_and_too_many_beats_are_told(tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match=f"{count} beats"):
        read_storyboard(write(tmp_path, "seconds = 9\n" + '[[beat]]\nat = 0\ntext = "a"\n' * count))


def test_no_file_no_text_and_too_much_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no storyboard"):
        read_storyboard(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_storyboard(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match="larger"):
        read_storyboard(tmp_path / "b.toml")


def test_a_length_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--seconds"):
        read_storyboard(write(tmp_path, '[[beat]]\nat = 0\nuntil = 1\ntext = "a"\n[[beat]]\nat = 2\ntext = "b"\n'))

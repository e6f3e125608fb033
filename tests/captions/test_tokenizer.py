from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.captions.tokenizer import BEAT, BOS, RESERVED, CaptionTokenizer, timed_text
from kinema.data import Beat, Caption

LINES = [
    "a red ball falls onto the grey floor and bounces twice",
    "two blue cubes collide and come to rest",
    "the ball hits the wall",
    "a green cylinder rolls down the ramp",
] * 3


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train(LINES, vocab_size=400)


def test_training_does_not_depend_on_the_order_of_captions(tokenizer: CaptionTokenizer, tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(LINES, len(LINES))
    tokenizer.save(tmp_path / "a.json")
    CaptionTokenizer.train(shuffled, vocab_size=400).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_training_learns_words_and_keeps_to_the_size(tokenizer: CaptionTokenizer) -> None:
    assert RESERVED + 256 < tokenizer.vocab_size <= 400
    assert len(tokenizer.encode("ball")) == 1
    assert tokenizer.encode("Ball") == tokenizer.encode("ball")


@given(text=st.text())
@settings(deadline=None)
def test_any_script_is_encoded_without_reserved_or_foreign_ids(tokenizer: CaptionTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert all(RESERVED <= id_ < tokenizer.vocab_size for id_ in ids)


@pytest.mark.parametrize("text", ["a red ball", "красный шар 123", "赤いボール", "कखग", "كرة حمراء", "🔴 ball", "é"])
def test_decoding_returns_the_text(tokenizer: CaptionTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_file_round_trip(tokenizer: CaptionTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = CaptionTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.encode(LINES[0]) == tokenizer.encode(LINES[0])


def test_texts_hold_markers_and_spans_end_to_end(tokenizer: CaptionTokenizer) -> None:
    caption = Caption("a red ball", "ball", (Beat(0.5, 1.25, "it falls"), Beat(1.25, 2.0, "it bounces")))
    pack = tokenizer.pack([timed_text(caption), ()])
    summary, first, second = (tokenizer.encode(text) for text in ("a red ball", "it falls", "it bounces"))
    row = [BOS, *summary, BEAT, *first, BEAT, *second]
    assert pack.ids_S.tolist() == [*row, BOS] and pack.lengths == (len(row), 1)
    spans = list(zip(pack.start_s_S.tolist(), pack.end_s_S.tolist(), strict=True))
    always = (-math.inf, math.inf)
    beats = [*[(0.5, 1.25)] * (1 + len(first)), *[(1.25, 2.0)] * (1 + len(second))]
    assert spans == [*[always] * (1 + len(summary)), *beats, always]
    assert pack.cut == (0, 0)


def test_long_captions_are_cut_at_the_end_and_counted(tokenizer: CaptionTokenizer) -> None:
    lines = (("the ball hits the wall", -math.inf, math.inf),)
    whole, cut = tokenizer.pack([lines]), tokenizer.pack([lines], max_tokens=3)
    assert torch.equal(cut.ids_S, whole.ids_S[:3]) and cut.lengths == (3,)
    assert cut.cut == (len(whole.ids_S) - 3,)


def test_typed_markers_stay_text(tokenizer: CaptionTokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("<beat> <pad>")) == "<beat> <pad>"


def test_timed_text_can_leave_out_beats_and_details() -> None:
    caption = Caption("long", "short", (Beat(0, 1, "falls"),))
    assert timed_text(caption, short=True, beats=False) == (("short", -math.inf, math.inf),)
    assert timed_text(caption)[1] == ("falls", 0, 1)

"""Captions are true, grammatical, varied, and keep held-out wordings out of training."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from kinema.config import WorldsConfig
from kinema.data import Beat, Caption, Clip, WorldState
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import HELD_OUT_SEED, make_clip
from kinema.worlds.narration import words
from kinema.worlds.narration.narrate import MOST_BEATS, narrate, short_prompt
from kinema.worlds.narration.phrases import HELD_OUT_PHRASES, PHRASES
from kinema.worlds.narration.words import agree, sentence_shape
from worlds.narration.claims import COLORS, SHAPES, caption_lies

SMALL = WorldsConfig(height=32, width=32, samples_per_pixel=1)
SEEDS = dict.fromkeys(FAMILIES, 5) | {"shatter": 2}  # clips of a family; broken glass takes longest
TELLINGS = 8  # of every clip

Told = tuple[Clip, WorldState, list[Caption]]


@pytest.fixture(scope="module")
def told() -> list[Told]:
    """Clips of every family, each narrated several times in training wordings."""
    return [_told(make_clip(family, seed, SMALL)) for family in FAMILIES for seed in range(SEEDS[family])]


def _told(clip: Clip) -> Told:
    assert clip.state is not None
    return clip, clip.state, [clip.caption, *(_narrate(clip, again, "training") for again in range(TELLINGS - 1))]


def _narrate(clip: Clip, again: int, phrasing: str) -> Caption:
    assert clip.state is not None
    return narrate(clip.source.family, clip.state, clip.fps, np.random.default_rng([again, clip.source.seed]), phrasing)


def _lines(caption: Caption) -> list[str]:
    return [*re.split(r"(?<=\.) ", caption.summary), caption.short, *(beat.text for beat in caption.beats)]


def test_captions_say_nothing_that_the_state_contradicts(told: list[Told]) -> None:
    for clip, state, captions in told:
        for caption in captions[:3]:
            assert caption_lies(caption, clip.source.family, state, clip.fps) == [], (clip.source, caption)


def test_held_out_wordings_are_true_as_well(told: list[Told]) -> None:
    for clip, state, _ in told[::3]:
        caption = _narrate(clip, 0, "held-out")
        assert caption_lies(caption, clip.source.family, state, clip.fps) == [], (clip.source, caption)


def _mirrored(text: str) -> str:
    """Left and right exchanged."""
    return re.sub(r"\b(left|right)(?=wards|\b)", lambda side: {"left": "right", "right": "left"}[side[0]], text)


@pytest.mark.parametrize("kind", ["sides", "colors", "times", "bounces", "counts"])
def test_the_check_catches_wrong_captions(told: list[Told], kind: str) -> None:
    """Captions are spoilt in one way each; most must be caught (a late bounce may meet the next one)."""
    caught = []
    for clip, state, captions in told:
        caption = captions[0]
        spoilt = _spoilt(caption, state, kind)
        if spoilt is not None and spoilt != caption:
            caught.append(bool(caption_lies(spoilt, clip.source.family, state, clip.fps)))
    assert len(caught) >= 8 and np.mean(caught) > 0.8, (len(caught), np.mean(caught))


def _spoilt(caption: Caption, state: WorldState, kind: str) -> Caption | None:
    if kind == "sides":
        beats = tuple(replace(beat, text=_mirrored(beat.text)) for beat in caption.beats)
        return Caption(_mirrored(caption.summary), _mirrored(caption.short), beats)
    if kind == "colors":
        present = {body.color for body in state.bodies}
        absent = next(color for color in ("lime", "brown", "cyan", "orange") if color not in present)
        own = [word for word, color in COLORS.items() if color in present - {"white", "black"}]
        return replace(caption, short=re.sub(rf"\b({'|'.join(own)})\b", absent, caption.short, count=1), beats=())
    if kind == "times":
        sharp = re.compile(r" (hits|bumps|strikes|bounces|bounce|topples|shatters|breaks|comes out|goes behind) ?")
        late = [
            Beat(beat.start_s + 0.9, beat.end_s + 0.9, beat.text) for beat in caption.beats if sharp.search(beat.text)
        ]
        late = [beat for beat in late if beat.end_s < 2.7]
        return replace(caption, beats=tuple(late)) if late else None
    if kind == "bounces":
        still = [body for body, info in enumerate(state.bodies) if info.part_of < 0 and not _ever_rises(state, body)]
        lone = [b for b in still if [i.shape for i in state.bodies].count(state.bodies[b].shape) == 1]
        return replace(caption, beats=(Beat(0.0, 2.75, f"the {_noun(state, lone[0])} bounces"),)) if lone else None
    return replace(caption, short=f"{caption.short} with {words.count_word(len(state.bodies) + 1)} cones")


def _ever_rises(state: WorldState, body: int) -> bool:
    return bool((state.velocity_TB3[:, body, 2] > 0.2).any())


def _noun(state: WorldState, body: int) -> str:
    return next(noun for noun, shape in SHAPES.items() if shape == state.bodies[body].shape)


def test_every_body_is_named_and_no_piece_is(told: list[Told]) -> None:
    """The other way round: no piece is named, and "all" are all."""
    for _, state, captions in told:
        whole = [body for body in state.bodies if body.part_of < 0]
        for caption in captions:
            assert "shard" not in caption.summary + caption.short
            for number in re.findall(r"\ball (\w+) (?:bodies|objects|things)", caption.summary):
                assert number == words.count_word(len(whole)), caption


def test_summaries_are_sentences_and_grammar_holds(told: list[Told]) -> None:
    for _, _, captions in told:
        for caption in captions:
            assert len(caption.summary.split()) <= 120
            for sentence in re.split(r"(?<=\.) ", caption.summary):
                assert re.fullmatch(r"[A-Z][^.]*[^., ]\.", sentence), sentence
            for line in _lines(caption):
                assert not re.search(r"[*{}_]|  | ,|,,|\ba [aeiou]|\ban [^aeiou]|\b(\w+) \1\b", line), line
                assert not re.search(r"\b(both|two|three|four|five|all) \w+s (is|has|does|falls|rolls)\b", line), line
            for line in (caption.short, *(beat.text for beat in caption.beats)):
                assert line == line.lower() and not line.endswith("."), line


def test_beats_lie_in_the_clip_in_order(told: list[Told]) -> None:
    for clip, _, captions in told:
        end_s = len(clip.pixels_THW3) / clip.fps
        starts = [beat.start_s for beat in captions[0].beats]
        assert captions[0].beats and starts == sorted(starts)
        assert all(0 <= beat.start_s < beat.end_s <= end_s + 0.01 for beat in captions[0].beats)


def test_the_grammar_has_more_than_a_thousand_sentence_shapes(told: list[Told]) -> None:
    lines = [line for _, _, captions in told for caption in captions for line in _lines(caption)]
    shapes = {sentence_shape(line) for line in lines}
    assert len(shapes) > 1000
    known = {word for line in lines for word in re.findall(r"[a-z'-]+", line.lower())}
    assert len(known) <= 700


def test_a_sentence_shape_forgets_attributes_and_numbers_only() -> None:
    assert sentence_shape("A large red rubber ball rolls to the left.") == "a BODY rolls to the SIDE"
    assert sentence_shape("An ivory can rolls to the right.") == "a BODY rolls to the SIDE"
    assert sentence_shape("three blue cubes fall") == "COUNT BODIES fall"
    assert sentence_shape("the ball hits the cube") != sentence_shape("the ball strikes the cube")
    two, three = "a red ball and a cube fall", "a ball, a blue can and a cube fall"
    assert sentence_shape(two) == sentence_shape(three)


def _patterns(phrases: tuple[str, ...]) -> list[re.Pattern[str]]:
    """What a wording looks like in a caption, with the verb in both numbers."""
    forms = {re.sub(r" ?\{\w+\}.*", "", agree(phrase, many)) for phrase in phrases for many in (False, True)}
    return [re.compile(rf"\b{re.escape(form)}\b") for form in forms]


def test_held_out_wordings_never_occur_in_training(told: list[Told]) -> None:
    held_out = [pattern for phrases in HELD_OUT_PHRASES.values() for pattern in _patterns(phrases)]
    for _, _, captions in told:
        for line in (line for caption in captions for line in _lines(caption)):
            assert not any(pattern.search(line.lower()) for pattern in held_out), line


def test_held_out_clips_use_held_out_wordings(told: list[Told]) -> None:
    clip = make_clip("fall", HELD_OUT_SEED + 3, SMALL)
    fall = _patterns(HELD_OUT_PHRASES["falls"])
    assert any(pattern.search(beat.text) for pattern in fall for beat in clip.caption.beats)
    trained = [re.compile(pattern.pattern + "$") for pattern in _patterns(PHRASES["falls"])]
    for clip, _, _ in told[: SEEDS["fall"]]:
        caption = _narrate(clip, 1, "held-out")
        assert not any(pattern.search(beat.text) for pattern in trained for beat in caption.beats), caption


def test_every_held_out_concept_is_trained_in_other_words() -> None:
    for kind, phrases in HELD_OUT_PHRASES.items():
        assert not set(phrases) & set(PHRASES[kind])


def test_no_word_means_two_things() -> None:
    for lists in (words.COLOR_WORDS, words.SHAPE_WORDS, words.SKY_WORDS, words.SIZE_WORDS):
        flat = [word for options in lists.values() for word in options]
        assert len(flat) == len(set(flat))


def test_long_clips_stay_short_in_words_and_their_beats_cover_the_clip() -> None:
    for family in ("fall", "collide"):
        clip = make_clip(family, 2, replace(SMALL, frames=481))
        assert clip.state is not None
        assert len(clip.caption.summary.split()) <= 120
        assert len(clip.caption.beats) <= MOST_BEATS
        assert caption_lies(clip.caption, family, clip.state, clip.fps) == []
        if len(clip.state.events) > 40:
            assert clip.caption.beats[-1].end_s > 0.6 * 481 / 12


def test_a_single_picture_has_no_beats_and_nothing_moves() -> None:
    for family in FAMILIES:
        clip = make_clip(family, 4, replace(SMALL, frames=1))
        assert clip.caption.beats == () and clip.caption.summary
        assert not re.search(r"\b(falls?|rolls?|slides?|hits|swings?|flies|fly|moves)\b", clip.caption.summary)


@pytest.mark.parametrize(
    ("phrase", "one", "many"),
    [
        ("fly* and stop*", "flies and stops", "fly and stop"),
        ("be* pushed", "is pushed", "are pushed"),
        ("do* not move", "does not move", "do not move"),
        ("pass* by", "passes by", "pass by"),
        ("stay* still", "stays still", "stay still"),
    ],
)
def test_verbs_agree(phrase: str, one: str, many: str) -> None:
    assert (agree(phrase, False), agree(phrase, True)) == (one, many)


def test_the_plain_prompt_reads_like_a_person_wrote_it() -> None:
    clip = make_clip("fall", 2, replace(SMALL, frames=1))
    assert clip.state is not None
    red = replace(clip.state.bodies[0], color="red", shape="sphere")
    state = replace(clip.state, bodies=(red,), facts=clip.state.facts | {"floor": "grey"})
    assert short_prompt("fall", state) == "a red ball falls and bounces on a grey floor"
    blue = replace(red, color="blue", shape="cube")
    row = replace(state, bodies=(blue, blue, blue, red, replace(red, part_of=0)))
    assert short_prompt("orbit", row) == "the camera moves around three blue cubes and a red ball on a grey floor"

"""The judge on clips whose content is known: ceilings on true clips, and pictures painted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema.data import Clip
from kinema.evaluate import judge
from kinema.evaluate.judge import COLORS, Track, classify, count_bodies, falls, label_pieces, moves, segment
from kinema.worlds import palette


def srgb(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    code_8: NDArray[np.uint8] = np.rint(255 * code.clip(0, 1)).astype(np.uint8)
    return code_8


def painted(discs: list[tuple[str, float, float, float]], frames: int = 8) -> NDArray[np.uint8]:
    """Discs (colour, row, column, radius) on grey."""
    row_HW, column_HW = np.mgrid[:64, :64]
    linear_HW3 = np.full((64, 64, 3), 0.4)
    for color, row, column, radius in discs:
        linear_HW3[(row_HW - row) ** 2 + (column_HW - column) ** 2 < radius**2] = palette.COLORS[color]
    return np.repeat(srgb(linear_HW3)[None], frames, axis=0)


def test_finds_the_colours_and_the_number_of_bodies_of_true_clips(judged_clips: tuple[Clip, ...]) -> None:
    colors_right = count_right = 0
    for clip in judged_clips:
        assert clip.state is not None
        tracks = segment(clip.pixels_THW3)
        colors_right += {track.color for track in tracks} == {body.color for body in clip.state.bodies}
        count_right += count_bodies(tracks) == len(clip.state.bodies)
    least = 0.9 * len(judged_clips)
    assert colors_right >= least and count_right >= least, (colors_right, count_right)


@given(
    st.sampled_from(COLORS),
    st.floats(0.45, 1.0),
    st.floats(0.0, 0.12),
    st.sampled_from([(1.0, 1.0, 1.0), (1.0, 0.85, 0.7)]),
)
@settings(max_examples=150, deadline=None)
def test_shading_gloss_and_dusk_do_not_change_a_colour(
    color: str, light: float, gloss: float, sun: tuple[float, float, float]
) -> None:
    pure_3 = np.array(palette.COLORS[color])
    linear_3 = light * ((1 - gloss) * pure_3 + gloss * pure_3.sum() / 3) * sun
    clip = painted([])
    clip[:, 20:40, 20:40] = srgb(linear_3)
    assert [track.color for track in segment(clip)] == [color]


def test_brown_is_dark_orange_and_a_shadow_does_not_divide_a_body() -> None:
    clip = painted([("orange", 20, 15, 8), ("brown", 20, 45, 8)])
    assert {track.color for track in segment(clip)} == {"orange", "brown"}
    lit = painted([("orange", 20, 30, 9)])
    body_HW = (lit[0] != lit[0, 0, 0]).any(axis=-1)
    body_HW[:23] = False
    shaded = lit.copy()
    shaded[:, body_HW] = srgb(0.14 * np.array(palette.COLORS["orange"]))  # as dark as brown
    alone = painted([])
    alone[:, body_HW] = shaded[:, body_HW]
    assert [track.color for track in segment(alone)] == ["brown"]
    assert [track.color for track in segment(shaded)] == ["orange"]


def test_a_blurred_rim_is_no_body() -> None:
    """A pink ring, as blur makes it of a purple body before something light, two pixels wide."""
    ring = painted([("pink", 30, 30, 12), ("purple", 30, 30, 10)])
    assert [track.color for track in segment(ring)] == ["purple"]


@pytest.mark.parametrize("light", [0.35, 1.0])
@pytest.mark.parametrize("sun", [(1.0, 1.0, 1.0), palette.SKIES["dusk"].sun])
def test_scenery_and_neutral_bodies_have_no_colour(light: float, sun: tuple[float, float, float]) -> None:
    skies = [0.8 * np.array(sky.horizon) + 0.2 * np.array(sky.top) for sky in palette.SKIES.values()]
    surfaces = [*palette.FLOORS.values(), *palette.SCENERY.values()]
    neutral = [palette.COLORS[color] for color in palette.NEUTRAL_COLORS]
    lit = [np.multiply(rgb, sun) for rgb in surfaces + neutral]
    for linear_3 in skies + lit:
        assert classify(srgb(light * linear_3)[None, None, None])[0].item() == -1, linear_3


def test_a_colour_that_is_there_twice_counts_twice() -> None:
    assert count_bodies(segment(painted([("red", 20, 15, 7)]))) == 1
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("red", 20, 45, 7)]))) == 2
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("blue", 20, 27, 7)]))) == 2
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("red", 40, 45, 1.5)]))) == 1
    assert count_bodies(segment(painted([]))) == 0


def test_bodies_that_are_never_seen_together_are_all_counted() -> None:
    one, other = painted([("red", 20, 15, 7)]), painted([("blue", 20, 45, 7)])
    assert count_bodies(segment(np.concatenate([one, painted([]), other]))) == 2


def test_a_flash_of_colour_is_no_body() -> None:
    clip = painted([("red", 20, 15, 7)])
    clip[: judge.PRESENT_FRAMES - 1] = painted([("red", 20, 15, 7), ("green", 40, 45, 7)])[0]
    assert [track.color for track in segment(clip)] == ["red"]


def test_falling_and_moving_look_at_the_way_of_the_centre() -> None:
    def moving(rows: list[float]) -> Track:
        (track,) = segment(np.concatenate([painted([("red", row, 30, 6)], 1) for row in rows]))
        return track

    assert falls(moving([12, 20, 35, 50, 44])) and moves(moving([12, 20, 35, 50, 44]))
    assert not falls(moving([50, 40, 30, 20])) and moves(moving([50, 40, 30, 20]))
    assert not falls(moving([30, 30, 30, 30])) and not moves(moving([30, 30, 30, 30]))
    assert not moves(moving([30.0] * 20 + [12.0] + [30.0] * 20))  # a single frame is an error, not motion


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_pieces_are_the_classes_of_touching_pixels(seed: int) -> None:
    """Against label propagation: repeat 'take the largest label of the neighbourhood' until nothing changes."""
    mask = np.random.default_rng(seed).random((12, 9)) < 0.4
    slow = np.where(mask, 1 + np.arange(mask.size).reshape(mask.shape), 0)
    while True:
        padded = np.pad(slow, 1)
        around = [padded[1 + i : 13 + i, 1 + j : 10 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        grown = np.where(mask, np.max(around, axis=0), 0)
        if (grown == slow).all():
            break
        slow = grown
    fast = label_pieces(mask)
    assert ((fast > 0) == mask).all() and fast.max() == len(np.unique(slow[mask]))
    assert len(set(zip(fast[mask].tolist(), slow[mask].tolist(), strict=True))) == fast.max()

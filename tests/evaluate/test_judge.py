"""The judge on clips whose content is known: ceilings on true clips, and pictures painted by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate import judge
from kinema.evaluate.judge import COLORS, Track, classify, count_bodies, falls, label_pieces, segment
from kinema.worlds import palette
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import HELD_OUT_SEED, make_clip


@cache
def true_clips() -> tuple[Clip, ...]:
    worlds = WorldsConfig(frames=17)
    return tuple(make_clip(family, HELD_OUT_SEED + 1000 + i, worlds) for i in range(4) for family in FAMILIES)


def srgb(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * code.clip(0, 1)).astype(np.uint8)


def painted(discs: list[tuple[str, float, float, float]], frames: int = 8) -> NDArray[np.uint8]:
    """Discs (colour, row, column, radius) on grey."""
    row_HW, column_HW = np.mgrid[:64, :64]
    linear_HW3 = np.full((64, 64, 3), 0.4)
    for color, row, column, radius in discs:
        linear_HW3[(row_HW - row) ** 2 + (column_HW - column) ** 2 < radius**2] = palette.COLORS[color]
    return np.repeat(srgb(linear_HW3)[None], frames, axis=0)


def test_finds_the_colours_and_the_number_of_bodies_of_true_clips() -> None:
    colors_right = count_right = 0
    for clip in true_clips():
        assert clip.state is not None
        tracks = segment(clip.pixels_THW3)
        colors_right += {track.color for track in tracks} == {body.color for body in clip.state.bodies}
        count_right += count_bodies(tracks) == len(clip.state.bodies)
    assert colors_right >= 19 and count_right >= 18, (colors_right, count_right)


@given(
    st.sampled_from(COLORS),
    st.floats(0.15, 1.0),
    st.floats(0.0, 0.25),
    st.sampled_from([(0.7, 0.7, 0.7), (0.52, 0.62, 0.72)]),
)
@settings(max_examples=150, deadline=None)
def test_shading_and_gloss_do_not_change_a_colour(
    color: str, light: float, gloss: float, sky: tuple[float, float, float]
) -> None:
    linear_3 = light * (
        (1 - gloss) * np.array(palette.COLORS[color])
        + gloss * np.array(palette.COLORS[color]).sum() * np.array(sky) / 3
    )
    assert COLORS[classify(srgb(linear_3)[None, None, None])[0].item()] == color


@pytest.mark.parametrize(
    "rgb", [*palette.FLOORS.values(), *palette.SCENERY.values(), *np.reshape(list(palette.SKIES.values()), (-1, 3))]
)
@pytest.mark.parametrize("light", [0.35, 1.0])
def test_scenery_has_no_colour(rgb: tuple[float, float, float], light: float) -> None:
    assert classify(srgb(light * np.array(rgb))[None, None, None])[0].item() == -1


def test_a_colour_that_is_there_twice_counts_twice() -> None:
    assert count_bodies(segment(painted([("red", 20, 15, 7)]))) == 1
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("red", 20, 45, 7)]))) == 2
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("blue", 20, 27, 7)]))) == 2
    assert count_bodies(segment(painted([("red", 20, 15, 7), ("red", 40, 45, 1.5)]))) == 1
    assert count_bodies(segment(painted([]))) == 0


def test_a_flash_of_colour_is_no_body() -> None:
    clip = painted([("red", 20, 15, 7)])
    clip[: judge.PRESENT_FRAMES - 1] = painted([("red", 20, 15, 7), ("green", 40, 45, 7)])[0]
    assert [track.color for track in segment(clip)] == ["red"]


def test_falls_looks_at_the_sign_of_the_motion() -> None:
    def moving(rows: list[float]) -> Track:
        (track,) = segment(np.concatenate([painted([("red", row, 30, 6)], 1) for row in rows]))
        return track

    assert falls(moving([12, 20, 35, 50, 44]))
    assert not falls(moving([50, 40, 30, 20]))
    assert not falls(moving([30, 30, 30, 30]))


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

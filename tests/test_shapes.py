"""Geometry: every valid video has whole latents and tokens, and errors name something valid."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema import shapes
from kinema.errors import InputError
from kinema.shapes import VideoShape

VALID = st.builds(
    VideoShape,
    frames=st.integers(0, 450).map(lambda k: 1 + 4 * k),
    height=st.integers(2, 64).map(lambda n: 16 * n),
    width=st.integers(2, 64).map(lambda n: 16 * n),
)


@given(VALID)
def test_latents_give_back_the_video(shape: VideoShape) -> None:
    assert shape.latent.pixels == shape


@given(VALID)
def test_a_token_covers_four_frames_of_16_by_16_pixels(shape: VideoShape) -> None:
    grid = shape.tokens
    assert (4 * (grid.frames - 1) + 1, 16 * grid.rows, 16 * grid.cols) == (shape.frames, shape.height, shape.width)
    assert grid.count * shapes.TOKEN_CHANNELS == shape.latent.frames * 16 * shape.latent.height * shape.latent.width


@given(st.integers(-10, 10_000))
def test_the_nearest_frames_are_nearest(frames: int) -> None:
    nearest = shapes.nearest_frames(frames)
    assert nearest >= 1 and nearest % 4 == 1
    assert abs(nearest - max(frames, 1)) <= 2


@given(st.integers(-100, 10_000), st.integers(-100, 10_000))
def test_a_wrong_size_is_told_with_a_right_one(height: int, width: int) -> None:
    try:
        VideoShape(1, height, width)
    except InputError as error:
        named = re.search(r"the nearest is (\d+)x(\d+)", str(error))
        assert named and f"{width}x{height}" in str(error) and "\n" not in str(error)
        VideoShape(1, int(named[2]), int(named[1]))


@given(st.floats(0.01, 60.0), st.floats(6, 30))
def test_duration_is_met_within_two_frames(seconds: float, fps: float) -> None:
    assert abs(VideoShape.from_seconds(seconds, 64, 64, fps).frames - max(1, seconds * fps)) <= 2.5


@pytest.mark.parametrize("seconds", [0.0, -1.0, 60.5, 1e6, float("nan"), float("inf")])
def test_impossible_durations(seconds: float) -> None:
    with pytest.raises(InputError, match="--seconds"):
        VideoShape.from_seconds(seconds, 64, 64, 12)


def test_a_latent_frame_is_timed_in_the_middle_of_what_it_covers() -> None:
    fps = 12.0
    for latent in range(1, 9):
        covered = range(4 * latent - 3, 4 * latent + 1)
        assert shapes.latent_time_s(latent, fps) == pytest.approx(sum(covered) / 4 / fps)
    assert shapes.latent_time_s(0, fps) == 0

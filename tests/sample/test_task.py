"""Given frames on timelines: whatever is asked, all of them are in the result and the geometry of the codec is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.sample.task import CONTEXT_LATENTS, Frames, Run, Task, between, from_text, loop, remix, with_images
from kinema.shapes import FRAMES_PER_LATENT, VideoShape


def numbered(count: int, start: int = 0) -> Frames:
    """Frames whose pixels are their numbers."""
    return np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None, None], (count, 32, 32, 3))


def given_in(task: Task) -> dict[int, int]:
    """Place in the result → number of the given frame."""
    before = 0 if task.before_THW3 is None else len(task.before_THW3)
    runs = [Run(-before, task.before_THW3)] if task.before_THW3 is not None else []
    runs += [Run(run.first, run.pixels_THW3) for run in task.given]
    runs += [Run(task.kept, task.after_THW3)] if task.after_THW3 is not None else []
    return {before + run.first + i: int(frame[0, 0, 0]) for run in runs for i, frame in enumerate(run.pixels_THW3)}


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
@settings(deadline=None)
def test_every_given_frame_is_in_the_result_at_its_place(left: int, right: int, new: int) -> None:
    if left + right == 0:
        return
    task = between(numbered(left) if left else None, numbered(right, 100) if right else None, new)
    expected = {i: i for i in range(left)} | {left + new + i: 100 + i for i in range(right)}
    assert given_in(task) == expected
    assert task.frames == left + new + right
    assert (task.shape.frames - 1) % FRAMES_PER_LATENT == 0 and 0 <= task.shape.frames - task.kept < FRAMES_PER_LATENT


def test_a_long_clip_is_not_encoded_to_its_full_length() -> None:
    task = between(numbered(200), numbered(200), 7)
    assert task.shape.frames <= 1 + 2 * FRAMES_PER_LATENT * (CONTEXT_LATENTS + 1) + 8


@pytest.mark.parametrize("length", [5, 6, 7, 8, 33])
def test_new_frames_after_a_clip_fill_latent_frames_of_their_own(length: int) -> None:
    task = between(numbered(length), None, 8)
    assert (task.given[0].stop - 1) % FRAMES_PER_LATENT == 0 and task.shape.frames == task.kept


def test_images_lie_where_they_are_put_and_the_first_of_two_counts() -> None:
    shape = VideoShape(9, 32, 32)
    task = with_images(from_text(shape), [(8, numbered(1, 8)), (0, numbered(1, 5)), (8, numbered(1, 9))])
    assert given_in(task) == {0: 5, 8: 8} and task.frames == 9


def test_a_loop_has_no_frame_twice() -> None:
    task = loop(from_text(VideoShape(9, 32, 32)), 4)
    assert task.frames == 12  # 9 frames and 3 that lead to the first one again


def test_a_remix_keeps_its_length() -> None:
    for frames in (5, 6, 7, 8, 9):
        task = remix(numbered(frames), 0.5)
        assert task.frames == frames and task.shape.frames >= frames

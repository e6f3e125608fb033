"""What is given, as latents: on the codec's grid, and never from frames that nobody gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kinema.sample.condition import NOISY, cells_of, condition_of, encode_run
from kinema.sample.task import Frames, Run, between, from_text, remix, with_images
from kinema.shapes import FRAMES_PER_LATENT, VideoShape


def numbered(count: int, start: int = 0) -> Frames:
    return np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None, None], (count, 32, 32, 3))


def mean_of_groups(pixels_THW3: Frames) -> Tensor:
    """A codec for tests: the value of the first frame, then the mean of every four."""
    value_T = torch.from_numpy(pixels_THW3[:, 0, 0, 0].astype(np.float32))
    assert (len(value_T) - 1) % FRAMES_PER_LATENT == 0
    value_T = torch.cat([value_T[:1], value_T[1:].view(-1, FRAMES_PER_LATENT).mean(1)])
    return value_T[None, :, None, None].expand(16, -1, pixels_THW3.shape[1] // 8, pixels_THW3.shape[2] // 8).clone()


@given(st.integers(0, 30), st.integers(1, 30))
@settings(deadline=None)
def test_full_latent_frames_hold_their_own_frames(first: int, count: int) -> None:
    """With pixels equal to places, a full latent frame k holds the mean of 4k − 3 … 4k."""
    frames = 61
    place, latents = encode_run(Run(first, numbered(count, first)), frames, mean_of_groups)
    values = latents[0, :, 0, 0].tolist()
    full = [k for k in range(1, 16) if first <= 4 * k - 3 and 4 * k < first + count]
    if first == 0:
        assert place == 0 and values == [0.0] + [4 * k - 1.5 for k in full]
    elif full:
        assert place == full[0] and values == [4 * k - 1.5 for k in full]
    else:
        assert len(values) == 1 and 4 * place - 3 <= first <= 4 * place
        assert first <= values[0] <= first + count - 1  # only given frames, standing still at their ends


def test_the_last_image_stands_still_in_its_latent_frame() -> None:
    image = numbered(1, 77)
    condition = condition_of(with_images(from_text(VideoShape(13, 32, 32)), [(12, image)]), mean_of_groups)
    assert condition.known_T.tolist() == [False, False, False, True]
    assert (condition.data_BCTHW[0, :, 3] == 77).all() and condition.level_T[3] == 0


def test_what_lies_beyond_the_timeline_is_not_encoded() -> None:
    task = between(None, numbered(7), 4)
    condition = condition_of(task, mean_of_groups)
    assert condition.shape.frames == task.shape.latent.frames
    assert condition.known_T.tolist() == [False, False, True, False]  # 4 new, 1 + 4 given, 2 given and 1 beyond


def test_nothing_is_known_of_plain_text() -> None:
    condition = condition_of(from_text(VideoShape(9, 32, 48)), mean_of_groups)
    assert not condition.known_T.any() and (condition.level_T == NOISY).all() and condition.fixed_HW is None


def test_a_remix_begins_with_all_frames_and_knows_none() -> None:
    mask_HW = np.zeros((32, 32), bool)
    mask_HW[8:17, 3] = True
    condition = condition_of(remix(numbered(6), 0.4, mask_HW), mean_of_groups)
    assert condition.data_BCTHW[0, 0, :, 0, 0].tolist() == [0.0, 2.5, 5.0]  # frame 5 stands still to the end
    assert not condition.known_T.any() and condition.start == 0.4
    assert condition.fixed_HW is not None
    assert (~condition.fixed_HW).nonzero().tolist() == [[1, 0], [2, 0]]


@pytest.mark.parametrize("pixel", [(0, 0), (31, 15), (16, 8)])
def test_a_single_pixel_frees_its_cell(pixel: tuple[int, int]) -> None:
    mask_HW = np.zeros((32, 16), bool)
    mask_HW[pixel] = True
    assert cells_of(mask_HW).nonzero().tolist() == [[pixel[0] // 8, pixel[1] // 8]]


def test_what_was_given_stays_when_more_becomes_known() -> None:
    condition = condition_of(with_images(from_text(VideoShape(13, 32, 32)), [(0, numbered(1, 9))]), mean_of_groups)
    new = torch.full((1, 16, 3, 4, 4), 5.0)
    more = condition.with_known(0, new, 0.1)
    assert more.level_T.tolist() == pytest.approx([0.0, 0.1, 0.1, NOISY])
    window = more.window(1, 4)
    assert window.shape.frames == 3 and window.known_T.tolist() == [True, True, False]


def test_more_latent_frames_are_unknown_and_those_of_a_remix_stand_still() -> None:
    condition = condition_of(remix(numbered(6), 0.4), mean_of_groups)
    more = condition.extended(5)
    assert more.data_BCTHW[0, 0, :, 0, 0].tolist() == [0.0, 2.5, 5.0, 5.0, 5.0]
    assert not more.known_T.any() and more.shape.frames == 5 and more.start == 0.4
    image = condition_of(with_images(from_text(VideoShape(1, 32, 32)), [(0, numbered(1, 9))]), mean_of_groups)
    assert image.extended(3).known_T.tolist() == [True, False, False]
    assert image.extended(1).shape.frames == 1

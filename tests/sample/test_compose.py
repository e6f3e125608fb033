"""Putting given frames into the decoded ones: exact, without jumps, in order and without looking too far ahead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from kinema.sample.compose import FADE_S, FEATHER, Frame, compose, feathered
from kinema.sample.task import Frames, Run, Task, between, from_text, loop, remix, with_images
from kinema.shapes import VideoShape

FPS = 12.0
FADE = round(FADE_S * FPS)


def flat(values: list[float]) -> Frames:
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), 32, 32, 3)).copy()


def result(task: Task, decoded: Frames) -> Frames:
    return np.stack(list(compose(iter(decoded), task, FPS)))


def test_without_anything_given_frames_pass() -> None:
    decoded = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(result(from_text(VideoShape(9, 32, 32)), decoded), decoded)


def test_given_frames_are_exact_and_their_difference_fades() -> None:
    task = with_images(from_text(VideoShape(33, 32, 32)), [(0, flat([110]))])
    values = result(task, flat([100] * 33))[:, 0, 0, 0].astype(int)
    assert values[0] == 110 and (values[FADE:] == 100).all()
    assert (np.diff(values) <= 0).all() and (np.diff(values) >= -1).all()


def test_between_two_given_frames_the_difference_goes_over_from_one_to_the_other() -> None:
    task = with_images(from_text(VideoShape(9, 32, 32)), [(0, flat([108])), (8, flat([92]))])
    values = result(task, flat([100] * 9))[:, 0, 0, 0].astype(int)
    assert values.tolist() == [108, 106, 104, 102, 100, 98, 96, 94, 92]


def test_another_content_dissolves_and_leaves_no_negative() -> None:
    """The model put a bright body left, the given frame has it right: no frame is darker than the ground."""
    decoded = flat([60] * 17)
    decoded[:, 8:24, 4:12] = 200
    image = flat([60])
    image[:, 8:24, 20:28] = 200
    frames = result(with_images(from_text(VideoShape(17, 32, 32)), [(16, image)]), decoded)
    np.testing.assert_array_equal(frames[16], image[0])
    assert frames.min() >= 59 and frames.max() <= 201
    change = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert change.max() <= np.abs(decoded[0].astype(float) - image[0]).mean() / (FADE - 1)


def test_a_first_new_frame_that_jumps_comes_nearer() -> None:
    rng = np.random.default_rng(0)
    clip = (100 + 2 * np.arange(17)[:, None, None, None] + rng.integers(0, 2, (17, 32, 32, 3))).astype(np.uint8)
    decoded = np.concatenate([clip, flat([160] * 16)])
    frames = result(between(clip, None, 16), decoded).astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(frames[:17], clip)
    assert change[16] <= 1.5 * np.median(change[:16])
    assert frames[-1].mean() > 150


def test_beside_a_clip_that_comes_to_rest_new_frames_begin_slowly() -> None:
    """What is usual is what is usual near the seam, not in the whole clip."""
    values = np.cumsum([40, *[6] * 10, *[2] * 6])
    decoded = np.concatenate([flat(values.tolist()), flat((150 + 6 * np.arange(16)).tolist())])
    change = np.diff(result(between(flat(values.tolist()), None, 16), decoded)[:, 0, 0, 0].astype(int))
    assert change[16] <= 4


def test_beside_a_part_that_hardly_moves_the_seam_is_small_too() -> None:
    clip = flat((100 + 6 * np.arange(17)).tolist())
    decoded = np.concatenate([clip, flat((204 + np.arange(16)).tolist())])
    decoded[17:, ::2] += 4  # another content than the clip leads to
    change = np.abs(np.diff(result(between(clip, None, 16), decoded).astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert change[16] <= 1.5 * np.median(change[11:23]) and change[16] < 6


def test_a_last_new_frame_that_jumps_to_the_clip_comes_nearer() -> None:
    rng = np.random.default_rng(0)
    clip = (100 + 2 * np.arange(17)[:, None, None, None] + rng.integers(0, 2, (17, 32, 32, 3))).astype(np.uint8)
    decoded = flat([40] * 16 + [130] * 17)  # the codec does not know the clip either, in part
    decoded[16:] = (clip.astype(int) + 15).clip(0, 255)
    frames = result(between(None, clip, 16), decoded[: between(None, clip, 16).shape.frames]).astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(frames[16:], clip)
    assert change[15] <= 1.5 * np.median(change[16:]) and frames[0].mean() < 50


def test_between_two_clips_neither_reaches_over_to_the_other() -> None:
    """Clips that stand still pull with full strength, and a frame beside one must not show the other."""
    task = between(flat([50] * 9), flat([200] * 9), 11)
    values = result(task, flat([125] * task.shape.frames))[:, 0, 0, 0].astype(int)
    assert abs(values[9] - 50) <= 2 and abs(values[19] - 200) <= 2
    assert (np.diff(values) >= 0).all() and np.diff(values).max() <= 2.5 * 150 / 12


def test_a_frame_beside_one_clip_shows_nothing_of_the_other() -> None:
    task = between(flat([50 + 2 * place for place in range(9)]), flat([200 + 2 * place for place in range(9)]), 11)
    values = result(task, flat([180] * task.shape.frames))[:, 0, 0, 0].astype(int)
    assert abs(values[9] - 66) <= 2 and abs(values[19] - 200) <= 2  # the usual change


def test_the_end_of_a_loop_that_stays_away_comes_to_its_start() -> None:
    task = loop(from_text(VideoShape(33, 32, 32)), 4)
    back = [160, 158, 156, 154]  # at the last one, it should be the first frame again
    decoded = flat([100 + 2 * place for place in range(33)] + back)
    values = result(task, decoded)[:, 0, 0, 0].astype(int)
    assert len(values) == 36 and (values[: 36 - FADE] == decoded[: 36 - FADE, 0, 0, 0]).all()
    jump, usual = abs(values[-1] - values[0]), np.median(np.abs(np.diff(values)))
    assert 0 < jump <= usual
    assert np.abs(np.diff(values)).max() < 12  # the way back is spread over a second


def test_a_loop_that_closes_is_left_alone() -> None:
    task = loop(from_text(VideoShape(33, 32, 32)), 4)
    decoded = flat([round(100 + 40 * np.cos(2 * np.pi * place / 36)) for place in range(37)])
    np.testing.assert_array_equal(result(task, decoded), decoded[:36])


def test_frames_outside_the_timeline_stay_outside() -> None:
    clip = flat(list(range(40)))
    task = between(clip[:30], clip[30:], 7)
    decoded = flat([50] * task.shape.frames)
    frames = result(task, decoded)
    assert len(frames) == 47
    np.testing.assert_array_equal(frames[:30], clip[:30])
    np.testing.assert_array_equal(frames[37:], clip[30:])


def test_the_outline_of_a_body_does_not_stay_behind_when_the_body_leaves() -> None:
    """The codec blurs a body's edge; what it lost there belongs to the body, not to the place."""
    image = flat([60])
    image[:, 8:24, 4:12] = 200
    decoded = np.concatenate([image, flat([60] * 16)])
    decoded[0, 8:24, [3, 12]] = 120  # blurred sides
    decoded[1:, 8:24, 20:28] = 200  # from the second frame on it stands at the right
    frames = result(with_images(from_text(VideoShape(17, 32, 32)), [(0, image)]), decoded)
    np.testing.assert_array_equal(frames[0], image[0])
    np.testing.assert_array_equal(frames[1:], decoded[1:])


def test_a_body_that_stays_keeps_its_sharp_outline_for_a_while() -> None:
    image = flat([60])
    image[:, 8:24, 4:12] = 200
    decoded = image.repeat(17, axis=0)
    decoded[:, 8:24, [3, 12]] = 90
    frames = result(with_images(from_text(VideoShape(17, 32, 32)), [(0, image)]), decoded)
    assert frames[1, 16, 3, 0] <= 64 and frames[-1, 16, 3, 0] == 90


def test_outside_the_mask_nothing_changes() -> None:
    rng = np.random.default_rng(0)
    base, decoded = rng.integers(0, 255, (2, 5, 32, 32, 3), np.uint8)
    mask_HW = rng.random((32, 32)) < 0.3
    frames = result(remix(base, 1.0, mask_HW), decoded)
    np.testing.assert_array_equal(frames[:, ~mask_HW], base[:, ~mask_HW])
    assert (frames[:, mask_HW] != base[:, mask_HW]).mean() > 0.5


def test_inside_the_mask_the_new_picture_fades_in() -> None:
    mask_HW = np.zeros((64, 64), bool)
    mask_HW[20:, 16:48] = True  # down to the lower edge of the picture
    share_HW = feathered(mask_HW)
    assert not share_HW[~mask_HW].any()
    across = share_HW[60, 14:33]
    assert (np.diff(across) >= 0).all() and np.diff(across).max() < 0.3
    assert (share_HW[20 + FEATHER :, 16 + FEATHER : 48 - FEATHER] == 1).all()  # as far as the picture's edge
    frames = result(remix(np.zeros((5, 64, 64, 3), np.uint8), 1.0, mask_HW), np.full((5, 64, 64, 3), 200, np.uint8))
    np.testing.assert_array_equal(frames[0, ..., 0], (200 * share_HW).round())


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_a_thin_mask_shows_the_new_picture_in_its_middle(width: int) -> None:
    mask_HW = np.zeros((32, 32), bool)
    mask_HW[:, 10 : 10 + width] = True
    assert feathered(mask_HW)[:, 10 + width // 2].min() == 1


@pytest.mark.parametrize("given", [(), (Run(0, flat([7])),)])
def test_only_a_second_of_frames_waits(given: tuple[Run, ...]) -> None:
    taken = 0

    def decoded() -> Iterator[Frame]:
        nonlocal taken
        for frame_HW3 in flat([0] * 101):
            taken += 1
            yield frame_HW3

    for shown, _ in enumerate(compose(decoded(), Task(VideoShape(101, 32, 32), 101, given), FPS), start=1):
        assert taken - shown <= FADE + 1
    assert shown == 101

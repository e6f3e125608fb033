"""Every task with the weights that ship, judged by pixels: what is given stays, and no seam shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import kinema
from kinema.clips.contact_sheet import write_png
from kinema.clips.video_io import read_video
from kinema.codec.metrics import psnr
from kinema.codec.pixels import to_uint8
from kinema.evaluate.judge import segment
from kinema.sample.generate import reconstruct
from kinema.sample.order import Order
from kinema.sample.pipeline import Pipeline
from kinema.sample.task import Frames

PROMPT = "a red ball falls and bounces on a grey floor"
STEPS = 12


@pytest.fixture(scope="module")
def nano() -> Pipeline:
    return kinema.load("nano")


@pytest.fixture(scope="module")
def clips(nano: Pipeline) -> tuple[Frames, Frames]:
    return tuple(  # type: ignore[return-value]
        nano.generate(prompt, seed=seed, steps=STEPS).pixels
        for seed, prompt in enumerate((PROMPT, "a blue cube falls on a grey floor"))
    )


def make(nano: Pipeline, prompt: str = PROMPT, **options: Any) -> Frames:
    return nano.generate(prompt, **({"steps": STEPS, "seed": 3} | options)).pixels


def changes(frames: Frames) -> NDArray[np.float64]:
    """Mean change of a pixel from each frame to the next."""
    return np.asarray(np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3)))


def seam(frames: Frames, place: int) -> float:
    """The change to the frame after ``place``, in median changes."""
    return float(changes(frames)[place] / np.median(changes(frames)))


def test_given_images_are_kept_and_go_over_into_the_video(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    first, last = clips[0][:1], clips[0][-1:]
    frames = make(nano, image=first, last_image=last)
    np.testing.assert_array_equal(frames[[0, -1]], np.concatenate([first, last]))
    # One image does not tell how fast the video is, so nothing limits the change beside it, unlike beside a given clip.
    assert seam(frames, 0) < 2.5 and seam(frames, len(frames) - 2) < 2.5
    other = make(nano)
    assert np.abs(frames[16].astype(float) - other[16]).mean() > 2  # the images have an effect on what lies between


def test_the_first_frame_of_a_file_is_at_least_as_good_as_the_codec(nano: Pipeline, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (1, 16, 16, 1), np.uint8)
    image = grey.repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3)  # a pattern that the codec has never seen
    video = nano.generate(PROMPT, steps=2, image=image)
    stored = read_video(video.save(tmp_path / "a.mp4")).pixels_THW3[:1]
    error = np.square(stored.astype(float) - image).mean()
    assert 10 * np.log10(255**2 / error) >= reconstruct(nano.codec, image)[1]


@pytest.mark.parametrize("backward", [False, True])
def test_an_extension_keeps_every_frame_and_shows_no_seam(
    nano: Pipeline, clips: tuple[Frames, Frames], backward: bool
) -> None:
    frames = make(nano, extend=clips[0], backward=backward, seconds=1)
    assert len(frames) == 45
    np.testing.assert_array_equal(frames[-33:] if backward else frames[:33], clips[0])
    assert seam(frames, 11 if backward else 32) <= 1.5


def test_connected_clips_are_whole_and_the_seams_do_not_show(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    frames = make(nano, connect=clips, seconds=1)
    np.testing.assert_array_equal(frames[:33], clips[0])
    np.testing.assert_array_equal(frames[-33:], clips[1])
    assert len(frames) == 77
    assert seam(frames, 32) <= 1.5 and seam(frames, 43) <= 1.5


def test_a_hole_is_filled_and_nothing_else_changes(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    frames = make(nano, fill=clips[0], span=(1.0, 1.5))
    np.testing.assert_array_equal(np.delete(frames, range(12, 18), axis=0), np.delete(clips[0], range(12, 18), axis=0))
    assert (frames[12:18] != clips[0][12:18]).any()
    assert seam(frames, 11) <= 1.5 and seam(frames, 17) <= 1.5


def test_the_end_of_a_loop_is_near_its_start(nano: Pipeline) -> None:
    frames = make(nano, loop=True)
    jump = np.abs(frames[0].astype(float) - frames[-1]).mean()
    assert jump <= np.median(changes(frames))


def test_a_remix_goes_from_the_codec_to_nothing_of_the_clip(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    base, prompt = clips[0], "a blue cube falls on a grey floor"
    remixes = [make(nano, prompt, remix=base, strength=strength) for strength in (0.0, 0.4, 0.8, 1.0)]
    np.testing.assert_allclose(remixes[0], reconstruct(nano.codec, base)[0], atol=4)  # rounding in bfloat16
    away = [np.abs(frames.astype(float) - base).mean() for frames in remixes]
    assert all(before < after for before, after in zip(away[:-1], away[1:], strict=True))
    assert np.abs(remixes[-1].astype(float) - make(nano, prompt)).mean() < 0.5  # only rounding differs
    assert "blue" in [track.color for track in segment(remixes[-1])]


def test_outside_its_mask_an_edit_changes_nothing_and_its_edge_does_not_show(
    nano: Pipeline, clips: tuple[Frames, Frames]
) -> None:
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[:, 30:] = 255
    frames = make(nano, "a blue cube falls on a grey floor", remix=clips[0], mask=mask)
    np.testing.assert_array_equal(frames[:, :, :30], clips[0][:, :, :30])
    assert np.abs(frames[:, :, 40:].astype(float) - clips[0][:, :, 40:]).mean() > 2
    steps_W = np.abs(np.diff(frames.astype(float), axis=2)).mean(axis=(0, 1, 3))  # from each column to the next
    assert steps_W[29] <= 1.5 * np.median(steps_W[20:40])


def test_each_moment_of_a_storyboard_follows_its_own_line(nano: Pipeline) -> None:
    def board(late: str) -> dict[str, Any]:
        beats = [{"at": 0, "until": 1.2, "text": "the red ball falls"}, {"at": 1.3, "until": 2.75, "text": late}]
        return {"summary": PROMPT, "seconds": 2.75, "beat": beats}

    one, other = (make(nano, "", storyboard=board(late)) for late in ("the red ball rolls to the left", "a blue cube"))
    change = np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))
    assert change[17:].mean() > 1.5 * change[:15].mean() > 0


def test_an_image_of_a_storyboard_is_shown_at_its_moment(
    nano: Pipeline, clips: tuple[Frames, Frames], tmp_path: Path
) -> None:
    write_png(tmp_path / "a.png", clips[1][20])
    beats = [
        {"at": 0, "until": 2, "text": PROMPT},
        {"at": 1.5, "until": 2, "text": "it", "image": str(tmp_path / "a.png")},
    ]
    frames = make(nano, "", storyboard={"seconds": 2, "beat": beats})
    np.testing.assert_array_equal(frames[18], clips[1][20])
    assert seam(frames, 17) < 2.5 and seam(frames, 18) < 2.5


def test_a_storyboard_goes_on_with_a_clip(nano: Pipeline, clips: tuple[Frames, Frames], tmp_path: Path) -> None:
    """Its seconds count from the first new frame."""
    write_png(tmp_path / "a.png", clips[0][16])

    def extended(late: str, **shown: str) -> Frames:
        beats = [{"at": 0, "until": 1, "text": "the red ball bounces"}, {"at": 1, "until": 2, "text": late, **shown}]
        return make(nano, PROMPT, extend=clips[0], storyboard={"seconds": 2, "beat": beats})

    rolls = "the red ball rolls to the left"
    pictured = extended(rolls, image=str(tmp_path / "a.png"))
    assert len(pictured) == 33 + 24
    np.testing.assert_array_equal(pictured[:33], clips[0])
    np.testing.assert_array_equal(pictured[33 + 12], clips[0][16])
    assert seam(pictured, 32) <= 1.5
    # A picture holds fast what lies before and behind it, so what the line of that moment changes is seen without.
    change = np.abs(extended(rolls).astype(float) - extended("a blue cube slides down a ramp")).mean(axis=(1, 2, 3))
    assert change[50:].mean() > 1.5 * change[33:45].mean() > 0


def test_a_picture_begins_a_loop(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    frames = make(nano, image=clips[0][:1], loop=True)
    np.testing.assert_array_equal(frames[0], clips[0][0])
    assert np.abs(frames[0].astype(float) - frames[-1]).mean() <= np.median(changes(frames))


def test_what_was_given_is_encoded_as_the_codec_would(nano: Pipeline, clips: tuple[Frames, Frames]) -> None:
    """Known latents are the codec's own of the last frames: decoded, they show them as well as a reconstruction."""
    latents_CTHW = nano.sample(nano.request(Order(PROMPT, steps=1, extend=clips[0])))[0]
    seen = latents_CTHW[:, :5]
    decoded = to_uint8(nano.codec.decode(seen[None]))[0]
    truth = clips[0][-17:]
    error_db = [
        psnr(*(torch.from_numpy(x.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1 for x in (shown, truth)))
        for shown in (decoded, reconstruct(nano.codec, truth)[0])
    ]
    assert float(error_db[0]) == pytest.approx(float(error_db[1]), abs=0.5)

"""Pictures and clips from users: read as they are, scaled only if they must be, refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema.clips.contact_sheet import write_png
from kinema.clips.video_io import write_video
from kinema.errors import InputError
from kinema.sample import inputs
from sample.pictures import huge_png


def noise(frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), np.uint8)


def test_a_picture_is_read_exactly(tmp_path: Path) -> None:
    picture = noise(1)
    write_png(tmp_path / "a.png", picture[0])
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), picture, picture[0]):
        np.testing.assert_array_equal(inputs.read_image(source, "--image").pixels_THW3, picture)


def test_the_facts_tell_one_picture_from_another(tmp_path: Path) -> None:
    facts = [inputs.read_image(picture, "--image").facts for picture in (noise(1), noise(1), 255 - noise(1))]
    assert facts[0] == facts[1] != facts[2]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 64), (20_000, 20_000)])
def test_a_picture_of_an_impossible_size_is_told(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    if width == 20_000:
        huge_png(path, width)
    else:
        write_png(path, noise(1, height, width)[0])
    with pytest.raises(InputError, match="larger than" if width == 20_000 else f"{width}x{height}") as caught:
        inputs.read_image(path, "--image")
    assert "\n" not in str(caught.value)


def test_what_is_no_picture_and_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    for read in (inputs.read_image, inputs.read_clip):
        with pytest.raises(InputError, match="cannot read .*a.mp4"):
            read(tmp_path / "a.mp4", "--extend")
        with pytest.raises(InputError, match="no file none.mp4"):
            read("none.mp4", "--extend")
        with pytest.raises(InputError, match="uint8"):
            read(noise(9).astype(np.float32), "--extend")  # type: ignore[arg-type]


def test_a_clip_is_read_with_its_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", noise(6), 24.0)
    clip = inputs.read_clip(tmp_path / "a.mp4", "--extend")
    assert clip.fps == 24 and clip.pixels_THW3.shape == (6, 32, 48, 3)


@pytest.mark.parametrize(
    ("frames", "fps", "told"), [(2, 12.0, "2 frames.*--image"), (9, 60.0, "60 frames per second"), (9, 2.0, "2 frames")]
)
def test_a_clip_of_no_use_is_told(tmp_path: Path, frames: int, fps: float, told: str) -> None:
    write_video(tmp_path / "a.mp4", noise(frames), fps)
    with pytest.raises(InputError, match=told):
        inputs.read_clip(tmp_path / "a.mp4", "--extend")


def test_frames_of_the_right_size_are_not_touched() -> None:
    frames = noise(2)
    assert inputs.fit(frames, 48, 32) is frames


def test_scaling_cuts_around_the_middle_and_keeps_proportions() -> None:
    frames = np.zeros((1, 64, 128, 3), np.uint8)
    frames[:, 16:48, 48:80] = 255  # a square in the middle
    small = inputs.fit(frames, 32, 32)[0, ..., 0] > 127
    rows, cols = np.flatnonzero(small.any(1)), np.flatnonzero(small.any(0))
    assert (rows[0], rows[-1], cols[0], cols[-1]) == (8, 23, 8, 23)


def test_a_size_like_a_picture() -> None:
    assert inputs.size_like(noise(1, 1080, 1920), 64 * 64) == (80, 48)
    assert inputs.size_like(noise(1, 64, 64), 64 * 64) == (64, 64)


def test_a_mask_is_its_light_half(tmp_path: Path) -> None:
    mask = np.zeros((32, 48, 3), np.uint8)
    mask[:, :10] = 200
    assert inputs.read_mask(mask, 48, 32)[0].sum() == 320
    with pytest.raises(InputError, match="48x32.*64x64"):
        inputs.read_mask(mask, 64, 64)
    with pytest.raises(InputError, match="black"):
        inputs.read_mask(0 * mask, 48, 32)

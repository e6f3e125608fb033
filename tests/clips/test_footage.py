"""Folders of real videos as training clips: what is held out, what is left out, and that cutting repeats exactly."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.clips.footage import Piece, cut_crops, find_footage, load_crops
from kinema.clips.video_io import write_video
from kinema.errors import InputError

FPS = 12.0
SHAPE = (5, 32, 32)


def ramps(frames: int = 36, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """Brightness tells the time, the other channels tell the place."""
    pixels = np.empty((frames, height, width, 3), np.uint8)
    pixels[..., 0] = 6 * np.arange(frames)[:, None, None]
    pixels[..., 1] = 2 * np.arange(height)[:, None]
    pixels[..., 2] = np.arange(width)
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.mp4", "deeper/c.mp4", "deeper/d.mp4"):
        write_video(folder / name, ramps(), FPS)
    (folder / "a.txt").write_text("not a video")
    write_video(folder / "short.mp4", ramps(3), FPS)
    write_video(folder / "thin.mp4", ramps(height=16), FPS)
    (folder / ".hidden").write_text("")
    return folder


def test_some_files_are_held_out_whole(folder: Path) -> None:
    train, held_out = find_footage(folder)
    assert [piece.path.name for piece in held_out] == ["a.txt"]
    assert [piece.path.name for piece in train] == ["b.mp4", "c.mp4", "d.mp4", "short.mp4", "thin.mp4"]


def test_of_a_single_file_the_end_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", ramps(), FPS)
    (train,), (held_out,) = find_footage(tmp_path / "videos")
    for piece, earliest, latest in ((train, 0, 29), (held_out, 28, 36)):
        crops = np.stack(list(cut_crops(piece, 24, SHAPE, np.random.default_rng(0))))
        frame = crops[..., 0].astype(float).mean((2, 3)) / 6
        assert earliest - 0.7 <= frame.min() and frame.max() <= latest + 0.7


def test_crops_are_consecutive_and_shrunk_in_whole_numbers(folder: Path) -> None:
    crops = list(cut_crops(Piece(folder / "b.mp4"), 40, SHAPE, np.random.default_rng(0)))
    factors = set()
    for crop in crops:
        assert crop.shape == (*SHAPE, 3)
        steps = np.diff(crop[..., 0].astype(float).mean((1, 2)))
        assert np.allclose(steps, 6, atol=1.5)
        down = np.polyfit(np.arange(32), crop[0, :, :, 1].astype(float).mean(1), 1)[0] / 2
        across = np.polyfit(np.arange(32), crop[0, :, :, 2].astype(float).mean(0), 1)[0]
        assert down == pytest.approx(across, abs=0.1)
        factors.add(round(down))
    assert factors == {1, 2, 3}


def test_a_fast_video_is_sometimes_read_with_frames_left_out(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", ramps(), 36.0)
    crops = list(cut_crops(Piece(tmp_path / "a.mp4"), 40, SHAPE, np.random.default_rng(0)))
    strides = {round(float(np.diff(crop[..., 0].astype(float).mean((1, 2))).mean()) / 6) for crop in crops}
    assert strides == {1, 2, 3}


def test_bad_files_are_named_and_the_rest_is_cut_the_same_every_time(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, _ = find_footage(folder)
    with caplog.at_level(logging.INFO):
        clips = load_crops(train, 50, SHAPE, 0, tmp_path / "a.npy")
    assert "short.mp4" in caplog.text and "thin.mp4" in caplog.text and "left out 2" in caplog.text
    assert clips.shape == (30, *SHAPE, 3)  # ten of every usable file
    assert np.array_equal(clips, load_crops(train, 50, SHAPE, 0, tmp_path / "b.npy"))
    assert not np.array_equal(clips, load_crops(train, 50, SHAPE, 1, tmp_path / "c.npy"))
    for piece in train:
        piece.path.unlink()
    assert np.array_equal(clips, load_crops(train, 50, SHAPE, 0, tmp_path / "a.npy"))  # not cut again


def test_a_folder_without_videos_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        find_footage(tmp_path / "missing")
    (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        find_footage(tmp_path / "videos")
    (tmp_path / "videos/a.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="none of 1 files"):
        load_crops(find_footage(tmp_path / "videos")[0], 4, SHAPE, 0, tmp_path / "a.npy")
    assert not (tmp_path / "a.npy").exists()

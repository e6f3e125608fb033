"""Video files: what is written is read back, the same frames give the same bytes, and failures leave nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.clips.contact_sheet import contact_sheet
from kinema.clips.video_io import SUFFIXES, check_output, read_video, write_video
from kinema.errors import InputError, KinemaError

COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [250, 250, 60]], np.uint8)


def moving_squares(frames: int = 9, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Four coloured squares that fall over grey, two pixels a frame."""
    pixels = np.full((frames, height, width, 3), 90, np.uint8)
    for frame in range(frames):
        for index, color in enumerate(COLORS):
            pixels[frame, 2 * frame + 4 : 2 * frame + 20, 22 * index + 4 : 22 * index + 20] = color
    return pixels


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing past ``size`` bytes fails inside, as on a full disk (Python ignores the signal that comes with it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".mp4", 4), (".webm", 4), (".gif", 1)])
def test_frames_and_colors_come_back(tmp_path: Path, suffix: str, tolerance: int) -> None:
    pixels = moving_squares()
    path = tmp_path / f"a{suffix}"
    write_video(path, pixels, 12.0)
    back = read_video(path)
    assert back.pixels_THW3.shape == pixels.shape
    assert back.fps == pytest.approx(12.0, rel=0.05)  # GIF counts in hundredths of a second
    for frame in (0, 4, 8):
        for index, color in enumerate(COLORS):
            middle = back.pixels_THW3[frame, 2 * frame + 12, 22 * index + 12].astype(int)
            assert np.abs(middle - color).max() <= tolerance, f"frame {frame}, square {index}: {middle}"


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_edges_of_colored_things_stay_where_they_are(tmp_path: Path, suffix: str) -> None:
    """Colour is halved in these files: repeated, or placed half a pixel to the left, a disc had 35.7 dB."""
    rows, cols = np.mgrid[:64, :96] + 0.5
    share = np.clip(12.5 - np.hypot(rows - 30.3, cols - 41.7), 0, 1)[..., None]
    disc = np.round(share * [220, 30, 30] + (1 - share) * 110).astype(np.uint8)
    write_video(tmp_path / f"a{suffix}", np.stack([disc] * 9), 12.0)
    error = read_video(tmp_path / f"a{suffix}").pixels_THW3 - disc.astype(float)
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 38


def test_an_animated_webp_holds_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    write_video(path, moving_squares(9), 12.0)
    data = path.read_bytes()
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP" and data.count(b"ANMF") == 9


def test_one_frame_is_an_exact_image_as_png(tmp_path: Path) -> None:
    pixels = moving_squares(1)
    write_video(tmp_path / "a.png", pixels, 12.0)
    np.testing.assert_array_equal(read_video(tmp_path / "a.png").pixels_THW3, pixels)


def test_several_frames_are_a_contact_sheet_as_png(tmp_path: Path) -> None:
    pixels = moving_squares(9)
    write_video(tmp_path / "a.png", pixels, 12.0)
    sheet = read_video(tmp_path / "a.png").pixels_THW3[0]
    assert sheet.shape[1] > 8 * 96
    np.testing.assert_array_equal(sheet[2:66, 2:98], pixels[0])
    np.testing.assert_array_equal(sheet[2:66, -98:-2], pixels[-1])


def test_a_contact_sheet_has_a_row_per_clip(tmp_path: Path) -> None:
    clips = [moving_squares(9), moving_squares(5)]
    contact_sheet(clips, tmp_path / "a.png", columns=3, scale=2)
    sheet = read_video(tmp_path / "a.png").pixels_THW3[0]
    assert sheet.shape == (2 * (128 + 2) + 2, 3 * (192 + 2) + 2, 3)
    np.testing.assert_array_equal(sheet[2:130:2, 2 + 194 : 194 + 194 : 2], clips[0][4])
    np.testing.assert_array_equal(sheet[132:260:2, 2:194:2], clips[1][0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}{suffix}", moving_squares(), 12.0, {"prompt": "squares", "seed": 3})
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_facts_travel_in_the_file(tmp_path: Path, suffix: str) -> None:
    facts = {"prompt": "a ‘red’ ball, 球", "seed": 2**60, "guidance": 4.5, "negative": ""}
    write_video(tmp_path / f"a{suffix}", moving_squares(), 12.0, facts)
    assert read_video(tmp_path / f"a{suffix}").metadata == facts


def test_an_mp4_can_start_before_it_is_there(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_squares(), 12.0)
    data = tmp_path.joinpath("a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failing_disk_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (33, 64, 96, 3), np.uint8)
    with file_size_limit(4096), pytest.raises(KinemaError, match="cannot write"):
        write_video(tmp_path / f"a{suffix}", noise, 12.0)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.mp4, \.webm"):
        check_output(tmp_path / "a.avi")
    with pytest.raises(InputError, match="no folder"):
        check_output(tmp_path / "missing" / "a.mp4")


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(InputError, match="cannot read"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="no file"):
        read_video(tmp_path / "b.mp4")


def test_a_truncated_video_does_not_crash(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (33, 64, 64, 3), np.uint8)
    write_video(tmp_path / "a.webm", noise, 12.0)
    data = (tmp_path / "a.webm").read_bytes()
    (tmp_path / "b.webm").write_bytes(data[: len(data) // 2])
    assert 0 < len(read_video(tmp_path / "b.webm").pixels_THW3) < 33


def test_only_the_first_seconds_are_read(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_squares(20), 10.0)
    assert len(read_video(tmp_path / "a.mp4", max_seconds=0.5).pixels_THW3) == 5


ENCODE = """
import sys, numpy as np
from pathlib import Path
from kinema.clips.video_io import write_video
y, x, t = np.mgrid[:64, :64, :33]
noise = np.random.default_rng(0).integers(0, 30, (33, 64, 64, 3))
ball = ((x - t - 10) ** 2 + (y - 2 * (t % 16) - 12) ** 2 < 80).transpose(2, 0, 1)[..., None] * np.array([160, 20, 20])
write_video(Path(sys.argv[1]), (60 + noise + ball).astype(np.uint8), 12.0)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path, suffix: str) -> None:
    contents = set()
    for filling in ("1", "85", "170", "255"):
        target = tmp_path / f"video{suffix}"
        environment = os.environ | {"MALLOC_PERTURB_": filling}  # glibc fills fresh memory with this byte
        subprocess.run([sys.executable, "-c", ENCODE, str(target)], check=True, env=environment)
        contents.add(target.read_bytes())
    assert len(contents) == 1

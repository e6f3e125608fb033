"""Real-world files: every codec, size, rotation and kind of damage gives upright frames or one clear line."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from clips.foreign import FRAMES, RATE, make, scene
from kinema.clips import reading
from kinema.clips.reading import open_video
from kinema.clips.video_io import read_video, video_writer, write_video
from kinema.errors import InputError


def assert_close(one: NDArray[np.uint8], other: NDArray[np.uint8], codes: float = 6.0) -> None:
    assert one.shape == other.shape
    assert np.abs(one.astype(float) - other).mean() < codes


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "height", "width"),
    [
        ("a.mp4", "libx264", "yuv420p", 48, 64),
        ("a.mp4", "libx264", "yuv420p10le", 48, 64),
        ("a.mp4", "libx264", "yuv444p", 37, 51),
        ("a.mp4", "libx265", "yuv420p", 48, 64),
        ("a.webm", "libvpx-vp9", "yuv420p", 37, 51),
        ("a.mkv", "libsvtav1", "yuv420p10le", 80, 96),
        ("a.avi", "mjpeg", "yuvj420p", 48, 64),
        ("a.gif", "gif", "rgb8", 37, 51),
        ("a.mkv", "ffv1", "yuv420p", 48, 64),
    ],
)
def test_every_usual_format_is_read(
    tmp_path: Path, name: str, codec: str, pixel_format: str, height: int, width: int
) -> None:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    pixels = scene(height=height, width=width)
    path = make(tmp_path / name, codec, pixel_format, pixels, options=quiet)
    video = read_video(path)
    assert video.fps == pytest.approx(RATE, rel=0.1)
    assert_close(video.pixels_THW3, pixels, codes=25.0 if codec == "gif" else 8.0)  # its palette has 256 fixed colours


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_tags_are_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    path = make(tmp_path / "a.mp4", "libx264", "yuv420p", scene(), rotation=rotation)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).rotation % 360 == rotation % 360  # the file really says so
    with open_video(path) as reader:
        frames = np.stack(list(reader.frames()))
        assert (reader.height, reader.width) == frames.shape[1:3]
    assert_close(frames, np.rot90(scene(), turns, axes=(1, 2)))


def test_a_variable_rate_becomes_constant_and_keeps_the_time(tmp_path: Path) -> None:
    times_s = [0, 0.1, 0.2, 0.7, 0.8, 0.82, 0.84, 0.9, 1.0, 1.1, 1.2, 1.3]
    path = make(tmp_path / "a.mkv", "libx264", "yuv420p", scene(), times_s=times_s)
    with open_video(path) as reader:
        frames = np.stack(list(reader.frames()))
        assert reader.uneven > 0
        fps = reader.fps
    assert len(frames) / fps == pytest.approx(times_s[-1] + 1 / fps, abs=1.5 / fps)
    shown = [int(np.abs(scene().astype(float) - frame).mean((1, 2, 3)).argmin()) for frame in frames]
    assert shown == sorted(shown) and shown[0] == 0 and shown[-1] == FRAMES - 1
    assert shown.count(2) >= 4 * fps / RATE  # on show for half a second


def test_an_even_rate_is_left_alone_despite_rounded_times(tmp_path: Path) -> None:
    times_s = [round(index / 29.97, 2) for index in range(FRAMES)]  # hundredths, as a GIF has them
    path = make(tmp_path / "a.mkv", "libx264", "yuv420p", scene(), times_s=times_s)
    with open_video(path) as reader:
        reader.fps = 29.97
        assert len(list(reader.frames())) == FRAMES and reader.uneven == 0


def test_a_jump_of_the_clock_does_not_fill_the_memory(tmp_path: Path) -> None:
    times_s = [*(index / RATE for index in range(FRAMES - 1)), 90_000.0]
    path = make(tmp_path / "a.mkv", "libx264", "yuv420p", scene(), times_s=times_s)
    with open_video(path) as reader:
        reader.fps = RATE
        assert len(list(reader.frames())) <= FRAMES + reading.LONGEST_STILL_S * RATE


def test_sound_is_noticed(tmp_path: Path) -> None:
    with open_video(make(tmp_path / "a.mp4", "libx264", "yuv420p", scene(), sound=True)) as reader:
        assert reader.has_audio and len(list(reader.frames())) == FRAMES
    with open_video(make(tmp_path / "b.mp4", "libx264", "yuv420p", scene())) as reader:
        assert not reader.has_audio


def test_damage_inside_is_left_out_and_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    path = make(tmp_path / "a.mkv", "mjpeg", "yuvj420p", noise)
    data = bytearray(path.read_bytes())
    start = len(data) // 2
    data[start : start + 6000] = bytes(6000)
    path.write_bytes(data)
    with open_video(path) as reader:
        frames = list(reader.frames())
        assert 20 < len(frames) <= 60
        assert len(frames) < 60 or reader.damaged or reader.uneven


def test_half_a_file_gives_half_the_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
    data = make(tmp_path / "a.webm", "libvpx-vp9", "yuv420p", noise).read_bytes()
    (tmp_path / "b.webm").write_bytes(data[: len(data) // 2])
    assert 5 < len(read_video(tmp_path / "b.webm").pixels_THW3) < 30


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"not a video", "cannot read"), (b"\x00" * 5000, "cannot read"), (None, "there is no file")],
)
def test_what_is_no_video_is_one_line(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught, open_video(path):
        pass
    assert "\n" not in str(caught.value)


def test_an_mp4_without_its_index_is_one_line(tmp_path: Path) -> None:
    data = make(tmp_path / "a.mp4", "libx264", "yuv420p", scene()).read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: data.index(b"moov")])
    with pytest.raises(InputError, match="cannot read"), open_video(tmp_path / "b.mp4"):
        pass


def test_frames_too_large_are_refused_before_more_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mp4", "libx264", "yuv420p", scene())
    monkeypatch.setattr(reading, "LARGEST_FRAME", 1000)
    with pytest.raises(InputError, match="64x48: scale it down"), open_video(path):
        pass


def test_a_long_file_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with video_writer(path, RATE) as writer:
        for _ in range(40):
            writer.write(scene(10))
    with open_video(path) as reader:
        assert reader.seconds == pytest.approx(40, abs=0.5)
        assert len(list(itertools.islice(reader.frames(), 5))) == 5  # without decoding the rest


def test_pieces_written_one_by_one_are_the_same_file(tmp_path: Path) -> None:
    for suffix in (".mp4", ".webm", ".gif", ".webp", ".png"):
        write_video(tmp_path / f"a{suffix}", scene(), RATE, {"seed": 1})
        with video_writer(tmp_path / f"b{suffix}", RATE, {"seed": 1}) as writer:
            for piece in np.split(scene(), [1, 4]):
                writer.write(piece)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_odd_sizes_are_written_as_they_are(tmp_path: Path, suffix: str) -> None:
    pixels = scene(3, 37, 51)
    write_video(tmp_path / f"a{suffix}", pixels, RATE)
    if suffix != ".webp":  # FFmpeg cannot read animated WebP
        assert_close(read_video(tmp_path / f"a{suffix}").pixels_THW3, pixels)


def test_a_gif_too_long_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.clips.video_io.MOST_HELD", scene(4).nbytes)
    with pytest.raises(InputError, match=r"a\.gif would need too much memory"):
        write_video(tmp_path / "a.gif", scene(5), RATE)
    assert list(tmp_path.iterdir()) == []

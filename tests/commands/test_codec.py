"""``kinema codec`` and ``kinema train codec`` as a user meets them: whole results or one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from clips.foreign import make, scene
from kinema.cli import main
from kinema.clips.reading import VideoReader, open_video
from kinema.clips.video_io import StreamWriter, read_video, video_writer, write_video
from kinema.codec.streaming import latents_at_once
from kinema.shapes import FRAMES_PER_LATENT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(frames: int, height: int, width: int) -> NDArray[np.uint8]:
    shade = np.linspace(40, 200, width).astype(np.uint8)
    return np.broadcast_to(shade[None, None, :, None], (frames, height, width, 3))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert said.startswith("kinema: ") and said.count("\n") == 1 and "Traceback" not in said
    return said


def reconstruct(weights: Path, source: str, target: str) -> int:
    return main(["codec", "reconstruct", source, "--weights", str(weights), "--out", target])


@pytest.mark.parametrize(
    ("frames", "height", "width", "suffix"),
    [(7, 37, 51, ".mp4"), (1, 32, 32, ".png"), (2, 9, 9, ".gif"), (12, 48, 64, ".webm")],
)
def test_the_result_has_the_size_length_and_rate_of_the_video(
    weights_folder: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    frames: int,
    height: int,
    width: int,
    suffix: str,
) -> None:
    write_video(Path(f"a{suffix}"), pixels(frames, height, width), 12.5)
    assert reconstruct(weights_folder, f"a{suffix}", f"b{suffix}") == 0
    said = capsys.readouterr().out
    assert f"{frames} frames of {width}x{height}" in said and "PSNR" in said
    assert ("SSIM 0." in said) == (min(height, width) >= 11)
    video = read_video(Path(f"b{suffix}"))
    assert video.pixels_THW3.shape == (frames, height, width, 3)
    if frames > 1:
        assert video.fps == pytest.approx(12.5, rel=0.01)


def test_half_a_file_gives_what_is_left_of_it(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (33, 48, 64, 3), np.uint8)
    write_video(Path("a.webm"), noise, 12.0)
    data = Path("a.webm").read_bytes()
    Path("half.webm").write_bytes(data[: len(data) // 2])
    assert reconstruct(weights_folder, "half.webm", "b.mp4") == 0
    said = capsys.readouterr().out
    assert "PSNR" in said and "half.webm is damaged or cut off: it says 2.75 s" in said
    assert reconstruct(weights_folder, "none.mp4", "b.mp4") == 2  # and does not touch the earlier result
    with open_video(Path("b.mp4")) as reader:
        assert 0 < len(list(reader.frames())) < 33


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "size", "more", "told"),
    [
        ("a.mp4", "libx264", "yuv420p", (48, 64), {"sound": True}, "the sound was left out"),
        ("a.mp4", "libx264", "yuv420p", (48, 64), {"rotation": 90}, "12 frames of 48x64"),
        ("a.mkv", "libx264", "yuv420p", (48, 64), {"times_s": [0, 0.1, 0.2, 0.9, *np.arange(1, 1.8, 0.1)]}, "constant"),
        ("a.mkv", "libx264", "yuv420p10le", (48, 64), {}, "12 frames of 64x48"),
        ("a.webm", "libvpx-vp9", "yuv420p", (37, 51), {}, "12 frames of 51x37"),
        ("a.mkv", "libsvtav1", "yuv420p10le", (80, 96), {}, "12 frames of 96x80"),
        ("a.gif", "gif", "rgb8", (37, 51), {}, "12 frames of 51x37"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_real_files_are_reconstructed(
    weights_folder: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    codec: str,
    pixel_format: str,
    size: tuple[int, int],
    more: dict[str, Any],
    told: str,
) -> None:
    make(Path(name), codec, pixel_format, scene(height=size[0], width=size[1]), **more)
    assert reconstruct(weights_folder, name, "b.mp4") == 0
    said = capsys.readouterr().out
    assert told in said and "PSNR" in said and "damaged" not in said
    with open_video(Path("b.mp4")) as reader:
        assert f" frames of {reader.width}x{reader.height} " in said
        assert f": {len(list(reader.frames()))} frames" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("zero-length", "is empty"),
        ("garbage", "cannot read"),
        ("no index", "cannot read"),
        ("only an index", "no frame that can be decoded"),
        ("sound alone", "holds no video"),
        ("a folder", "there is no file a.mp4"),
        ("nothing", "there is no file a.mp4"),
    ],
)
def test_no_video_is_one_line_and_nothing_is_written(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    path = Path("a.mp4")
    data = b"" if content == "zero-length" else b"x" * 999
    if content in ("no index", "only an index"):
        whole = make(path, "libx264", "yuv420p", scene()).read_bytes()
        data = whole[: whole.index(b"moov")] if content == "no index" else whole[whole.index(b"moov") - 4 :]
    if content == "sound alone":
        with av.open("a.mp4", "w") as container:
            audio = container.add_stream("aac", rate=8000, layout="mono")
            hush = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            hush.sample_rate, hush.pts = 8000, 0
            container.mux([*audio.encode(hush), *audio.encode(None)])
    elif content == "a folder":
        path.mkdir()
    elif content != "nothing":
        path.write_bytes(data)
    assert reconstruct(weights_folder, "a.mp4", "b.mp4") == 2
    assert told in one_line(capsys)
    assert not Path("b.mp4").exists() and not list(Path().glob(".*.part"))


def test_damage_inside_is_told(weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    data = bytearray(make(Path("a.webm"), "libvpx-vp9", "yuv420p", noise).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    Path("a.webm").write_bytes(data)
    assert reconstruct(weights_folder, "a.webm", "b.mp4") == 0
    said = capsys.readouterr().out
    assert "a.webm is damaged or cut off: it says 4.00 s, and " in said and "PSNR" in said


def test_a_long_file_waits_in_bounded_memory(weights_folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are decoded as the codec asks for them, and written before more are read."""
    frames = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 16, 16, 3))
    with video_writer(Path("a.mp4"), 10) as writer:
        for _ in range(20):
            writer.write(frames)
    read = written = most = 0
    read_on, write = VideoReader._upright, StreamWriter.write

    def reading(reader: VideoReader, frame: av.VideoFrame) -> NDArray[np.uint8]:
        nonlocal read, most
        read += 1
        most = max(most, read - written)
        return read_on(reader, frame)

    def writing(writer: StreamWriter, pixels_THW3: NDArray[np.uint8]) -> None:
        nonlocal written
        written += len(pixels_THW3)
        write(writer, pixels_THW3)

    monkeypatch.setattr(VideoReader, "_upright", reading)
    monkeypatch.setattr(StreamWriter, "write", writing)
    assert reconstruct(weights_folder, "a.mp4", "b.mp4") == 0
    assert read == written == 5120 and most <= 2 * FRAMES_PER_LATENT * latents_at_once(16, 16) + 8


def test_a_video_is_not_written_onto_itself(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(Path("a.mp4"), pixels(5, 32, 32), 12.0)
    before = Path("a.mp4").read_bytes()
    assert reconstruct(weights_folder, "a.mp4", "./a.mp4") == 2
    assert "is the video itself" in one_line(capsys)
    assert Path("a.mp4").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["codec", "--data", "missing"], "no folder missing"),
        (["codec", "--data", "empty"], "empty holds no files"),
        (["model", "--codec", "codec", "--data", "empty"], "--data is for"),
        (["codec", "--init", "nanno"], "nano"),
        (["codec", "--init", "nano", "--set", "codec.width=48"], "--set codec.width=128"),
    ],
)
def test_wrong_beginnings_of_training(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    (here / "empty").mkdir()
    (here / "codec").mkdir()
    (here / "codec" / "codec.safetensors").touch()
    assert main(["train", *options, "--out", "run"]) == 2
    assert told in one_line(capsys)
    assert not (here / "run").exists()

"""``kinema codec`` and ``kinema train codec`` as a user meets them: whole results or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.cli import main
from kinema.clips.reading import open_video
from kinema.clips.video_io import read_video, write_video


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
    assert "PSNR" in capsys.readouterr().out
    assert reconstruct(weights_folder, "none.mp4", "b.mp4") == 2  # and does not touch the earlier result
    with open_video(Path("b.mp4")) as reader:
        assert 0 < len(list(reader.frames())) < 33


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "is empty"), (b"x" * 999, "cannot read"), (None, "there is no file a.mp4")]
)
def test_no_video_is_one_line_and_nothing_is_written(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, told: str
) -> None:
    if content is not None:
        Path("a.mp4").write_bytes(content)
    assert reconstruct(weights_folder, "a.mp4", "b.mp4") == 2
    assert told in one_line(capsys)
    assert not Path("b.mp4").exists()


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
        (["codec", "--init", "nano", "--set", "codec.width=48"], "--set codec.width=96"),
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

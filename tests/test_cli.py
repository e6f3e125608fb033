"""The command line: what it prints, what it writes, its exit codes, and one clear line for every mistake."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinema.cli import main
from kinema.clips import video_io
from kinema.clips.video_io import read_video

PROMPT = "a red ball falls"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generate(weights: Path, *options: str, prompt: str = PROMPT) -> int:
    """Runs ``kinema generate`` with the tiny model."""
    return main(["generate", "--weights", str(weights), "--seconds", "0.4", "--size", "32x32", *options, "--", prompt])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a failed command said: nothing on stdout and one line on stderr."""
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kinema: "), said.err
    return lines[0]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = "import sys; from kinema.cli import build_parser; build_parser().format_help(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "av", "numba", "mujoco", "rich", "tokenizers"} & set(modules)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "kinema", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, because the clock on the wall also measures whatever else this machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("told", [None, "77"])
def test_idle_threads_give_their_core_away_soon_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")  # to be restored
    monkeypatch.delenv("GOMP_SPINCOUNT") if told is None else monkeypatch.setenv("GOMP_SPINCOUNT", told)
    main([])
    assert int(os.environ["GOMP_SPINCOUNT"]) == (77 if told else 10_000)


def test_generate_imports_no_simulator(weights_folder: Path, here: Path) -> None:
    command = ["generate", "a ball", "--weights", str(weights_folder), "--seconds", "0.1", "--out", "a.gif"]
    code = f"import sys; from kinema.cli import main; assert main({command}) == 0; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numba", "mujoco", "matplotlib", "tensorboard"} & set(done.stdout.split())
    assert done.stderr == ""  # no progress bar where nobody looks at a terminal


def test_generate_says_where_how_long_and_what_it_understood(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(weights_folder, "--out", "a.mp4", "--seed", "5", prompt="a red bll falls, zzyzx") == 0
    said = capsys.readouterr().out
    assert "a.mp4: 5 frames of 32x32 at 12 fps" in said and "seed 5" in said
    assert "took " in said
    assert "understood: a, red, falls" in said
    assert "bll (near: ball" in said and "zzyzx" in said
    assert read_video(Path("a.mp4")).metadata["seed"] == 5
    assert os.listdir(here) == ["a.mp4"]


def test_generate_names_the_file_after_the_prompt(weights_folder: Path, here: Path) -> None:
    assert generate(weights_folder, "--count", "2", "--seed", "3") == 0
    assert sorted(os.listdir(here)) == ["a-red-ball-falls-3.mp4", "a-red-ball-falls-4.mp4"]


def test_the_same_command_gives_the_same_bytes(weights_folder: Path, here: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        assert generate(weights_folder, "--out", name) == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()


@pytest.mark.parametrize("prompt", ["ÀÉ шар падает 球", "красный шар", "red ball " * 1111, "quite 'unknown' \"words\""])
def test_strange_prompts_still_generate(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], prompt: str
) -> None:
    assert generate(weights_folder, "--out", "a.gif", prompt=prompt) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) < 2000
    assert ("not known" in said) != (len(prompt) == 9999)
    assert ("not read" in said) == (len(prompt) == 9999)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--size", "abc"], "WIDTHxHEIGHT"),
        (["--size", "100x64"], "96x64"),
        (["--seconds", "0"], "--seconds 0"),
        (["--seconds", "1000000"], "at most 60"),
        (["--seconds", "soon"], "--seconds"),
        (["--steps", "-1"], "--steps -1"),
        (["--steps", "0"], "--steps 0"),
        (["--solver", "eular"], "euler"),
        (["--fps", "1000"], "--fps"),
        (["--count", "0"], "--count 0"),
        (["--out", "missing/a.mp4"], "no folder missing"),
        (["--out", "a.avi"], ".mp4"),
        (["--out", "a"], ".mp4"),
        (["--weights", "nowhere"], "nowhere"),
        (["--image", "a.png"], "no file a.png"),
        (["--picture", "a.png"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_told_before_anything_slow(
    weights_folder: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    told: str,
) -> None:
    monkeypatch.setattr("kinema.sample.pipeline.load", lambda _: pytest.fail("began the long work"))
    assert generate(weights_folder, *options) == 2
    assert told in one_line(capsys)
    assert os.listdir(here) == []


def test_an_empty_prompt_is_told(weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(weights_folder, prompt="") == 2
    assert "prompt is empty" in one_line(capsys)


def test_a_folder_that_cannot_be_written_is_told(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kinema.files.os.access", lambda *_: False)
    assert generate(weights_folder, "--out", "a.mp4") == 2
    assert "cannot write in" in one_line(capsys)


def test_a_verb_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "VERB" in one_line(capsys)
    assert main(["paint"]) == 2
    assert "generate" in one_line(capsys)


def test_damaged_weights_are_our_failure(weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(weights_folder, here / "copy"))
    (copy / "model.safetensors").write_bytes(b"garbage")
    assert generate(copy, "--out", "a.mp4") == 1
    assert "model.safetensors" in one_line(capsys)
    assert os.listdir(here) == ["copy"]


def test_a_full_disk_leaves_nothing(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(writer: video_io.StreamWriter, *_: object) -> None:
        writer._part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(video_io.StreamWriter, "_begin", begin)
    assert generate(weights_folder, "--out", "a.mp4") == 1
    said = capsys.readouterr()
    assert "a.mp4" not in said.out and len(said.err.splitlines()) == 1 and "no space left" in said.err
    assert os.listdir(here) == []


def test_an_unforeseen_error_is_one_line_and_debug_shows_more(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kinema.sample.pipeline.load", lambda _: 1 / 0)
    assert generate(weights_folder) == 1
    assert "ZeroDivisionError" in one_line(capsys)
    assert generate(weights_folder, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


INTERRUPTED = """
import os, signal, sys
from kinema.cli import main
from kinema.sample.pipeline import Pipeline

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
sample = Pipeline.sample

def sample_interrupted(self, request, on_step=None):
    def step(done, steps):
        if done == 2 and on_step is not None:
            os.kill(os.getpid(), signal.SIGINT)
    return sample(self, request, step)

Pipeline.sample = sample_interrupted
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_is_one_line_and_leaves_nothing(weights_folder: Path, here: Path) -> None:
    arguments = ["generate", PROMPT, "--weights", str(weights_folder), "--steps", "50", "--out", "a.mp4"]
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "kinema: interrupted\n")
    assert done.stdout.startswith("144 tokens, 50 steps: about ") and done.stdout.count("\n") == 1
    assert os.listdir(here) == []


def test_worlds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worlds", "list"]) == 0
    assert {"fall", "collide"} <= {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    command = ["worlds", "render", "fall", "--size", "32x32", "--seconds", "0.4", "--state", "a.json"]
    for name in ("a.mp4", "b.mp4"):
        assert main([*command, "--seed", "7", "--out", name]) == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()
    tree = json.loads(Path("a.json").read_text())
    assert len(tree["state"]["position_TB3"]) == 5 and tree["source"]["seed"] == 7
    assert tree["caption"]["summary"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["faal", "--seed", "1", "--out", "a.mp4"], "fall"),
        (["fall", "--seed", "-1", "--out", "a.mp4"], "seed -1"),
        (["fall", "--seed", "1", "--out", "a.doc"], ".mp4"),
        (["fall", "--seed", "1", "--size", "33x32", "--out", "a.mp4"], "32x32"),
        (["fall"], "--out FILE.mp4 or --contact-sheet FILE.png"),
        (["fall", "--contact-sheet", "a.jpg"], ".png"),
        (["fall", "--state", "a.json", "--contact-sheet", "a.png"], "--out"),
        (["fall", "--seed", str(2**64), "--out", "a.mp4"], "2**63 - 1"),
        (["fall", "--seconds", "61", "--out", "a.mp4"], "60"),
        (["fall", "--out", "none/a.mp4"], "there is no folder none"),
    ],
)
def test_wrong_worlds(here: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert main(["worlds", "render", *options]) == 2
    assert told in one_line(capsys)


def test_a_family_at_a_glance_and_depth(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--size", "48x32", "--seconds", "0.4"]
    assert main(["worlds", "render", "paint", *size, "--contact-sheet", "a.png"]) == 0
    sheet = read_video(Path("a.png")).pixels_THW3[0]
    assert sheet.shape[0] > 6 * 32 and sheet.std() > 5
    assert main(["worlds", "render", "occlude", *size, "--out", "a.mp4", "--depth", "a.npz"]) == 0
    depth = np.load("a.npz")
    assert depth["depth_m"].shape == depth["ids"].shape == (5, 32, 48)
    assert 4 < depth["depth_m"][depth["ids"] == 0].min() < 10


def test_worlds_make(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["worlds", "make", "--clips", "3", "--families", "fall,paint", "--size", "32x32", "--seconds", "0.4"]
    assert main([*command, "--workers", "1", "--out", "data"]) == 0
    assert capsys.readouterr().out == "data: 3 clips of 5 frames of 32x32\n"
    Path("data/worlds-000000.tar").write_bytes(b"torn")
    assert main([*command, "--workers", "1", "--out", "data"]) == 0
    assert "data/worlds-000000.tar was missing or damaged: made again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--clips", "0"], "--clips 0"),
        (["--clips", "3", "--families", "fall,thow"], "did you mean throw"),
        (["--clips", "3", "--first-seed", str(2**63 - 2)], "2**63 - 1"),
        (["--clips", "3", "--workers", "0"], "--workers 0"),
        (["--clips", "3", "--size", "33x32"], "32x32"),
    ],
)
def test_wrong_worlds_make(here: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert main(["worlds", "make", *options, "--out", "data"]) == 2
    assert told in one_line(capsys)
    assert os.listdir(here) == []


def test_codec_reconstruct(weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["worlds", "render", "fall", "--seed", "1", "--size", "48x32", "--seconds", "0.4", "--out", "a.mp4"]) == 0
    )
    capsys.readouterr()
    assert main(["codec", "reconstruct", "a.mp4", "--weights", str(weights_folder), "--out", "b.mp4"]) == 0
    assert "PSNR" in capsys.readouterr().out
    assert read_video(Path("b.mp4")).pixels_THW3.shape == (5, 32, 48, 3)
    assert main(["codec", "reconstruct", "none.mp4", "--weights", str(weights_folder), "--out", "b.mp4"]) == 2
    assert "none.mp4" in one_line(capsys)


def test_info(weights_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--weights", str(weights_folder)]) == 0
    said = capsys.readouterr().out
    assert "64x64" in said and "bounces" in said and "model.safetensors" in said


def test_train_shows_its_settings_without_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "codec", "--out", "run", "--set", "train_codec.steps=5", "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["train_codec"]["steps"] == told["estimate"]["steps"] == 5
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["codec", "--preset", "nanno"], "nano"),
        (["codec", "--set", "train_codec.stepz=5"], "train_codec.steps"),
        (["model"], "--codec"),
        (["model", "--codec", "missing"], "missing"),
        (["codec", "--stop-after", "-1"], "--stop-after"),
        (["model", "--set", "worlds.shapes=[[60,64,33,0.5]]"], "size 64x60"),
        (["model", "--set", "worlds.shapes=[[64,64,32,0.5]]"], "32 frames"),
        (["model", "--set", "worlds.shapes=[[64,64,33,0]]"], "share of 0"),
        (["model", "--set", "worlds.shapes=[[64,64,33,0.6],[32,32,33,0.6]]"], "add up to 1.2"),
        (["model", "--set", "worlds.shapes=[[64,64,33]]"], "lists of 4"),
        (["both"], "codec"),
    ],
)
def test_wrong_training(here: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert main(["train", *options, "--out", "run"]) == 2
    assert told in one_line(capsys)
    assert os.listdir(here) == []

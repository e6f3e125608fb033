"""``kinema generate``: what goes together, what does not, files made again byte for byte, and clips as input."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from kinema.cli import main
from kinema.clips.contact_sheet import write_png
from kinema.clips.video_io import StreamWriter, read_video, write_video
from sample.pictures import huge_png

FRAMES = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a picture, two clips, a mask, a storyboard and files that are not what they seem."""
    monkeypatch.chdir(tmp_path)
    write_png(Path("a.png"), FRAMES[0])
    write_png(Path("tiny.png"), FRAMES[0, :1, :1])
    write_png(Path("mask.png"), np.eye(32, dtype=np.uint8)[..., None].repeat(3, 2) * 255)
    write_png(Path("small_mask.png"), FRAMES[0, :16])
    write_video(Path("a.mp4"), FRAMES, 12.0)
    write_video(Path("b.mp4"), 255 - FRAMES, 12.0)
    write_video(Path("fast.mp4"), FRAMES, 24.0)
    write_video(Path("two.mp4"), FRAMES[:2], 12.0)
    write_video(Path("wide.mp4"), FRAMES.repeat(2, axis=2)[:, :, :48], 12.0)
    write_video(Path("odd.mp4"), FRAMES.repeat(2, axis=2)[:, :, :42], 12.0)
    Path("text.mp4").write_text("hello")
    Path("board.toml").write_text('[[beat]]\nat = 0\nuntil = 0.4\ntext = "a red ball falls"\nimage = "a.png"\n')
    Path("words.toml").write_text('[[beat]]\nat = 0.1\nuntil = 0.4\ntext = "a red ball falls"\n')
    Path("empty.toml").write_text("")
    Path("many.toml").write_text("seconds = 9\n" + '[[beat]]\nat = 0\ntext = "a"\n' * 10_000)
    Path("late.toml").write_text('seconds = 1\n[[beat]]\nat = 0\nuntil = 3\ntext = "a ball"\n')
    Path("reversed.toml").write_text('[[beat]]\nat = 2\nuntil = 1\ntext = "a ball"\n')
    Path("typo.toml").write_text('[[beat]]\nat = 0\nuntl = 1\ntext = "a ball"\n')
    huge_png(Path("huge.png"), 20_000)
    return tmp_path


def generate(weights: Path, *options: str) -> int:
    return main(["generate", "--weights", str(weights), "--steps", "1", *options])


TASKS = (
    ["a ball", "--image", "a.png", "--last-image", "a.png", "--seconds", "0.4", "--size", "32x32"],
    ["a ball", "--extend", "a.mp4", "--seconds", "0.4"],
    ["a ball", "--extend", "a.mp4", "--backward", "--seconds", "0.4"],
    ["a ball", "--connect", "a.mp4", "b.mp4", "--seconds", "0.4"],
    ["a ball", "--fill", "a.mp4", "--span", "0.2", "0.5"],
    ["a ball", "--remix", "a.mp4", "--strength", "0.5", "--mask", "mask.png"],
    ["a ball", "--loop", "--seconds", "1", "--size", "32x32", "--solver", "unipc"],
    ["--storyboard", "board.toml", "--size", "32x32", "--guidance-interval", "0.2", "0.9", "--guidance-rescale", "0.5"],
    ["--storyboard", "board.toml", "--extend", "a.mp4"],
    ["--storyboard", "board.toml", "--connect", "a.mp4", "b.mp4"],
    ["--storyboard", "board.toml", "--last-image", "a.png"],
    ["--storyboard", "words.toml", "--remix", "a.mp4"],
    ["a ball", "--image", "a.png", "--loop", "--seconds", "1"],
    ["a red ball", "--seconds", "6", "--size", "32x32", "--rollout", "--negative", "blue"],
    ["a red ball", "--expand", "--seconds", "0.05", "--size", "32x48"],
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: " ".join(task[:4]))
def test_every_task_runs_and_its_file_can_be_made_again(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], task: list[str]
) -> None:
    assert generate(weights_folder, *task, "--out", "made.mp4") == 0
    said = capsys.readouterr().out
    assert "tokens, " in said and " GB" in said and "made.mp4: " in said
    assert main(["generate", "--again", "made.mp4", "--weights", str(weights_folder)]) == 0
    assert Path("made-again.mp4").read_bytes() == Path("made.mp4").read_bytes()


def test_a_variation_can_be_made_again(weights_folder: Path, here: Path) -> None:
    assert (
        generate(weights_folder, "a ball", "--count", "3", "--seed", "4", "--out", "made.webm", "--size", "32x32") == 0
    )
    assert generate(weights_folder, "--again", "made-5.webm", "--out", "again.webm") == 2  # --steps contradicts
    assert main(["generate", "--again", "made-5.webm", "--out", "again.webm", "--weights", str(weights_folder)]) == 0
    assert Path("again.webm").read_bytes() == Path("made-5.webm").read_bytes()
    assert Path("again.webm").read_bytes() != Path("made-4.webm").read_bytes()


def test_the_file_tells_how_it_was_made(weights_folder: Path, here: Path) -> None:
    assert generate(weights_folder, "a ball", "--extend", "a.mp4", "--seed", "7", "--out", "made.mp4") == 0
    facts = read_video(Path("made.mp4")).metadata
    assert facts["prompt"] == "a ball" and facts["seed"] == 7 and facts["solver"] == "dpmpp"
    assert facts["weights"]["name"] == "tiny" and len(facts["weights"]["sha256"]) == 64
    assert facts["sources"]["extend"]["file"] == "a.mp4"


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_one_frame_is_an_image(weights_folder: Path, here: Path, suffix: str) -> None:
    assert generate(weights_folder, "a ball", "--seconds", "0.05", "--size", "48x32", "--out", f"made{suffix}") == 0
    assert read_video(Path(f"made{suffix}")).pixels_THW3.shape == (1, 32, 48, 3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("x --image tiny.png", "1x1"),
        ("x --image huge.png", "larger than can be read"),
        ("x --last-image huge.png", "larger than can be read"),
        ("x --extend huge.png", "larger than can be read"),
        ("x --remix a.mp4 --mask huge.png", "larger than can be read"),
        ("x --remix a.mp4 --mask tiny.png", "1x1"),
        ("x --extend tiny.png", "1x1"),
        ("x --extend a.png", "has 1 frame, --extend needs at least 5"),
        ("x --image none.png", "no file none.png"),
        ("x --image text.mp4", "cannot read text.mp4"),
        ("x --extend two.mp4", "two.mp4 has 2 frames"),
        ("x --extend text.mp4", "cannot read text.mp4"),
        ("x --extend odd.mp4", "--size 48x32"),
        ("x --extend a.mp4 --seconds 60", "60.8 s long"),
        ("x --extend a.mp4 --fps 24", "12 frames per second"),
        ("x --connect a.mp4 fast.mp4", "12 and 24 frames per second"),
        ("x --connect a.mp4 wide.mp4", "48x32"),
        ("x --connect a.mp4", "2 arguments"),
        ("x --loop --extend a.mp4", "--extend and --loop contradict"),
        ("x --image a.png --remix a.mp4", "--image and --remix contradict"),
        ("x --last-image a.png --loop", "--last-image and --loop contradict"),
        ("x --image a.png --extend a.mp4", "--image and --extend contradict"),
        ("x --storyboard board.toml --remix a.mp4", "--remix and images of a storyboard contradict"),
        ("x --storyboard words.toml --fill a.mp4 --span 0.2 0.4", "0.4 s long and the part that is made anew 0.25 s"),
        ("x --rollout --whole", "not allowed with"),
        ("x --backward", "--extend FILE"),
        ("x --strength 0.5", "--remix FILE"),
        ("x --mask mask.png", "--remix FILE"),
        ("x --span 0 1", "--fill FILE"),
        ("x --fill a.mp4", "--span FROM UNTIL"),
        ("x --fill a.mp4 --span 0.5 0.2", "--span 0.5 0.2"),
        ("x --fill a.mp4 --span 0 99", "0.75 s"),
        ("x --remix a.mp4 --seconds 1", "contradict"),
        ("x --remix a.mp4 --strength 1.5", "--strength 1.5"),
        ("x --remix a.mp4 --mask small_mask.png", "32x16"),
        ("x --guidance-interval 0.9 0.1", "--guidance-interval 0.9 0.1"),
        ("x --guidance-rescale 2", "--guidance-rescale 2"),
        ("x --image a.png --last-image a.png --seconds 0.01", "more --seconds"),
        ("--storyboard empty.toml", "0 beats"),
        ("--storyboard many.toml", "10000 beats: give 1 to"),
        ("--storyboard late.toml", "late.toml, line 4: the beat ends at 3 s, the video at 1 s"),
        ("--storyboard reversed.toml", "reversed.toml, line 3: the beat ends at 1 s, before it begins at 2 s"),
        ("--storyboard typo.toml", "typo.toml, line 3: unknown key 'untl', did you mean until"),
        ("--storyboard none.toml", "no storyboard none.toml"),
        ("--storyboard a.png", "a.png"),
        ("--image a.png", "prompt is empty"),
        ("--again a.mp4", "does not say how it was made"),
        ("--again text.mp4", "text.mp4"),
        ("--again none.mp4", "none.mp4"),
        ("x --again a.mp4", "leave out the prompt"),
        ("x --expand-url nowhere", "--expand-url"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_loaded(
    weights_folder: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    told: str,
) -> None:
    monkeypatch.setattr("kinema.sample.pipeline.load", lambda _: pytest.fail("began the long work"))
    before = sorted(os.listdir(here))
    assert main(["generate", "--weights", str(weights_folder), *options.split()]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and told in said.err, said.err
    assert sorted(os.listdir(here)) == before


def test_again_needs_the_same_sources_and_weights(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(weights_folder, "a ball", "--extend", "a.mp4", "--out", "made.mp4") == 0
    again = ["generate", "--again", "made.mp4", "--out", "again.mp4"]
    assert main([*again, "--weights", "nano"]) == 2
    assert "other weights (tiny)" in capsys.readouterr().err
    write_video(Path("a.mp4"), 255 - FRAMES, 12.0)
    assert main([*again, "--weights", str(weights_folder)]) == 2
    assert "a.mp4 has changed" in capsys.readouterr().err
    Path("a.mp4").unlink()
    assert main([*again, "--weights", str(weights_folder)]) == 2
    assert "no file a.mp4" in capsys.readouterr().err
    assert not Path("again.mp4").exists()


def test_what_a_killed_run_left_does_not_stay(weights_folder: Path, here: Path) -> None:
    Path(".made.mp4.part").write_bytes(bytes(1_000_000))
    assert generate(weights_folder, "a ball", "--size", "32x32", "--seconds", "0.4", "--out", "made.mp4") == 0
    assert not Path(".made.mp4.part").exists() and len(read_video(Path("made.mp4")).pixels_THW3) == 5


def test_an_interrupted_run_leaves_nothing(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(writer: StreamWriter, pixels: object) -> None:
        assert Path(".made.mp4.part").exists() or not writer._frames
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamWriter, "write", interrupted)
    before = sorted(os.listdir(here))
    assert generate(weights_folder, "a ball", "--size", "32x32", "--seconds", "0.4", "--out", "made.mp4") == 130
    assert capsys.readouterr().err == "kinema: interrupted\n" and sorted(os.listdir(here)) == before


def test_weights_of_another_architecture_are_told(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, section, key, value in (
        ("wider", "model", "width", 128),
        ("deeper", "model", "depth", 9),
        ("finer", "codec", "width", 48),
        ("foreign", "model", "num_attention_heads", 12),
    ):
        copy = Path(shutil.copytree(weights_folder, name))
        config = json.loads((copy / "config.json").read_text())
        config[section][key] = value
        (copy / "config.json").write_text(json.dumps(config))
        assert main(["generate", "a ball", "--weights", name, "--out", "made.mp4"]) == 1
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and "does not fit its config" in said
    Path("empty").mkdir()
    assert main(["generate", "a ball", "--weights", "empty"]) == 2
    assert "empty lacks config.json" in capsys.readouterr().err
    assert not Path("made.mp4").exists()


def test_unknown_words_are_named_with_the_nearest_known(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--size", "32x32", "--seconds", "0.1", "--out", "a.gif"]
    assert generate(weights_folder, "a redd bal and 2 zebras", *small) == 0
    said = capsys.readouterr().out
    assert "not known: redd (near: red), bal (near: ball), 2 (near: two), zebras" in said
    Path("board.toml").write_text('[[beat]]\nat = 0\nuntil = 0.4\ntext = "the bal falls"\n')
    assert generate(weights_folder, "--storyboard", "board.toml", "--size", "32x32", "--out", "a.gif") == 0
    assert "bal (near: ball" in capsys.readouterr().out


def test_a_prompt_in_another_script_is_told(
    weights_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(weights_folder, "красный шар падает", "--size", "32x32", "--seconds", "0.1", "--out", "a.gif") == 0
    said = capsys.readouterr().out
    assert "know none of the words" in said and "красный" in said

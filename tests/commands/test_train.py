"""`kinema train` told something wrong: one line each, before the long work; and shards that are damaged."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinema.card import SamplingDefaults, save_card
from kinema.cli import main
from kinema.sample.weights import WeightsFolder
from train.noise import noise_clips

TINY = [
    *('worlds.families=["fall","ramp"]', "worlds.height=32", "worlds.width=32", "worlds.frames=9"),
    *("worlds.samples_per_pixel=1", "worlds.clips=56", "worlds.shapes=[[32,48,5,0.3]]"),
    *("codec.width=12", "codec.latent_width=24", "codec.depth=1"),
    *("text.vocab_size=300", "text.width=32", "text.depth=1", "text.heads=2", "text.max_tokens=48"),
    *("model.width=32", "model.depth=1", "model.heads=1", "model.detail_width=32", "model.detail_depth=1"),
    *("planner.width=16", "planner.depth=1", "planner.text_depth=1", "planner.heads=2"),
    *("planner.steps=3", "planner.batch=4"),
    *("train_codec.steps=2", "train_codec.batch=1", "train_codec.warmup_steps=1"),
    *("train_model.steps=4", "train_model.batch=4", "train_model.warmup_steps=1", "train_model.image_steps=1"),
    *(
        "train_model.short_steps=1",
        "train_model.checkpoint_every=2",
        "train_model.ema_long_decay=0.999",
        "train_model.ema_decay=0.1",
    ),
]
SET = [word for setting in TINY for word in ("--set", setting)]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of complaint."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("kinema: "), lines
    return lines[0]


@pytest.fixture(scope="module", autouse=True)
def noise_for_worlds() -> Iterator[None]:
    from kinema.train import latents

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "render_clips", noise_clips)
        yield


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the run of a trained codec."""
    import torch

    from kinema import config as configs
    from kinema.codec.autoencoder import VideoAutoencoder, save_codec

    folder = tmp_path_factory.mktemp("codec")
    torch.manual_seed(0)
    save_codec(VideoAutoencoder(configs.override(configs.nano(), TINY).codec), folder)
    (folder / "metrics.jsonl").write_text('{"step": 2, "seconds": 1.0}\n')
    (folder / "scores.json").write_text(json.dumps({"held_out_psnr": 20.0}))
    return folder


@pytest.fixture(scope="module")
def trained(codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's run, through the command."""
    out = tmp_path_factory.mktemp("run") / "model"
    assert main(["train", "model", "--codec", str(codec), "--out", str(out), *SET]) == 0
    return out


def test_a_run_leaves_weights_samples_and_curves(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    import kinema

    assert kinema.load(trained / "weights").generate("a ball falls", steps=1).pixels.shape == (9, 32, 32, 3)
    assert (trained / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(trained / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["samples"]
    assert {"loss", "mfu", "flops", "tokens_per_s", "loss_0.75", "held_out", "held_out_ema_long"} <= set(
        events.Tags()["scalars"]
    )


def test_exported_weights_may_serve_another_model_whose_card_counts_both_runs(trained: Path, tmp_path: Path) -> None:
    weights, out = tmp_path / "weights", tmp_path / "run"
    shutil.copytree(trained / "weights", weights)
    first = WeightsFolder(weights).card()
    chosen = SamplingDefaults(steps=7, guidance=3.5, solver="heun", shift=2.5)
    save_card(replace(first, sampling=chosen), weights / "card.json")
    assert main(["train", "model", "--codec", str(weights), "--init", str(weights), "--out", str(out), *SET]) == 0
    card = WeightsFolder(out / "weights").card()
    assert first.sampling.shift == 1.5 and card.sampling == chosen
    assert card.training["codec_steps"] == 2 and card.scores["codec_held_out_psnr"] == 20.0
    assert card.training["model_steps"] == 8
    assert float(card.training["model_flops"]) == pytest.approx(2 * float(first.training["model_flops"]), rel=0.01)
    assert card.training["model_runs"].startswith("4 steps (") and ", then 4 steps (" in card.training["model_runs"]


def test_a_planner_is_exported_with_the_model_and_decides_where_bodies_go(
    trained: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    import kinema

    out = tmp_path / "run"
    shutil.copytree(trained, out)
    command = ["train", "model", "--codec", str(codec), "--out", str(out), *SET]
    assert kinema.load(out / "weights").planner is None
    assert main(["train", "planner", "--out", str(out), *SET, "--stop-after", "0.001"]) == 0
    assert not (out / "planner" / "planner.safetensors").exists()  # training is not done
    assert main(["train", "planner", "--out", str(out), *SET]) == 0
    capsys.readouterr()
    assert main(command) == 0
    made = load_file(out / "planner" / "planner.safetensors")
    planner = kinema.load(out / "weights").planner
    assert planner is not None
    for name, tensor in planner.state_dict().items():
        assert (tensor == made[name].bfloat16().float()).all() or tensor.ndim < 2, name
    assert WeightsFolder(out / "weights").sha256() != WeightsFolder(trained / "weights").sha256()


def test_the_other_average_may_be_exported_afterwards(trained: Path, codec: Path) -> None:
    short = (trained / "weights" / "model.safetensors").read_bytes()
    command = ["train", "model", "--codec", str(codec), "--out", str(trained), *SET]
    assert main([*command, "--set", "train_model.ema_export=long"]) == 0
    assert (trained / "weights" / "model.safetensors").read_bytes() != short
    assert main(command) == 0
    assert (trained / "weights" / "model.safetensors").read_bytes() == short


def test_an_average_that_is_not_there_is_told(codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "model", "--codec", str(codec), "--out", str(tmp_path / "run"), *SET]
    assert main([*command, "--set", "train_model.ema_export=middle"]) == 2
    assert "no average 'middle'" in told(capsys)


def test_a_run_of_other_settings_is_told(trained: Path, codec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "model", "--codec", str(codec), "--out", str(trained), *SET]
    assert main([*command, "--set", "train_model.seed=5"]) == 2
    assert "train_model.seed = 0, not 5" in told(capsys)


def test_a_damaged_shard_is_named_and_left_out(
    trained: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    manifest = json.loads((trained / "latents" / "manifest.json").read_text())
    (shard,) = manifest["shards"]
    shutil.copytree(trained / "latents", tmp_path / "run" / "latents")
    with (tmp_path / "run" / "latents" / shard).open("r+b") as file:
        file.seek(2000)
        file.write(b"spoilt")
    command = ["train", "model", "--codec", str(codec), "--out", str(tmp_path / "run"), *SET]
    assert main(command) == 2  # it was the only one
    assert "every shard" in told(capsys)
    assert f"{shard} is missing or damaged: its 56 clips are left out" in caplog.text


def test_a_full_disk_is_told_before_the_work(
    tmp_path: Path, codec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    assert main(["train", "model", "--codec", str(codec), "--out", str(tmp_path / "run"), *SET]) == 2
    assert "1e-06 GB free and this run needs about" in told(capsys)
    assert not (tmp_path / "run").exists()


def test_latents_may_be_made_by_a_command_of_their_own(
    trained: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "latents", "--codec", str(codec), "--out", str(tmp_path / "run"), *SET]
    assert main([*command, "--workers", "1"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'run' / 'latents'}\n"
    for name in ("worlds-000000.tar", "manifest.json"):
        assert (tmp_path / "run" / "latents" / name).read_bytes() == (trained / "latents" / name).read_bytes()
    assert not (tmp_path / "run" / "run.json").exists()  # the folder is still free for the model
    assert main(command) == 0  # there is nothing left to do


def test_a_model_may_be_trained_on_latents_that_another_command_makes(
    codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kinema.train import growing

    monkeypatch.setattr(growing, "PATIENCE_S", 0.01)
    grow = ["train_model.first_clips=6", "train_model.grow_steps=2"]
    options = ["--codec", str(codec), "--out", str(tmp_path / "run"), *SET]
    options += [word for setting in grow for word in ("--set", setting)]
    assert main(["train", "model", *options]) == 2
    assert "start `kinema train latents` again" in told(capsys)
    assert main(["train", "latents", *options]) == 0
    assert main(["train", "model", *options]) == 0
    assert WeightsFolder(tmp_path / "run" / "weights").card().training["model_steps"] == 4


CODEC = ("--codec", "CODEC")


@pytest.mark.parametrize(
    ("what", "options", "complaint"),
    [
        ("latents", (), "kinema train latents needs --codec DIR"),
        ("model", (), "kinema train model needs --codec DIR"),
        ("latents", ("--codec", "CODEC", "--workers", "0"), "give 1 or more processes"),
        ("model", ("--codec", "CODEC", "--workers", "2"), "--workers is for `kinema train latents`"),
        ("codec", ("--workers", "2"), "--workers is for `kinema train latents`"),
        ("latents", ("--codec", "CODEC", "--init", "nano"), "--init is for the codec and the model"),
        ("planner", ("--init", "nano"), "--init is for the codec and the model"),
        ("planner", ("--codec", "CODEC"), "--codec is for `kinema train latents` and `kinema train model`"),
        ("planner", ("--set", "planner.width=0"), "set planner.width to its channels"),
        ("planner", ("--set", "planner.width=18"), "give a multiple of 4"),
        ("planner", ("--set", "planner.recolored_share=2"), "planner.recolored_share 2 is not possible"),
        ("planner", ("--set", "planner.width=32"), "no latents in"),
        ("model", (*CODEC, "--set", "train_model.tracks_share=1.5"), "is not possible: give 0 to 1"),
        ("model", (*CODEC, "--set", "model.tracks=false"), "set model.tracks=true"),
        ("latents", ("--codec", "CODEC", "--data", "."), "--data is for `kinema train codec`"),
        ("latents", ("--codec", "STARTED", "--data", "."), "--data is for `kinema train codec`"),
        ("latents", ("--codec", "STARTED", "--stop-after", "0"), "--stop-after 0 is not possible"),
        ("latents", ("--codec", "NOWHERE"), "holds no trained codec"),
        ("model", ("--codec", "STARTED"), "holds no trained codec"),
        ("model", ("--codec", "CODEC", "--set", "train_model.skipped_share=1.0"), "less than 1"),
        ("model", ("--codec", "CODEC", "--set", "train_model.image_share=1.5"), "is not possible: give 0 to 1"),
        ("model", ("--codec", "CODEC", "--set", "model.heads=7"), "give a multiple of 14"),
        ("model", ("--codec", "CODEC", "--set", "text.heads=0"), "set text.heads to at least 1"),
        ("model", ("--codec", "CODEC", "--set", "model.detail_width=50"), "give a multiple of 32, or 0"),
        ("model", ("--codec", "CODEC", "--set", "model.detail_depth=0"), "model.detail_depth to at least 1"),
        ("model", (*CODEC, "--set", "worlds.clips=60", "--set", "train_model.first_clips=13"), "give 1 to 12"),
        ("model", (*CODEC, "--set", "worlds.clips=540", "--set", "train_model.first_clips=9"), "worlds.clips=500"),
    ],
)
def test_what_latents_cannot_be_made_from_is_told(
    what: str, options: tuple[str, ...], complaint: str, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "run.json").write_text("{}")  # a codec's run that has not ended
    folders = {"CODEC": codec, "STARTED": tmp_path / "started", "NOWHERE": tmp_path / "nowhere"}
    words = [str(folders.get(word, word)) for word in options]
    assert main(["train", what, "--out", str(tmp_path / "run"), *SET, *words]) == 2
    assert complaint in told(capsys)
    assert not (tmp_path / "run").exists()


def test_too_many_processes_are_told(
    tmp_path: Path, codec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert main(["train", "model", "--codec", str(codec), "--out", str(tmp_path / "run"), *SET]) == 2
    assert "start with torchrun" in told(capsys)


def test_a_folder_without_videos_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    command = ["train", "codec", "--out", str(tmp_path / "run"), *SET, "--data", str(tmp_path / "data")]
    assert main(command) == 2
    assert "holds no files" in told(capsys)
    (tmp_path / "data" / "notes.txt").write_text("no video")
    assert main(command) == 2
    assert "none of 1 files is a video of use" in told(capsys)
    assert not (tmp_path / "run" / "checkpoints").exists()

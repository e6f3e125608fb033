"""The recipes for one GPU, rehearsed from nothing to weights on the CPU; one in calls that are cut and repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kinema
from kinema.clips.video_io import read_video
from kinema.sample.weights import WeightsFolder
from kinema.train.metrics import read_metrics

RUNS = Path(__file__).parent.parent.parent / "runs"
EXTRA = [
    *('worlds.families=["fall"]', "worlds.height=32", "worlds.width=32", "worlds.frames=5", "worlds.clips=52"),
    *("worlds.samples_per_pixel=1", "codec.width=12", "codec.latent_width=24", "codec.depth=1"),
    *("text.vocab_size=300", "text.width=32", "text.depth=1", "text.heads=2", "text.max_tokens=48"),
    *("model.width=32", "model.depth=1", "model.heads=1", "model.detail_width=32", "model.detail_depth=1"),
    *("planner.width=16", "planner.depth=1", "planner.text_depth=1", "planner.heads=2"),
    *("planner.steps=2", "planner.batch=4"),
    *("train_codec.steps=2", "train_codec.batch=1", "train_codec.warmup_steps=1"),
    *("train_model.steps=4", "train_model.batch=4", "train_model.image_steps=1", "train_model.short_steps=1"),
]


def call(script: str, *words: str, extra: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """One call of a script, with this interpreter and this checkout."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = str(Path(kinema.__file__).parent.parent)
    environment = os.environ | {"PATH": path, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    environment |= {"EXTRA": " ".join(extra), "WORKERS": "1"} | variables
    return subprocess.run(
        ["bash", str(RUNS / script), *words], env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe for 128×128 leaves, after a call that had no time and one that had enough."""
    out = tmp_path_factory.mktemp("small")
    extra = [*EXTRA, "train_model.first_clips=4", "train_model.grow_steps=2"]
    assert call("small_1gpu.sh", str(out), extra=extra, STAGE_S="1").returncode == 75  # time to begin
    assert (out / "codec" / "run.json").exists() and not (out / "model" / "run.json").exists()
    done = call("small_1gpu.sh", str(out), extra=extra, STAGE_S="600")
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.mark.skipif(not RUNS.exists(), reason="the scripts are not part of an installation")
def test_the_recipe_for_one_gpu_from_nothing_to_a_video(small: Path) -> None:
    assert [line["step"] for line in read_metrics(small / "model") if "loss" in line] == [1, 2, 3, 4]
    assert read_video(small / "ball.mp4").pixels_THW3.shape == (5, 32, 32, 3)
    assert WeightsFolder(small / "model" / "weights").planner() is not None


@pytest.mark.skipif(not RUNS.exists(), reason="the scripts are not part of an installation")
def test_the_built_in_models_recipe_takes_the_steps_that_fit(small: Path, tmp_path: Path) -> None:
    options = {"CODEC": str(small / "codec"), "TRIAL_STEPS": "2", "TRIAL_CLIPS": "52", "FIRST_CLIPS": "4"}
    measured = ("train_codec.steps", "train_model.steps", "planner.steps")
    extra = [setting for setting in EXTRA if not setting.startswith(measured)]
    done = call("nano_1gpu.sh", str(tmp_path), "0", extra=extra, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "20 steps of the codec, 20 of the model, 20 of the planner" in done.stdout  # the fewest: no time is left
    for network in ("codec", "model", "model/planner"):
        steps = [line["step"] for line in read_metrics(tmp_path / network) if "loss" in line]
        assert steps == list(range(1, 21))
    weights = WeightsFolder(tmp_path / "model" / "weights")
    assert weights.planner() is not None
    card = weights.card()
    assert (card.training["codec_steps"], card.training["model_steps"]) == (20, 20)

"""The recipe for one GPU, rehearsed from nothing to a video on the CPU, in calls that are cut and repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kinema
from kinema.clips.video_io import read_video
from kinema.train.metrics import read_metrics

SCRIPT = Path(__file__).parent.parent.parent / "runs" / "small_1gpu.sh"
EXTRA = [
    *('worlds.families=["fall"]', "worlds.height=32", "worlds.width=32", "worlds.frames=5", "worlds.clips=52"),
    *("worlds.samples_per_pixel=1", "codec.width=12", "codec.latent_width=24", "codec.depth=1"),
    *("text.vocab_size=300", "text.width=32", "text.depth=1", "text.heads=2", "text.max_tokens=48"),
    *("model.width=32", "model.depth=1", "model.heads=1"),
    *("train_codec.steps=2", "train_codec.batch=1", "train_codec.warmup_steps=1"),
    *("train_model.steps=4", "train_model.batch=4", "train_model.image_steps=1", "train_model.short_steps=1"),
    *("train_model.first_clips=4", "train_model.grow_steps=2"),
]


def call(out: Path, stage_s: int) -> subprocess.CompletedProcess[str]:
    """One call of the script, with this interpreter and this checkout."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = str(Path(kinema.__file__).parent.parent)
    environment = os.environ | {"PATH": path, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    environment |= {"EXTRA": " ".join(EXTRA), "STAGE_S": str(stage_s)}
    return subprocess.run(
        ["bash", str(SCRIPT), str(out)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.skipif(not SCRIPT.exists(), reason="the scripts are not part of an installation")
def test_the_recipe_for_one_gpu_from_nothing_to_a_video(tmp_path: Path) -> None:
    assert call(tmp_path, 1).returncode == 75  # time to begin
    assert (tmp_path / "codec" / "run.json").exists() and not (tmp_path / "model").exists()
    done = call(tmp_path, 600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line["step"] for line in read_metrics(tmp_path / "model") if "loss" in line] == [1, 2, 3, 4]
    assert read_video(tmp_path / "ball.mp4").pixels_THW3.shape == (5, 32, 32, 3)

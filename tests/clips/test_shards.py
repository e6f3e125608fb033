"""Shards come out the same whatever kills, damages or spreads their making."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import webdataset

from kinema.clips.shards import make_shards, plan_shards, state_arrays
from kinema.config import WorldsConfig
from kinema.errors import InputError, KinemaError
from kinema.worlds.make import make_clip

TINY = WorldsConfig(families=("fall", "throw"), height=32, width=32, frames=5, samples_per_pixel=1, clips=7)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    assert make_shards(TINY, folder, shard_clips=3, workers=2) == []
    return folder


def test_the_plan_holds_every_seed_once() -> None:
    plans = plan_shards(replace(TINY, first_seed=40), 3)
    assert [seed for plan in plans for seed in plan.seeds] == list(range(40, 47))
    assert [len(plan.seeds) for plan in plans] == [3, 3, 1]


def test_webdataset_reads_what_the_simulator_made(whole: Path) -> None:
    urls = [str(path) for path in sorted(whole.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [
        f"{family}-{seed:020d}" for seed, family in enumerate(("fall", "throw") * 4) if seed < 7
    ]
    clip = make_clip("throw", 3, TINY)
    assert clip.state is not None
    facts, state = json.loads(samples[3]["json"]), np.load(io.BytesIO(samples[3]["state.npz"]))
    assert facts["caption"]["summary"] == clip.caption.summary
    assert len(facts["state"]["events"]) == len(clip.state.events)
    for name, array in state_arrays(clip.state).items():
        assert np.array_equal(state[name], array), name
    with av.open(io.BytesIO(samples[3]["mp4"])) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.shape == clip.pixels_THW3.shape
    assert np.abs(frames.astype(int) - clip.pixels_THW3).mean() < 8


def test_a_finished_folder_is_left_alone_and_a_damaged_shard_is_rebuilt(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, data in content(whole).items():
        (folder / name).write_bytes(data)
    untouched, torn = sorted(folder.glob("*.tar"))[:2]
    before = untouched.stat().st_mtime_ns
    data = bytearray(torn.read_bytes())
    data[len(data) // 2] ^= 1
    torn.write_bytes(data)
    seen: list[tuple[int, int]] = []
    assert make_shards(TINY, folder, shard_clips=3, workers=1, on_progress=lambda *at: seen.append(at)) == [torn.name]
    assert content(folder) == content(whole)
    assert untouched.stat().st_mtime_ns == before
    assert seen == [(4, 7), (5, 7), (6, 7), (7, 7)]


def test_a_killed_run_resumes_without_torn_shards_or_duplicates(whole: Path, tmp_path: Path) -> None:
    script = (
        "from kinema.clips.shards import make_shards\n"
        "from tests_config import TINY\n"
        "import sys, pathlib\n"
        "if __name__ == '__main__':\n"
        "    make_shards(TINY, pathlib.Path(sys.argv[1]), shard_clips=3, workers=1,\n"
        "                on_progress=lambda done, total: print(done, flush=True))\n"
    )
    (tmp_path / "tests_config.py").write_text(f"from kinema.config import WorldsConfig\nTINY = {TINY!r}\n")
    (tmp_path / "run.py").write_text(script)
    out = tmp_path / "out"
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{source}:{tmp_path}"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 4:  # the first shard is complete, the second has begun
                os.killpg(process.pid, signal.SIGKILL)
                break
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    complete = json.loads((out / "manifest.json").read_text())["shards"]
    assert "worlds-000000.tar" in complete and len(complete) < 3
    make_shards(TINY, out, shard_clips=3, workers=1)
    assert content(out) == content(whole)


def test_other_settings_and_a_damaged_manifest_are_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"made from other settings \(fps\)"):
        make_shards(replace(TINY, fps=24.0), whole, shard_clips=3)
    (tmp_path / "manifest.json").write_text('{"made_from": 3')
    with pytest.raises(InputError, match=r"manifest\.json is damaged: delete it"):
        make_shards(TINY, tmp_path, shard_clips=3)


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KinemaError, match="no space left on device"):
        make_shards(replace(TINY, clips=1), tmp_path, workers=1)
    assert content(tmp_path) == {}


def test_ray_makes_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    before = signal.getsignal(signal.SIGTERM)  # Ray puts its own handler in its place
    try:
        make_shards(TINY, tmp_path, shard_clips=3, workers=2, ray=True)
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)
    assert content(tmp_path) == content(whole)

"""Latents that are read while they are made: what comes later, what is damaged, what never comes, and a whole run."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.clips.shards import MANIFEST
from kinema.codec.autoencoder import VideoAutoencoder
from kinema.config import CodecConfig, Config, ModelConfig, TextConfig, TrainConfig, WorldsConfig
from kinema.errors import InputError
from kinema.files import whole_text
from kinema.train import feed, latents
from kinema.train import growing as growing_latents
from kinema.train import model as training
from kinema.train.growing import GrowingLatents
from kinema.train.latents import LatentDataset, cache_latents, load_latents
from kinema.train.metrics import read_metrics
from kinema.train.model import gather, split, train_model
from kinema.train.packs import grids_of
from train.noise import noise_clips

WORLDS = WorldsConfig(families=("fall", "ramp"), height=32, width=32, frames=9, clips=16, shapes=((32, 32, 1, 0.4),))
SHARD = 4  # clips of a shard; there are four
CONFIG = Config(
    worlds=WORLDS,
    text=TextConfig(vocab_size=300, width=32, depth=1, heads=2),
    model=ModelConfig(width=32, depth=1, heads=1, mlp_ratio=2.0),
    train_model=TrainConfig(
        steps=10, batch=3, warmup_steps=2, image_steps=2, first_clips=4, grow_steps=8, checkpoint_every=5
    ),
)


def make_cache(folder: Path) -> None:
    """Noise through an untrained codec."""
    torch.manual_seed(0)
    codec = VideoAutoencoder(CodecConfig(width=12, latent_width=24, depth=1)).eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "render_clips", noise_clips)
        cache_latents(codec, WORLDS, folder, shard_clips=SHARD)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four shards."""
    folder = tmp_path_factory.mktemp("latents")
    make_cache(folder)
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_latents, "POLL_S", 0.01)
    monkeypatch.setattr(growing_latents, "PATIENCE_S", 60.0)
    monkeypatch.setattr(training, "HELD_OUT_CLIPS", 3)


def add(cache: Path, to: Path, *shards: int) -> None:
    """Puts shards into a cache that is in the making."""
    whole: dict[str, Any] = json.loads((cache / MANIFEST).read_text())
    to.mkdir(exist_ok=True)
    path = to / MANIFEST
    there = json.loads(path.read_text()) if path.exists() else {**whole, "shards": {}}
    for index in shards:
        name = f"worlds-{index:06d}.tar"
        shutil.copy(cache / name, to / name)
        there["shards"][name] = whole["shards"][name]
    whole_text(path, json.dumps(there))


def assert_equal(found: LatentDataset, whole: LatentDataset, clips: range) -> None:
    assert (found.places, found.total) == ([whole.places[clip] for clip in clips], whole.total)
    assert found.sources == [whole.sources[clip] for clip in clips]
    assert found.captions == [whole.captions[clip] for clip in clips]
    assert found.fps == [whole.fps[clip] for clip in clips]
    for ours, clip in zip(found.latents_CTHW, clips, strict=True):
        assert torch.equal(ours, whole.latents_CTHW[clip])


def test_it_waits_for_shards_that_are_made_meanwhile(cache: Path, tmp_path: Path) -> None:
    maker = threading.Thread(target=make_cache, args=(tmp_path / "made",))
    maker.start()
    growing = GrowingLatents(tmp_path / "made", 13)
    maker.join()
    assert_equal(growing.data, load_latents(cache), range(16))
    assert_equal(growing.last, load_latents(cache), range(12, 16))


def test_it_reads_no_more_than_is_asked_for(cache: Path, tmp_path: Path) -> None:
    folder, late = tmp_path / "half", threading.Event()
    add(cache, folder, 3, 0)
    growing = GrowingLatents(folder, 4)  # the first shard has them
    growing.wait_for(3)
    assert_equal(growing.data, load_latents(cache), range(4))

    def make_more() -> None:
        late.set()
        add(cache, folder, 2)  # not the next one
        time.sleep(0.05)
        add(cache, folder, 1)

    timer = threading.Timer(0.1, make_more)
    timer.start()
    growing.wait_for(5)
    assert late.is_set()
    assert_equal(growing.data, load_latents(cache), range(8))
    growing.wait_for(5)
    assert len(growing.data) == 8
    timer.join()


def test_held_out_clips_come_from_the_last_shard(cache: Path, tmp_path: Path) -> None:
    add(cache, tmp_path / "half", 3, 0)
    growing = GrowingLatents(tmp_path / "half", 4)
    _, held_out = split(growing.last, 0, tmp_path)
    assert [growing.last.places[clip] for clip in held_out] == [13, 14, 15]
    assert [growing.last.sources[clip].seed for clip in held_out] == [13, 14, 15]


def test_what_clips_will_be_is_known_before_they_come(cache: Path, tmp_path: Path) -> None:
    add(cache, tmp_path / "half", 3, 0)
    grids = gather(CONFIG, tmp_path / "half").grids
    assert grids == grids_of(load_latents(cache), range(13))
    assert {grid.frames for grid in grids} == {1, 3}


def spoil(shard: Path) -> None:
    with shard.open("r+b") as file:
        file.seek(2000)
        file.write(b"spoilt")


def test_a_damaged_shard_is_named(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    add(cache, folder, 3, 0, 1)
    growing = GrowingLatents(folder, 4)
    spoil(folder / "worlds-000001.tar")
    with pytest.raises(InputError, match=r"worlds-000001\.tar is damaged: delete it") as caught:
        growing.wait_for(5)
    assert "\n" not in str(caught.value)
    spoil(folder / "worlds-000003.tar")
    with pytest.raises(InputError, match=r"worlds-000003\.tar is damaged"):
        GrowingLatents(folder, 4)


@pytest.mark.parametrize("shards", [(), (0, 1), (3,)])
def test_it_gives_up_in_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: Sequence[int]
) -> None:
    """Nothing at all, no last shard, no first one."""
    monkeypatch.setattr(growing_latents, "PATIENCE_S", 0.05)
    if shards:
        add(cache, tmp_path / "half", *shards)
    with pytest.raises(InputError, match="start `kinema train latents` again") as caught:
        GrowingLatents(tmp_path / "half", 4)
    assert "\n" not in str(caught.value) and str(tmp_path / "half") in str(caught.value)


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out) if "loss" in line]


def test_a_growing_run_is_the_same_when_resumed_fed_and_late(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[int]] = []
    score = training.held_out_loss

    def held_out_loss(model: Any, data: LatentDataset, clips: Sequence[int], *others: Any) -> dict[str, float]:
        seen.append([data.places[clip] for clip in clips])
        return score(model, data, clips, *others)

    monkeypatch.setattr(training, "held_out_loss", held_out_loss)
    whole = train_model(CONFIG, cache, tmp_path / "whole")
    assert seen == [[13, 14, 15]] * 2

    folder = tmp_path / "half"
    add(cache, folder, 3, 0)
    train_model(CONFIG, folder, tmp_path / "parts", stop_after=0.0)  # with one of four shards
    monkeypatch.setattr(feed, "workers_for", lambda device, processes: 2)
    rest = [threading.Timer(0.3 * index, add, (cache, folder, index)) for index in (1, 2)]
    for timer in rest:
        timer.start()
    train_model(CONFIG, folder, tmp_path / "parts", stop_after=0.0)
    parts = train_model(CONFIG, folder, tmp_path / "parts")
    for timer in rest:
        timer.join()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 10
    for (name, a), (_, b) in zip(whole.module.state_dict().items(), parts.module.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert "forked" not in capfd.readouterr().err  # of the tokenizer's threads


def test_latents_that_never_come_end_a_fed_run_in_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_latents, "PATIENCE_S", 0.5)
    monkeypatch.setattr(feed, "workers_for", lambda device, processes: 2)
    add(cache, tmp_path / "half", 3, 0)
    with pytest.raises(InputError, match="no more latents come") as caught:
        train_model(CONFIG, tmp_path / "half", tmp_path / "run")
    assert "\n" not in str(caught.value)

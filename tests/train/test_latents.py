"""The cache of latents: the order in which its shards are made, and clips that wait for their codec."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kinema.clips import pool
from kinema.codec.autoencoder import VideoAutoencoder, load_codec, save_codec
from kinema.config import CodecConfig, Config, WorldsConfig
from kinema.data import Clip
from kinema.train import latents
from kinema.train.latents import cache_latents, load_latents, make_latents
from train.noise import noise_clips

WORLDS = WorldsConfig(families=("fall", "ramp"), height=32, width=32, frames=5, clips=10)
CONFIG = Config(worlds=WORLDS, codec=CodecConfig(width=12, latent_width=24, depth=1))


@pytest.fixture(autouse=True)
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shards of four clips, and the seeds that were rendered, in order."""
    seeds_so_far: list[int] = []

    def render(worlds: WorldsConfig, seeds: Sequence[int], *options: int | None) -> Iterator[Clip]:
        for clip in noise_clips(worlds, seeds):
            seeds_so_far.append(clip.source.seed)
            yield clip

    monkeypatch.setattr(latents, "render_clips", render)
    monkeypatch.setattr(latents, "SHARD_CLIPS", 4)
    assert cache_latents.__kwdefaults__ is not None
    monkeypatch.setitem(cache_latents.__kwdefaults__, "shard_clips", 4)
    return seeds_so_far


def save_random_codec(folder: Path) -> None:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    save_codec(VideoAutoencoder(CONFIG.codec), folder)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def no_sleep(monkeypatch: pytest.MonkeyPatch, instead: Callable[[float], None]) -> None:
    monkeypatch.setattr(latents, "time", SimpleNamespace(monotonic=time.monotonic, sleep=instead))


def test_the_last_shard_is_made_first_and_read_last(tmp_path: Path, rendered: list[int]) -> None:
    save_random_codec(tmp_path / "codec")
    assert make_latents(CONFIG, tmp_path / "codec", tmp_path / "cache")
    made = list(json.loads((tmp_path / "cache" / "manifest.json").read_text())["shards"])
    assert made == [f"worlds-{index:06d}.tar" for index in (2, 0, 1)]
    assert rendered == [8, 9, *range(8)]
    data = load_latents(tmp_path / "cache")
    assert [source.seed for source in data.sources] == data.places == list(range(10))


def test_clips_are_rendered_while_the_codec_is_in_training(
    tmp_path: Path, rendered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = tmp_path / "codec"
    codec.mkdir()
    (codec / "run.json").write_text("{}")
    waited: list[int] = []

    def train_meanwhile(seconds: float) -> None:
        waited.append(len(rendered))
        if len(waited) == 3:
            save_random_codec(codec)

    no_sleep(monkeypatch, train_meanwhile)
    assert make_latents(CONFIG, codec, tmp_path / "cache", workers=1)
    assert len(waited) == 3 and waited[0] > 0  # it rendered before it waited
    assert sorted(rendered) == list(range(10))  # each once: what came early was used
    assert make_latents(CONFIG, codec, tmp_path / "plain")
    assert shards(tmp_path / "cache") == shards(tmp_path / "plain") and len(shards(tmp_path / "plain")) == 3


def test_a_codec_that_never_comes_is_not_waited_for_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_sleep(monkeypatch, lambda seconds: time.sleep(0.01))
    assert not make_latents(CONFIG, tmp_path / "codec", tmp_path / "cache", stop_after=0.05)
    assert not (tmp_path / "cache").exists()


def test_shards_that_are_there_are_not_made_of_clips_that_were_rendered_for_all(
    tmp_path: Path, rendered: list[int]
) -> None:
    save_random_codec(tmp_path / "codec")
    make_latents(CONFIG, tmp_path / "codec", tmp_path / "cache")
    whole = shards(tmp_path / "cache")
    (tmp_path / "cache" / "worlds-000001.tar").unlink()
    codec = load_codec(CONFIG.codec, tmp_path / "codec")
    bf16 = CONFIG.train_codec.bf16
    cache_latents(codec, WORLDS, tmp_path / "cache", bf16=bf16, rendered=noise_clips(WORLDS, [8, 9, *range(8)]))
    assert shards(tmp_path / "cache") == whole


def test_tracks_come_back_as_they_were_made(tmp_path: Path) -> None:
    save_random_codec(tmp_path / "codec")
    make_latents(CONFIG, tmp_path / "codec", tmp_path / "cache")
    data = load_latents(tmp_path / "cache")
    clips = {clip.source.seed: clip for clip in noise_clips(WORLDS, range(WORLDS.clips))}
    assert len(data.tracks) == WORLDS.clips
    for source, tracks in zip(data.sources, data.tracks, strict=True):
        made = clips[source.seed].tracks
        assert tracks is not None and made is not None
        assert (tracks.colors, tracks.shapes) == (made.colors, made.shapes)
        assert (tracks.box_SB4 == made.box_SB4).all() and tracks.box_SB4.dtype == made.box_SB4.dtype


def test_clips_without_tracks_have_none_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(worlds: WorldsConfig, seeds: Sequence[int], *options: int | None) -> Iterator[Clip]:
        return (replace(clip, tracks=None) for clip in noise_clips(worlds, seeds))

    monkeypatch.setattr(latents, "render_clips", render)
    save_random_codec(tmp_path / "codec")
    make_latents(CONFIG, tmp_path / "codec", tmp_path / "cache")
    assert load_latents(tmp_path / "cache").tracks == [None] * WORLDS.clips


def thread_counts(worlds: WorldsConfig, seeds: Sequence[int]) -> list[tuple[str, str, int]]:
    """What a worker's libraries were told, and what numba made of it."""
    import numba

    told = os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]
    return [(*told, numba.get_num_threads()) for _ in seeds]


def test_results_wait_for_the_consumer_as_far_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Sequence[int]] = []

    class Threads(ThreadPoolExecutor):
        """In place of processes."""

        def __init__(self, workers: int, context: object, begin: object) -> None:
            super().__init__(workers)

        def submit(self, function: Any, *arguments: Any) -> Any:  # type: ignore[override]
            submitted.append(arguments[1])
            return super().submit(function, *arguments)

    monkeypatch.setattr(pool, "ProcessPoolExecutor", Threads)
    found = {}
    for ahead in (0, 64, 10_000):
        submitted.clear()
        results = pool.ordered_map(lambda worlds, seeds: list(seeds), WORLDS, range(400), 1, ahead)
        assert next(results) == 0
        found[ahead] = len(submitted)
        assert list(results) == list(range(1, 400))
    assert found == {0: pool.TASKS_AHEAD, 64: 16, 10_000: 100}


def test_workers_compute_with_one_thread_and_this_process_with_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = list(pool.ordered_map(thread_counts, WORLDS, [0], 1))
    assert found == [("1", "1", 1)]
    assert os.environ["OMP_NUM_THREADS"] == "7" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_memory_bounds_the_clips_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    assert latents._clips_in_memory(replace(WORLDS, frames=1, height=16, width=16)) == 4096 * 1000 // 4 // (16 * 16 * 3)

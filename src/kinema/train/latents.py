"""Clips → latents, once: WebDataset shards that the model's training reads, and the loader that reads them.

A shard is a tar of ``KEY.latent.safetensors`` (bfloat16, C T h w, and the boxes of the clip's tracks) and ``KEY.json``
(caption, frame rate, source, colours and shapes of the tracks).
``manifest.json`` names the complete shards with their checksums, and what they were made from. No pixels are stored:
a clip comes back from its family, seed and version.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from kinema.clips.shards import (
    MANIFEST,
    Sample,
    ShardPlan,
    is_whole,
    open_manifest,
    plan_shards,
    sample_key,
    worlds_facts,
    write_tar,
)
from kinema.codec.autoencoder import VideoAutoencoder, load_codec
from kinema.codec.pixels import from_uint8, half_precision
from kinema.config import Config, WorldsConfig, save
from kinema.data import Beat, Caption, Clip, Source, Tracks
from kinema.errors import InputError
from kinema.files import whole_text
from kinema.train.clips import render_clips
from kinema.worlds.make import VERSION

logger = logging.getLogger(__name__)

SHARD_CLIPS = 500
HELD_OUT_CLIPS = 48  # the last clips of a cache, never trained on
ENCODE_BATCH = 8


@dataclass(frozen=True)
class LatentDataset:
    """Every clip of a cache, in memory: item i of each list belongs to the same clip."""

    latents_CTHW: list[Tensor]  # bfloat16, unit statistics
    captions: list[Caption]
    fps: list[float]
    sources: list[Source]
    tracks: list[Tracks | None]  # where bodies are seen; None where that is not known
    places: list[int]  # of each clip among all that the cache should hold; clips of damaged shards are missing
    total: int  # clips that the cache should hold
    damaged: tuple[str, ...] = ()  # shards that were left out

    def __len__(self) -> int:
        return len(self.latents_CTHW)


def make_latents(
    config: Config,
    codec_dir: Path,
    out: Path,
    device: torch.device | str = "cpu",
    stop_after: float | None = None,
    workers: int | None = None,
) -> bool:
    """Renders the training clips of a recipe and caches their latents in ``out``; repeating the call resumes it.

    If the codec is still in training, clips are rendered ahead until it is done.

    Args:
        config: the recipe.
        codec_dir: where the codec's weights are, or will be.
        out: the cache.
        device: of the codec.
        stop_after: seconds after which no further shard is begun.
        workers: processes that render; all cores if None.

    Returns:
        Whether the cache is complete.

    Raises:
        InputError: ``codec_dir`` holds no codec of this configuration, or ``out`` holds other latents.
    """
    start_s = time.monotonic()
    rendered: Iterator[Clip] | None = None
    if not is_trained(codec_dir):
        seeds = [seed for plan in _plans(config.worlds, SHARD_CLIPS) for seed in plan.seeds]
        clips = render_clips(config.worlds, seeds, workers, _clips_in_memory(config.worlds))
        rendered = itertools.chain([next(clips)], clips)  # now the workers render, whoever waits
        logger.info("rendering ahead until %s holds a trained codec", codec_dir)
        while not is_trained(codec_dir):
            if stop_after is not None and time.monotonic() - start_s >= stop_after:
                return False
            time.sleep(1)
    codec = load_codec(config.codec, codec_dir).to(device)
    out.mkdir(parents=True, exist_ok=True)
    save(config, out / "config.json")
    left_s = None if stop_after is None else stop_after - (time.monotonic() - start_s)
    return cache_latents(
        codec,
        config.worlds,
        out,
        shard_clips=SHARD_CLIPS,
        bf16=config.train_codec.bf16,
        workers=workers,
        stop_after=left_s,
        rendered=rendered,
    )


def is_trained(codec_dir: Path) -> bool:
    """Whether a run of the codec has ended: its weights are written last."""
    return (codec_dir / "codec.safetensors").is_file()


def cache_latents(
    codec: VideoAutoencoder,
    worlds: WorldsConfig,
    out: Path,
    *,
    shard_clips: int = SHARD_CLIPS,
    bf16: bool = True,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    stop_after: float | None = None,
    rendered: Iterator[Clip] | None = None,
) -> bool:
    """Encodes the clips of ``worlds`` into shards; complete shards are kept, the others are made.

    Workers render ahead while this process encodes whole clips in batches. The last shard is made first: whoever
    trains while the others are made needs its held-out clips.

    Args:
        on_progress: receives the number of clips that are done and of all.
        stop_after: seconds after which no further shard is begun.
        rendered: the clips of all shards, in the order in which they are made, if someone renders them already.

    Returns:
        Whether all shards are there.

    Raises:
        InputError: ``out`` holds latents of other worlds or of another codec.
    """
    made_from = {
        "worlds": worlds_facts(worlds),
        "codec": _fingerprint(codec),
        "version": VERSION,
        "shard_clips": shard_clips,
    }
    manifest = open_manifest(out, made_from)
    plans = _plans(worlds, shard_clips)
    missing = [plan for plan in plans if plan.name not in manifest["shards"] or not (out / plan.name).exists()]
    if rendered is None or len(missing) < len(plans):
        rendered = render_clips(worlds, [seed for plan in missing for seed in plan.seeds], workers)
    done = worlds.clips - sum(len(plan.seeds) for plan in missing)
    start_s = time.monotonic()
    for plan in missing:
        if stop_after is not None and time.monotonic() - start_s >= stop_after:
            return False
        encoded = _encoded(codec, itertools.islice(rendered, len(plan.seeds)), bf16)
        manifest["shards"][plan.name] = write_tar(out / plan.name, (_sample(*pair) for pair in encoded))
        whole_text(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        done += len(plan.seeds)
        logger.info("latents of %d of %d clips are cached", done, worlds.clips)
        if on_progress is not None:
            on_progress(done, worlds.clips)
    return True


def _plans(worlds: WorldsConfig, shard_clips: int) -> list[ShardPlan]:
    """The shards in the order in which they are made."""
    plans = plan_shards(worlds, shard_clips)
    return plans[-1:] + plans[:-1]


def _clips_in_memory(worlds: WorldsConfig) -> int:
    """How many clips fit in a quarter of this machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory // 4 // (worlds.frames * worlds.height * worlds.width * 3)


def load_latents(folder: Path) -> LatentDataset:
    """Reads every shard of a complete cache into memory; damaged ones are named, left out and counted.

    Raises:
        InputError: no cache here, an incomplete one, or no shard that is whole.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(f"no latents in {folder}: the {MANIFEST} of a latent cache is missing")
    manifest = json.loads(path.read_text())
    expected, found = manifest["made_from"]["worlds"]["clips"], sum(s["clips"] for s in manifest["shards"].values())
    if found != expected:
        raise InputError(f"{folder} holds {found} of {expected} clips: repeat the command that makes the latents")
    dataset, damaged, first = LatentDataset([], [], [], [], [], [], expected), [], 0
    for name, shard in sorted(manifest["shards"].items()):
        if is_whole(folder / name, shard["sha256"]):
            read_shard(folder / name, dataset, first)
        else:
            damaged.append(name)
            logger.warning("%s is missing or damaged: its %d clips are left out", folder / name, shard["clips"])
        first += shard["clips"]
    if not dataset.places:
        raise InputError(f"every shard in {folder} is missing or damaged: delete the folder and make the latents again")
    if damaged:
        told = "%d of %d shards in %s are left out; delete them and repeat the command to make them again"
        logger.warning(told, len(damaged), len(manifest["shards"]), folder)
    return replace(dataset, damaged=tuple(damaged))


def caption_from(tree: dict[str, Any]) -> Caption:
    """A caption from the JSON types that ``dataclasses.asdict`` gives."""
    return Caption(tree["summary"], tree["short"], tuple(Beat(**beat) for beat in tree["beats"]))


@torch.no_grad()
def _encoded(codec: VideoAutoencoder, clips: Iterator[Clip], bf16: bool) -> Iterator[tuple[Clip, Tensor]]:
    """Clips with their latents, in order; neighbours of one shape are encoded together."""
    device = next(codec.parameters()).device
    while batch := list(itertools.islice(clips, ENCODE_BATCH)):
        for _, alike in itertools.groupby(batch, key=lambda clip: clip.pixels_THW3.shape):
            run = list(alike)
            video_BCTHW = from_uint8(torch.from_numpy(np.stack([clip.pixels_THW3 for clip in run])).to(device))
            with half_precision(device, bf16):
                latents_BCTHW = codec.encode(video_BCTHW).to("cpu", torch.bfloat16)
            yield from zip(run, latents_BCTHW, strict=True)


def _sample(clip: Clip, latents_CTHW: Tensor) -> Sample:
    facts = {"caption": asdict(clip.caption), "fps": clip.fps, "source": asdict(clip.source)}
    tensors = {"latents": latents_CTHW.contiguous()}
    if clip.tracks is not None:
        facts["tracks"] = {"colors": clip.tracks.colors, "shapes": clip.tracks.shapes}
        tensors["boxes"] = torch.from_numpy(np.ascontiguousarray(clip.tracks.box_SB4))
    return {
        "__key__": sample_key(clip),
        "json": json.dumps(facts).encode(),
        "latent.safetensors": save_tensors(tensors),
    }


def read_shard(path: Path, into: LatentDataset, first: int) -> None:
    """Adds the clips of a shard, the first of which has the place ``first`` in the cache."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for place, name in enumerate((name for name in files if name.endswith(".json")), first):
        facts = json.loads(files[name])
        tensors = load_tensors(files[name.removesuffix(".json") + ".latent.safetensors"])
        into.latents_CTHW.append(tensors["latents"])
        into.captions.append(caption_from(facts["caption"]))
        into.fps.append(facts["fps"])
        into.sources.append(Source(**facts["source"]))
        told = facts.get("tracks")  # caches from before there were any have none
        into.tracks.append(told and Tracks(tuple(told["colors"]), tuple(told["shapes"]), tensors["boxes"].numpy()))
        into.places.append(place)


def _fingerprint(codec: VideoAutoencoder) -> str:
    """A checksum of what makes latents: the encoder's weights and the statistics."""
    digest = hashlib.sha256()
    for name, tensor in sorted(codec.state_dict().items()):
        if not name.startswith("decoder."):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

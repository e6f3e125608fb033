"""Clips → latents, once: WebDataset shards that the model's training reads, and the loader that reads them.

A shard is a tar of ``KEY.latent.safetensors`` (bfloat16, C T h w) and ``KEY.json`` (caption, frame rate, source).
``manifest.json`` names the complete shards with their checksums, and what they were made from. No pixels are stored:
a clip comes back from its family, seed and version.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import math
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from kinema.codec.autoencoder import VideoAutoencoder, load_codec
from kinema.config import Config, WorldsConfig, save
from kinema.data import Beat, Caption, Clip, Source
from kinema.errors import InputError
from kinema.files import whole_file
from kinema.train.checkpoint import write_whole
from kinema.train.clips import render_clips
from kinema.train.codec import to_pixels

logger = logging.getLogger(__name__)

SHARD_CLIPS = 500
ENCODE_BATCH = 8


@dataclass(frozen=True)
class LatentDataset:
    """Every clip of a cache, in memory: item i of each list belongs to the same clip."""

    latents_CTHW: list[Tensor]  # bfloat16, unit statistics
    captions: list[Caption]
    fps: list[float]
    sources: list[Source]

    def __len__(self) -> int:
        return len(self.latents_CTHW)


def make_latents(config: Config, codec_dir: Path, out: Path) -> None:
    """Renders the training clips of a recipe and caches their latents in ``out``; repeating the call resumes it.

    Raises:
        InputError: ``codec_dir`` holds no codec of this configuration, or ``out`` holds other latents.
    """
    codec = load_codec(config.codec, codec_dir)
    out.mkdir(parents=True, exist_ok=True)
    save(config, out / "config.json")
    cache_latents(codec, config.worlds, out, bf16=config.train_codec.bf16)


def cache_latents(
    codec: VideoAutoencoder,
    worlds: WorldsConfig,
    out: Path,
    *,
    shard_clips: int = SHARD_CLIPS,
    bf16: bool = True,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Encodes the clips of ``worlds`` into shards; complete shards are kept, the others are made.

    Workers render ahead while this process encodes whole clips in batches.

    Args:
        on_progress: receives the number of clips that are done and of all.

    Raises:
        InputError: ``out`` holds latents of other worlds or of another codec.
    """
    made_from = {"worlds": json.loads(json.dumps(asdict(worlds))), "codec": _fingerprint(codec)}
    made_from["shard_clips"] = shard_clips
    manifest = _open_manifest(out, made_from)
    shards: dict[str, dict[str, Any]] = manifest["shards"]
    seeds = range(worlds.first_seed, worlds.first_seed + worlds.clips)
    plan = {
        f"latents-{i:05d}.tar": seeds[i * shard_clips :][:shard_clips]
        for i in range(math.ceil(worlds.clips / shard_clips))
    }
    missing = {name: part for name, part in plan.items() if name not in shards or not (out / name).exists()}
    clips = render_clips(worlds, [seed for part in missing.values() for seed in part], workers)
    done = worlds.clips - sum(map(len, missing.values()))
    for name, part in missing.items():
        with whole_file(out / name) as path:
            _write_shard(path, _encoded(codec, itertools.islice(clips, len(part)), bf16))
            checksum = _sha256(path)
        shards[name] = {"clips": len(part), "sha256": checksum}
        write_whole(out / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        done += len(part)
        logger.info("latents of %d of %d clips are cached", done, worlds.clips)
        if on_progress is not None:
            on_progress(done, worlds.clips)


def load_latents(folder: Path) -> LatentDataset:
    """Reads every shard of a complete cache into memory.

    Raises:
        InputError: no cache here, an incomplete one, or a damaged shard (named).
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise InputError(f"no latents in {folder}: the manifest.json of a latent cache is missing")
    manifest = json.loads(path.read_text())
    expected, found = manifest["made_from"]["worlds"]["clips"], sum(s["clips"] for s in manifest["shards"].values())
    if found != expected:
        raise InputError(f"{folder} holds {found} of {expected} clips: repeat the command that makes the latents")
    dataset = LatentDataset([], [], [], [])
    for name, shard in sorted(manifest["shards"].items()):
        if not (folder / name).exists() or _sha256(folder / name) != shard["sha256"]:
            raise InputError(f"{folder / name} is missing or damaged: delete it and make the latents again")
        for latents_CTHW, facts in _read_shard(folder / name):
            dataset.latents_CTHW.append(latents_CTHW)
            dataset.captions.append(caption_from(facts["caption"]))
            dataset.fps.append(facts["fps"])
            dataset.sources.append(Source(**facts["source"]))
    return dataset


def caption_from(tree: dict[str, Any]) -> Caption:
    """A caption from the JSON types that ``dataclasses.asdict`` gives."""
    return Caption(tree["summary"], tree["short"], tuple(Beat(**beat) for beat in tree["beats"]))


def _open_manifest(out: Path, made_from: dict[str, Any]) -> dict[str, Any]:
    path = out / "manifest.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        return {"made_from": made_from, "shards": {}}
    manifest: dict[str, Any] = json.loads(path.read_text())
    for key, value in made_from.items():
        if manifest["made_from"].get(key) != value:
            raise InputError(f"{out} holds latents made with another {key}: choose another folder, or delete this one")
    return manifest


@torch.no_grad()
def _encoded(codec: VideoAutoencoder, clips: Iterator[Clip], bf16: bool) -> Iterator[tuple[Clip, Tensor]]:
    device = next(codec.parameters()).device
    while batch := list(itertools.islice(clips, ENCODE_BATCH)):
        video_BCTHW = to_pixels(np.stack([clip.pixels_THW3 for clip in batch])).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            latents_BCTHW = codec.encode(video_BCTHW).to("cpu", torch.bfloat16)
        yield from zip(batch, latents_BCTHW, strict=True)


def _write_shard(path: Path, encoded: Iterator[tuple[Clip, Tensor]]) -> None:
    with tarfile.open(path, "w") as tar:
        for clip, latents_CTHW in encoded:
            key = f"{clip.source.family}-{clip.source.seed:08d}"
            facts = {"caption": asdict(clip.caption), "fps": clip.fps, "source": asdict(clip.source)}
            _add(tar, f"{key}.json", json.dumps(facts).encode())
            _add(tar, f"{key}.latent.safetensors", save_tensors({"latents": latents_CTHW.contiguous()}))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # no times and owners: the same clips give the same bytes
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _read_shard(path: Path) -> Iterator[tuple[Tensor, dict[str, Any]]]:
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for name, content in files.items():
        if name.endswith(".json"):
            latents = files[name.removesuffix(".json") + ".latent.safetensors"]
            yield load_tensors(latents)["latents"], json.loads(content)


def _fingerprint(codec: VideoAutoencoder) -> str:
    """A checksum of the codec's weights and statistics."""
    digest = hashlib.sha256()
    for name, tensor in sorted(codec.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""World clips on disk: WebDataset shards with a manifest, made from seeds on all cores or on a Ray cluster.

A shard is a tar of samples. ``KEY.mp4`` holds the pixels, ``KEY.json`` caption, source, bodies, events and facts, and
``KEY.state.npz`` the arrays of the exact state. ``manifest.json`` says what the shards were made from and names the
complete ones with their checksums. A shard follows from its seeds alone: one that is missing, torn or damaged is
simply made again, with the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import math
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.clips.pool import ordered_map
from kinema.clips.video_io import write_video
from kinema.config import WorldsConfig
from kinema.data import Clip, WorldState
from kinema.errors import InputError, KinemaError
from kinema.files import whole_file, whole_text
from kinema.worlds.make import VERSION, numbered_clip

Sample = dict[str, bytes]  # file extension → content, and ``__key__``

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ShardPlan:
    """One shard: its file name and the seeds of its clips."""

    name: str
    seeds: tuple[int, ...]


def make_shards(
    worlds: WorldsConfig,
    out: Path,
    *,
    shard_clips: int = 100,
    workers: int | None = None,
    ray: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Makes the clips of ``worlds`` in ``out``; repeating the call after a kill goes on, and repairs what is damaged.

    Args:
        worlds: families, sizes, number of clips and first seed.
        out: folder of the shards; on a cluster, one that all machines share.
        shard_clips: clips in a shard.
        workers: processes; all cores if None. Ray decides by itself.
        ray: whether Ray Data spreads the shards over its cluster.
        on_progress: receives the number of clips that are done and of all.

    Returns:
        The shards that an earlier run had completed and that were damaged or missing; they are whole again.

    Raises:
        InputError: ``out`` holds clips made from other settings.
        KinemaError: the disk is full, or Ray is asked for and not installed.
    """
    run = _ray_run if ray else _local_run
    manifest = open_manifest(out, {"version": VERSION, "worlds": worlds_facts(worlds), "shard_clips": shard_clips})
    plans = plan_shards(worlds, shard_clips)
    damaged = [name for name, facts in manifest["shards"].items() if not is_whole(out / name, facts["sha256"])]
    for name in damaged:
        del manifest["shards"][name]
    missing = [plan for plan in plans if plan.name not in manifest["shards"]]
    done = worlds.clips - sum(len(plan.seeds) for plan in missing)
    step = on_progress or (lambda done, total: None)
    step(done, worlds.clips)
    for name, facts in run(worlds, missing, out, workers, lambda count: step(done + count, worlds.clips)):
        manifest["shards"][name] = facts
        whole_text(out / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return damaged


def plan_shards(worlds: WorldsConfig, shard_clips: int) -> list[ShardPlan]:
    """The shards that hold the clips of ``worlds``, in order of seeds."""
    seeds = range(worlds.first_seed, worlds.first_seed + worlds.clips)
    return [
        ShardPlan(f"worlds-{index:06d}.tar", tuple(seeds[index * shard_clips :][:shard_clips]))
        for index in range(math.ceil(worlds.clips / shard_clips))
    ]


def open_manifest(out: Path, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a folder of shards, new or as an earlier run left it.

    Raises:
        InputError: the folder's shards were made from something else, or its manifest cannot be read.
    """
    made_from = json.loads(json.dumps(made_from))
    path = out / MANIFEST
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        return {"made_from": made_from, "shards": {}}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        earlier = manifest["made_from"]
        _ = [facts["sha256"] for facts in manifest["shards"].values()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: delete it, and the shards are made again") from error
    for key, value in made_from.items():
        if earlier.get(key) != value:
            was = ", ".join(_differences(earlier.get(key), value)) or key
            raise InputError(f"{out} holds clips made from other settings ({was}): choose another folder for --out")
    return manifest


def worlds_facts(worlds: WorldsConfig) -> dict[str, Any]:
    """What a manifest says of the settings; without ``shapes`` if there are none, as folders of old have it."""
    return {key: value for key, value in asdict(worlds).items() if key != "shapes" or value}


def is_whole(shard: Path, sha256: str) -> bool:
    """Whether a shard is there and has its checksum."""
    return shard.is_file() and checksum(shard) == sha256


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tar(path: Path, samples: Iterable[Sample]) -> dict[str, Any]:
    """Writes a shard, whole or not at all; the same samples give the same bytes.

    Returns:
        What the manifest says of it: the number of clips and the checksum.

    Raises:
        KinemaError: the disk is full.
    """
    count = 0
    with whole_file(path) as part:
        with tarfile.open(part, "w") as tar:
            for sample in samples:
                count += 1
                for extension in sorted(sample.keys() - {"__key__"}):
                    info = tarfile.TarInfo(f"{sample['__key__'].decode()}.{extension}")  # no dates, no owners
                    info.size = len(sample[extension])
                    tar.addfile(info, io.BytesIO(sample[extension]))
        digest = checksum(part)
    return {"clips": count, "sha256": digest}


def sample_of(clip: Clip) -> Sample:
    """A clip as files."""
    assert clip.state is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, clip.pixels_THW3, clip.fps, asdict(clip.source))
        video = path.read_bytes()
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **state_arrays(clip.state))
    return {
        "__key__": sample_key(clip),
        "mp4": video,
        "json": json.dumps(clip_facts(clip), sort_keys=True).encode(),
        "state.npz": arrays.getvalue(),
    }


def sample_key(clip: Clip) -> bytes:
    """The name of a clip in its shard."""
    return f"{clip.source.family}-{clip.source.seed:020d}".encode()


def clip_facts(clip: Clip) -> dict[str, Any]:
    """Everything about a clip but its arrays, as JSON types."""
    assert clip.state is not None
    state = {
        "bodies": [asdict(body) for body in clip.state.bodies],
        "camera": asdict(clip.state.camera),
        "events": [asdict(event) for event in clip.state.events],
        "facts": clip.state.facts,
    }
    facts = {"fps": clip.fps, "source": asdict(clip.source), "caption": asdict(clip.caption), "state": state}
    tree: dict[str, Any] = json.loads(json.dumps(facts))
    return tree


def state_arrays(state: WorldState) -> dict[str, NDArray[Any]]:
    """The arrays of a state by name; what belongs to water, paint and cubes begins with ``water_`` and so on."""
    arrays = {name: value for name, value in vars(state).items() if isinstance(value, np.ndarray)}
    for part in ("water", "paint", "voxels"):
        if getattr(state, part) is not None:
            arrays |= {f"{part}_{name}": np.asarray(value) for name, value in vars(getattr(state, part)).items()}
    return arrays


def _samples(worlds: WorldsConfig, seeds: Sequence[int]) -> list[Sample]:
    return [sample_of(numbered_clip(seed, worlds)) for seed in seeds]


Run = Iterator[tuple[str, dict[str, Any]]]


def _local_run(
    worlds: WorldsConfig,
    plans: Sequence[ShardPlan],
    out: Path,
    workers: int | None,
    on_clips: Callable[[int], None],
) -> Run:
    """Workers make clips ahead, in order; this process writes the shards."""
    seeds = [seed for plan in plans for seed in plan.seeds]
    counted = _counted(ordered_map(_samples, worlds, seeds, workers), on_clips)
    for plan in plans:
        yield plan.name, write_tar(out / plan.name, itertools.islice(counted, len(plan.seeds)))


def _counted(samples: Iterable[Sample], on_clips: Callable[[int], None]) -> Iterator[Sample]:
    for count, sample in enumerate(samples, 1):
        on_clips(count)
        yield sample


def _ray_run(
    worlds: WorldsConfig,
    plans: Sequence[ShardPlan],
    out: Path,
    workers: int | None,
    on_clips: Callable[[int], None],
) -> Run:
    """Each task of the cluster makes one shard and reports its checksum."""
    try:
        import ray
    except ImportError as error:
        raise KinemaError("Ray is not installed: pip install 'kinema[ray]'") from error

    def make(row: dict[str, Any]) -> dict[str, Any]:
        plan = plans[row["item"]]
        return {"name": plan.name} | write_tar(out / plan.name, _samples(worlds, plan.seeds))

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # the caller shows progress
    if not ray.is_initialized():
        ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    count = 0
    if plans:
        for row in ray.data.from_items(list(range(len(plans))), override_num_blocks=len(plans)).map(make).iter_rows():
            count += row["clips"]
            on_clips(count)
            yield row["name"], {"clips": int(row["clips"]), "sha256": row["sha256"]}


def _differences(earlier: Any, now: Any) -> list[str]:
    """The keys in which two tables of settings differ."""
    if not isinstance(earlier, dict) or not isinstance(now, dict):
        return []
    return sorted(key for key in earlier.keys() | now.keys() if earlier.get(key) != now.get(key))

"""Checkpoints of a run: folders that torch.distributed.checkpoint writes, one file a process, whole or not at all.

A checkpoint is written to a folder aside, flushed to the disk, marked complete (``complete.json``: a few facts, and the
size of every file) and renamed, so a crash or a full disk leaves the last one intact. Its index is a pickle; it is read
from the run's own folder only and never travels: what leaves a run is exported as safetensors.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from kinema.config import Config, to_dict
from kinema.errors import InputError, KinemaError
from kinema.files import flush, reason, whole_text
from kinema.train.parallel import ALONE, Team

logger = logging.getLogger(__name__)

KEEP = 2  # newest checkpoints that stay
COMPLETE = "complete.json"
# Settings that a run may change while it is resumed: they do not change what it computes.
CHANGEABLE = ("log_every", "checkpoint_every", "validate_every", "ema_export", "recompute", "compile")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on the disk."""

    path: Path
    facts: dict[str, Any]  # step and counters


def claim_folder(out: Path, settings: dict[str, Any], team: Team = ALONE) -> None:
    """Records a run's settings in ``out/run.json``, or checks them against those recorded.

    A setting that is younger than the run had, until then, the effect of its default.

    Raises:
        InputError: the folder belongs to a run with other settings; names the first key that differs.
    """
    path = out / "run.json"
    settings = json.loads(json.dumps(settings))
    if team.leads and not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        whole_text(path, json.dumps(settings, indent=2) + "\n")
    team.wait()
    now = _flat(settings)
    defaults = {key: value for key, value in _flat(to_dict(Config())).items() if key in now}
    before = defaults | _flat(json.loads(path.read_text()))
    for key in before | now:
        if key.rpartition(".")[2] not in CHANGEABLE and before.get(key) != now.get(key):
            raise InputError(
                f"{out} holds a run with {key} = {before.get(key)!r}, not {now.get(key)!r}: "
                "use the same settings to resume it, or another folder"
            )


def save_checkpoint(
    out: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], team: Team = ALONE
) -> Path:
    """Writes ``out/checkpoints/STEP`` whole or not at all, then removes all but the newest two.

    Args:
        out: the run folder.
        step: the name of the checkpoint.
        tensors: by name; of sharded ones every process writes its part.
        facts: JSON types.
        team: all of its processes must call.

    Raises:
        KinemaError: the disk is full or not writable; earlier checkpoints are intact.
    """
    path, part = out / "checkpoints" / f"{step:08d}", out / "checkpoints" / f".{step:08d}.part"
    if _read(path) is not None:
        return path  # of the same step, so the same
    if team.leads:
        for leftover in (path, *path.parent.glob(".*.part")):
            shutil.rmtree(leftover, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
    team.wait()
    try:
        with _quiet():
            state_dict_saver.save(dict(tensors), checkpoint_id=part, no_dist=team.mesh is None)
        if team.leads:
            _complete(part, path, facts)
    except (OSError, CheckpointException) as error:
        if team.leads:
            shutil.rmtree(part, ignore_errors=True)
        raise KinemaError(f"cannot write {path} ({_cause(error)}): make room or choose another place") from error
    team.wait()
    return path


def newest_checkpoint(out: Path) -> Checkpoint | None:
    """The newest complete checkpoint of a run folder, or None."""
    return next(_complete_ones(out), None)


def restore_newest(out: Path, tensors: dict[str, Tensor], team: Team = ALONE) -> Checkpoint | None:
    """Reads the newest checkpoint into tensors that exist, whatever number of processes wrote it.

    Args:
        out: the run folder.
        tensors: by name, all of them in the checkpoint; of sharded ones every process reads its part.
        team: all of its processes must call.

    Returns:
        The checkpoint, or None if the folder has none.

    Raises:
        KinemaError: there are checkpoints and none of them can be read.
    """
    damaged = []
    for found in _complete_ones(out):
        try:
            with _quiet():
                state_dict_loader.load(dict(tensors), checkpoint_id=found.path, no_dist=team.mesh is None)
            return found
        except (OSError, CheckpointException) as error:
            logger.warning("%s is damaged (%s): passed over", found.path, _cause(error))
            damaged.append(found.path.name)
    if damaged:
        raise KinemaError(f"no checkpoint in {out / 'checkpoints'} can be read: restore one or delete the folder")
    return None


def read_tensors(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    """The whole tensors whose names start with ``prefix``, without it, in one process."""
    stored = FileSystemReader(checkpoint.path).read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(facts.size, dtype=facts.properties.dtype)
        for name, facts in stored.items()
        if name.startswith(prefix) and isinstance(facts, TensorStorageMetadata)
    }
    with _quiet():
        state_dict_loader.load(dict(tensors), checkpoint_id=checkpoint.path, no_dist=True)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _complete(part: Path, path: Path, facts: dict[str, Any]) -> None:
    """Marks a written folder complete, gives it its name and removes older ones."""
    sizes = {file.name: file.stat().st_size for file in part.iterdir()}
    whole_text(part / COMPLETE, json.dumps({"facts": facts, "files": sizes}) + "\n")
    flush(part)
    part.rename(path)
    flush(path.parent)
    kept = [found.path for found in _complete_ones(path.parent.parent)][:KEEP]
    for old in path.parent.iterdir():
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _complete_ones(out: Path) -> Iterator[Checkpoint]:
    """The complete checkpoints of a run folder, newest first."""
    for path in sorted((out / "checkpoints").glob("[0-9]*"), reverse=True):
        if (found := _read(path)) is not None:
            yield found


def _read(path: Path) -> Checkpoint | None:
    """A checkpoint, if it is complete: marked, and every file there in full."""
    try:
        mark = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        whole = all((path / name).stat().st_size == size for name, size in mark["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return Checkpoint(path, mark["facts"]) if whole else None


def _cause(error: BaseException) -> str:
    """What went wrong, in one short phrase: what the system said to the first process that failed, if it is known."""
    if isinstance(error, CheckpointException):
        error = next((wrapped[0] for wrapped in error.failures.values()), error)
    first: BaseException | None = error
    while first is not None and not isinstance(first, OSError):
        first = first.__cause__ or first.__context__
    return reason(first) if isinstance(first, OSError) else " ".join(str(error).split())[:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remark that one process saves alone, which is the intent."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat

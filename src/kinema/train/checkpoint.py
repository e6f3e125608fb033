"""Checkpoints of a run: one safetensors file each, with its JSON facts in the header; no pickle.

A checkpoint is written aside, flushed to the disk and renamed, so a crash or a full disk leaves the last one intact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kinema.errors import InputError
from kinema.files import flush, whole_file, whole_text

KEEP = 2  # newest checkpoints that stay
CHANGEABLE = ("log_every", "checkpoint_every", "validate_every")  # settings that a run may change while it is resumed


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: named tensors and a few facts (step, counters)."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under ``prefix.``, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): tensor for name, tensor in self.tensors.items() if name.startswith(start)}


def claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Records a run's settings in ``out/run.json``, or checks them against those recorded.

    Raises:
        InputError: the folder belongs to a run with other settings; names the first key that differs.
    """
    path = out / "run.json"
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        whole_text(path, json.dumps(settings, indent=2) + "\n")
        return
    before, now = _flat(json.loads(path.read_text())), _flat(settings)
    for key in before | now:
        if key.rpartition(".")[2] not in CHANGEABLE and before.get(key) != now.get(key):
            raise InputError(
                f"{out} holds a run with {key} = {before.get(key)!r}, not {now.get(key)!r}: "
                "use the same settings to resume it, or another folder"
            )


def save_checkpoint(out: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Writes ``out/checkpoints/STEP.safetensors`` whole or not at all, then removes all but the newest two.

    Raises:
        KinemaError: the disk is full or not writable; earlier checkpoints are intact.
    """
    folder = out / "checkpoints"
    path = folder / f"{step:08d}.safetensors"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        try:
            save_file(tensors, part, metadata={"facts": json.dumps(checkpoint.facts)})
        except SafetensorError as error:  # its report of a full disk
            raise OSError(str(error)) from error
    flush(folder)
    for old in sorted(folder.glob("*.safetensors"))[:-KEEP]:
        old.unlink()
    return path


def newest_checkpoint(out: Path, prefix: str = "") -> Checkpoint | None:
    """The newest complete checkpoint of a run folder, or None; damaged ones are passed over.

    Only tensors whose names start with ``prefix`` are read.
    """
    for path in sorted((out / "checkpoints").glob("*.safetensors"), reverse=True):
        try:
            return load_checkpoint(path, prefix)
        except SafetensorError:
            continue
    return None


def load_checkpoint(path: Path, prefix: str = "") -> Checkpoint:
    """Reads the tensors of one checkpoint whose names start with ``prefix``.

    Raises:
        SafetensorError: the file is truncated or damaged.
    """
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
    return Checkpoint(tensors, facts)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat

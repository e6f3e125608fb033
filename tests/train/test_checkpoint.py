"""Checkpoints: whole or not at all, and the folder belongs to one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.errors import InputError, KinemaError
from kinema.train import checkpoint as checkpoints
from kinema.train.checkpoint import Checkpoint, claim_folder, newest_checkpoint, save_checkpoint


def numbered(step: int) -> Checkpoint:
    return Checkpoint({"weights.a": torch.full((4, 4), float(step)), "ema.a": torch.zeros(2)}, {"step": step})


def test_the_newest_comes_back_and_old_ones_go(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, numbered(step))
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.facts == {"step": 15}
    assert torch.equal(found.group("weights")["a"], torch.full((4, 4), 15.0))
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "00000010.safetensors",
        "00000015.safetensors",
    ]


def test_only_the_tensors_asked_for_are_read(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, numbered(1))
    found = newest_checkpoint(tmp_path, prefix="ema.")
    assert found is not None and list(found.tensors) == ["ema.a"]


@pytest.mark.parametrize("kept", [0, 4, 60, 0.9])
def test_a_truncated_one_is_passed_over(tmp_path: Path, kept: float) -> None:
    save_checkpoint(tmp_path, 1, numbered(1))
    path = save_checkpoint(tmp_path, 2, numbered(2))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.facts == {"step": 1}


@pytest.mark.parametrize("memory_format", [torch.channels_last_3d, torch.contiguous_format])
def test_any_memory_format_is_stored(tmp_path: Path, memory_format: torch.memory_format) -> None:
    kernel = torch.randn(4, 3, 2, 2, 2).to(memory_format=memory_format)
    save_checkpoint(tmp_path, 1, Checkpoint({"kernel": kernel}, {}))
    found = newest_checkpoint(tmp_path)
    assert found is not None and torch.equal(found.tensors["kernel"], kernel)


def test_a_full_disk_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, numbered(1))

    def half(tensors: dict[str, Tensor], path: Path, metadata: Any) -> None:
        Path(path).write_bytes(b"half a file")
        raise checkpoints.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(KinemaError, match="No space left on device") as caught:
        save_checkpoint(tmp_path, 2, numbered(2))
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000001.safetensors"]
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.facts == {"step": 1}


def test_another_run_is_refused_by_the_key_that_differs(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"model": {"width": 8, "depth": 2}, "log_every": 10})
    claim_folder(tmp_path, {"model": {"width": 8, "depth": 2}, "log_every": 50})  # may change
    with pytest.raises(InputError, match=r"model\.depth = 2, not 3"):
        claim_folder(tmp_path, {"model": {"width": 8, "depth": 3}, "log_every": 10})
    with pytest.raises(InputError, match=r"model\.depth = 2, not None"):
        claim_folder(tmp_path, {"model": {"width": 8}, "log_every": 10})

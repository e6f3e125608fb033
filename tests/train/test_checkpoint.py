"""Checkpoints: whole or not at all, and the folder belongs to one run."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kinema.errors import InputError, KinemaError
from kinema.train.checkpoint import COMPLETE, claim_folder, newest_checkpoint, read_tensors, restore_newest
from kinema.train.checkpoint import save_checkpoint as save


def numbered(step: int) -> dict[str, Tensor]:
    return {"weights.a": torch.full((4, 4), float(step)), "ema.a": torch.full((2,), float(-step))}


def save_numbered(out: Path, step: int) -> Path:
    return save(out, step, numbered(step), {"step": step})


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_the_newest_comes_back_and_old_ones_go(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None and restore_newest(tmp_path, numbered(0)) is None
    for step in (5, 10, 15):
        save_numbered(tmp_path, step)
    tensors = numbered(0)
    found = restore_newest(tmp_path, tensors)
    assert found is not None and found.facts == {"step": 15}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in numbered(15).items())
    assert names(tmp_path) == ["00000010", "00000015"]


def test_only_the_tensors_asked_for_are_read(tmp_path: Path) -> None:
    save_numbered(tmp_path, 1)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    tensors = read_tensors(found, "ema.")
    assert list(tensors) == ["a"] and torch.equal(tensors["a"], torch.full((2,), -1.0))


@pytest.mark.parametrize("file", ["__0_0.distcp", ".metadata", COMPLETE])
@pytest.mark.parametrize("kept", [0, 0.9, None])
def test_one_that_is_not_complete_is_passed_over(tmp_path: Path, file: str, kept: float | None) -> None:
    save_numbered(tmp_path, 1)
    path = save_numbered(tmp_path, 2) / file
    content = path.read_bytes()
    path.unlink() if kept is None else path.write_bytes(content[: int(kept * len(content))])
    tensors = numbered(0)
    found = restore_newest(tmp_path, tensors)
    assert found is not None and found.facts == {"step": 1} and tensors["weights.a"][0, 0] == 1
    save_numbered(tmp_path, 2)  # the run comes to that step again
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.facts == {"step": 2}


def test_spoilt_bytes_are_passed_over_and_never_silently_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_numbered(tmp_path, 1)
    for step in (2, 1):
        path = save_numbered(tmp_path, step) / ".metadata"
        path.write_bytes(b"x" * path.stat().st_size)
        if step == 2:
            found = restore_newest(tmp_path, numbered(0))
            assert found is not None and found.facts == {"step": 1} and "00000002 is damaged" in caplog.text
    with pytest.raises(KinemaError, match="no checkpoint in .* can be read"):
        restore_newest(tmp_path, numbered(0))


@pytest.mark.parametrize("memory_format", [torch.channels_last_3d, torch.contiguous_format])
def test_any_memory_format_is_stored(tmp_path: Path, memory_format: torch.memory_format) -> None:
    kernel = torch.randn(4, 3, 2, 2, 2).to(memory_format=memory_format)
    save(tmp_path, 1, {"kernel": kernel}, {})
    back = torch.zeros_like(kernel)
    restore_newest(tmp_path, {"kernel": back})
    assert torch.equal(back, kernel) and back.is_contiguous(memory_format=memory_format)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow beyond a megabyte: the system refuses to write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_leaves_the_last_one(tmp_path: Path, small_disk: None) -> None:
    save_numbered(tmp_path, 1)
    with pytest.raises(KinemaError, match="cannot write .*00000002 .*large") as caught:
        save(tmp_path, 2, numbered(2) | {"much": torch.zeros(1 << 19)}, {"step": 2})
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["00000001"]
    found = restore_newest(tmp_path, numbered(0))
    assert found is not None and found.facts == {"step": 1}


def test_another_run_is_refused_by_the_key_that_differs(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"model": {"width": 8, "depth": 2}, "log_every": 10})
    claim_folder(tmp_path, {"model": {"width": 8, "depth": 2}, "log_every": 50})  # may change
    with pytest.raises(InputError, match=r"model\.depth = 2, not 3"):
        claim_folder(tmp_path, {"model": {"width": 8, "depth": 3}, "log_every": 10})
    with pytest.raises(InputError, match=r"model\.depth = 2, not None"):
        claim_folder(tmp_path, {"model": {"width": 8}, "log_every": 10})


def test_a_run_older_than_a_setting_goes_on_with_its_default(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"train_codec": {"steps": 3}})
    claim_folder(tmp_path, {"train_codec": {"steps": 3, "anchor_weight": 0.0}})
    with pytest.raises(InputError, match=r"train_codec\.anchor_weight = 0\.0, not 0\.1"):
        claim_folder(tmp_path, {"train_codec": {"steps": 3, "anchor_weight": 0.1}})

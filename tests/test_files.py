"""A result appears whole or not at all, and a target that cannot be written is told beforehand."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from kinema.errors import InputError, KinemaError
from kinema.files import check_target, whole_file


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as part:
        part.write_text("new")
        assert not target.exists() and part.parent == tmp_path
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError("ours"), KeyboardInterrupt()])
def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)), whole_file(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    if (child := os.fork()) == 0:
        with whole_file(target) as part:
            part.write_text("half of something long")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 1 and not target.exists()  # it had no time to clean up
    with whole_file(target) as part:
        part.write_text("new")
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KinemaError, match="no space left"), whole_file(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []


def test_impossible_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_target(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no folder"):
        check_target(tmp_path / "missing" / "a.txt")
    with pytest.raises(InputError, match="is a folder"):
        check_target(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not bind root, who may run this test
    with pytest.raises(InputError, match="cannot write in"):
        check_target(tmp_path / "a.txt")

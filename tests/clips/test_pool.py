"""Worker processes: they leave when the process that started them is gone, and it says so when one of them is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from kinema.clips.pool import ordered_map
from kinema.config import WorldsConfig
from kinema.errors import KinemaError

LEADER = """
import os, sys, time
from kinema.clips.pool import ordered_map
from kinema.config import WorldsConfig

def tell(worlds, seeds):
    return [os.getpid() for _ in seeds]

def tell_and_stay(worlds, seeds):
    if seeds[0]:
        time.sleep(600)
    return tell(worlds, seeds)

if __name__ == "__main__":
    busy = tell_and_stay if sys.argv[1] == "busy" else tell
    for worker in ordered_map(busy, WorldsConfig(), range(8), 1):
        print(worker, flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("state", ["busy", "waiting"])
def test_workers_leave_when_their_leader_was_killed(tmp_path: Path, state: str) -> None:
    script = tmp_path / "leader.py"
    script.write_text(LEADER)
    leader = subprocess.Popen([sys.executable, str(script), state], stdout=subprocess.PIPE, text=True)
    assert leader.stdout is not None
    worker = int(leader.stdout.readline())
    os.kill(worker, 0)  # is there
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    deadline = time.monotonic() + 20
    try:
        while is_running(worker):
            assert time.monotonic() < deadline, "the worker stayed"
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def is_running(process: int) -> bool:
    """Whether a process is there and has not just ended without anyone asking for its result."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def die(worlds: WorldsConfig, seeds: Sequence[int]) -> list[int]:
    """What the system does to a worker when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
    return list(seeds)


def test_a_killed_worker_is_reported_with_the_remedy() -> None:
    with pytest.raises(KinemaError, match="a worker process was killed: .* fewer --workers"):
        list(ordered_map(die, WorldsConfig(), range(4), 1))

"""Training that is killed at any moment, fifty times, loses at most one interval and ends as if it never had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.config import TrainConfig
from kinema.shapes import TokenGrid
from kinema.train.checkpoint import newest_checkpoint, read_tensors
from kinema.train.loop import Number, fit, generator_of
from kinema.train.metrics import read_metrics
from kinema.train.packs import Plan

KILLS, INTERVAL, AFTERWARDS = 50, 4, 52
CLIPS, PACK = 37, 4  # an epoch ends every nine steps or so, inside a pack
CONFIG = TrainConfig(
    steps=100_000,
    warmup_steps=5,
    checkpoint_every=INTERVAL,
    decay_share=0.0,
    bf16=False,
    ema_long_decay=0.999,
    validate_every=100_000,
)


class Stop(Exception):
    """Ends a run that would go on for long."""


def train(out: Path, until: int = CONFIG.steps) -> None:
    """Learns with Muon, AdamW, two averages, dropout, noise and an order of clips; ends before step ``until``."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 6))
    clips = torch.randn(CLIPS, 6)
    plan = Plan([TokenGrid(1, 1, 1)] * CLIPS, PACK, CONFIG)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        if step == until:
            raise Stop
        chosen = plan.clips(step)
        x = clips[chosen] + 0.1 * torch.randn(PACK, 6, generator=generator_of(CONFIG.seed, step))
        return (module(x) - x.flip(1)).square().mean(), {"first_clip": float(chosen[0])}

    fit(module, loss_fn, CONFIG, out)


def forked(out: Path) -> int:
    """Starts training in a process of its own; forked, because loading torch would take longer than the training."""
    if child := os.fork():
        return child
    try:
        train(out)
    finally:
        os._exit(1)


def records(out: Path) -> list[tuple[float, float]]:
    return [(line["loss"], line["first_clip"]) for line in read_metrics(out)]


def test_fifty_kills_change_nothing(tmp_path: Path) -> None:
    # In a process of its own: threads that other tests have started do not live on in forked children.
    done = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def fifty_kills(tmp_path: Path) -> None:
    """The whole test, for a fresh process."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    moments, reached, fresh_starts = random.Random(0), 0, 0
    for until in (
        INTERVAL + 1,
        2 * INTERVAL + 1,
        4 * INTERVAL,
    ):  # the first two load what torch loads when it is needed
        start_s = time.monotonic()
        with pytest.raises(Stop):
            train(tmp_path / "first", until)
    longest_s = time.monotonic() - start_s  # of a child: it resumes and does two intervals, however busy the machine is
    for _ in range(KILLS):
        child = forked(killed)
        time.sleep(moments.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        done = max((int(line["step"]) for line in read_metrics(killed)), default=0)
        found = newest_checkpoint(killed)
        if found is None or found.facts["step"] == reached:
            longest_s *= 1.1  # the machine has become busier
        if found is None:
            assert done <= INTERVAL
            fresh_starts += 1
            continue
        assert found.facts["step"] >= max(reached, done - INTERVAL)
        assert all(tensor.isfinite().all() for tensor in read_tensors(found, "").values())
        reached = found.facts["step"]
    assert reached > 2 * INTERVAL and fresh_starts < KILLS // 2

    until = reached + AFTERWARDS
    for out in (killed, whole):
        with pytest.raises(Stop):
            train(out, until)
    assert len(records(whole)) == until and until > 3 * CLIPS / PACK
    assert records(killed) == records(whole)
    ends = [newest_checkpoint(out) for out in (killed, whole)]
    assert ends[0] is not None and ends[1] is not None
    assert ends[0].facts == ends[1].facts and ends[0].facts["step"] == until
    ours, theirs = (read_tensors(found, "") for found in ends if found is not None)
    assert {name.partition(".")[0] for name in theirs} == {"weights", "ema", "ema_long", "optimizer"}
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


if __name__ == "__main__":
    fifty_kills(Path(sys.argv[1]))

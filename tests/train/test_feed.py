"""The work of steps: the same, in the same order, whoever makes it and wherever a run begins."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.config import TrainConfig
from kinema.errors import InputError, KinemaError
from kinema.train.feed import AHEAD, MAX_WORKERS, Feed, workers_for
from kinema.train.loop import Number, fit, generator_of
from kinema.train.metrics import read_metrics

STEPS = 12


def work(step: int) -> tuple[Tensor, int, int]:
    """Takes longer for even steps, so that what comes ready first is not what is due first."""
    time.sleep(0.03 * (step % 2 == 0))
    return torch.randn(3, generator=generator_of(5, step)), step, os.getpid()


def assert_work(found: tuple[Tensor, int, int], step: int) -> None:
    expected = work(step)
    assert torch.equal(found[0], expected[0]) and found[1] == step


def test_workers_make_the_same_in_the_same_order() -> None:
    feed, makers = Feed(work, STEPS, workers=2), set()
    for step in range(STEPS):
        made = feed(step)
        assert_work(made, step)
        makers.add(made[2])
    assert len(makers) == 2 and os.getpid() not in makers
    inline = Feed(work, STEPS, workers=0)
    assert inline(3)[2] == os.getpid()


def test_a_feed_may_begin_anywhere_and_jump() -> None:
    feed = Feed(work, STEPS, workers=2)
    for step in (5, 6, 2, 3, 4, 4, STEPS - 1):
        assert_work(feed(step), step)


def test_workers_are_few_steps_ahead(tmp_path: Path) -> None:
    def count(step: int) -> int:
        (tmp_path / str(step)).touch()
        return step

    feed = Feed(count, 100, workers=2)
    assert feed(0) == 0
    start_s = time.monotonic()
    while len(list(tmp_path.iterdir())) < 2 * AHEAD and time.monotonic() - start_s < 30:
        time.sleep(0.01)
    time.sleep(0.1)
    assert 2 * AHEAD <= len(list(tmp_path.iterdir())) <= 2 * AHEAD + 1


@pytest.mark.parametrize("kind", [InputError, KinemaError])
def test_what_a_worker_complains_of_stays_one_line(kind: type[Exception]) -> None:
    def fail(step: int) -> int:
        if step == 2:
            raise kind("no more latents come: start again")
        return step

    feed = Feed(fail, STEPS, workers=2)
    assert [feed(0), feed(1)] == [0, 1]
    with pytest.raises(kind) as caught:
        feed(2)
    assert str(caught.value) == "no more latents come: start again"


def test_a_cpu_needs_no_workers_and_a_gpu_some(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    found = {}
    for cores in (1, 8, 256):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert workers_for(cpu) == 0
        found[cores] = (workers_for(gpu), workers_for(gpu, 8))
    assert found == {1: (1, 1), 8: (4, 1), 256: (MAX_WORKERS, MAX_WORKERS)}


class Interruption(Exception):
    """Stands for a crash."""


def train(out: Path, workers: int, crash: int = -1) -> list[float]:
    """The losses of a run whose network draws dropout from the global generator."""
    config = TrainConfig(steps=16, warmup_steps=2, checkpoint_every=4, decay_share=0.5, bf16=False)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 8))
    feed = Feed(lambda step: torch.randn(32, 8, generator=generator_of(0, step)), config.steps, workers)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        if step == crash:
            raise Interruption
        x = feed(step)
        return (module(x) - x.flip(1)).square().mean(), {}

    fit(module, loss_fn, config, out)
    return [line["loss"] for line in read_metrics(out) if "loss" in line]


def test_a_run_with_workers_that_is_resumed_is_one_without(tmp_path: Path) -> None:
    whole = train(tmp_path / "inline", workers=0)
    for crash in (6, 13):
        with pytest.raises(Interruption):
            train(tmp_path / "fed", workers=2, crash=crash)
    assert train(tmp_path / "fed", workers=2) == whole and len(whole) == 16

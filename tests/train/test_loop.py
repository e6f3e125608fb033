"""The training loop: exact resume, skipped steps, stopping, records."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.codec import pixels
from kinema.config import TrainConfig
from kinema.errors import InputError, KinemaError
from kinema.train import checkpoint as checkpoints
from kinema.train.loop import MAX_SKIPPED_IN_A_ROW, FitResult, Number, fit, generator_of
from kinema.train.metrics import loss_curve, read_metrics

CONFIG = TrainConfig(steps=80, warmup_steps=5, checkpoint_every=10, decay_share=0.5, bf16=False)


class Interruption(Exception):
    """Stands for a crash."""


def train(
    out: Path, config: TrainConfig = CONFIG, before: Callable[[int], float] = lambda step: 0.0, **options: object
) -> tuple[nn.Module, FitResult]:
    """Learns to reverse vectors, with dropout from the global generator; ``before`` is added to a step's loss."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8))

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        x = torch.randn(32, 8, generator=generator_of(config.seed, step))
        loss = (module(x) - x.flip(1)).square().mean()
        return loss + before(step), {"plain": 2.0, "tensor": 2 * loss.detach(), "count": torch.tensor(3)}

    return module, fit(module, loss_fn, config, out, units_per_step=32, **options)  # type: ignore[arg-type]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out) if "loss" in line]


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "fast_bf16", lambda device: True)  # else autocast stays off on many machines
    config = dataclasses.replace(CONFIG, bf16=bf16)
    module, result = train(tmp_path / "whole", config)

    def crash_at(last: int) -> Callable[[int], float]:
        def crash(step: int) -> float:
            if step == last:
                raise Interruption
            return 0.0

        return crash

    for last in (13, 30):  # resumes at 10, 30, and goes on for 50 more
        with pytest.raises(Interruption):
            train(tmp_path / "parts", config, crash_at(last))
    resumed, resumed_result = train(tmp_path / "parts", config)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert_equal(module, resumed)
    assert_equal(result.module, resumed_result.module)
    assert (resumed_result.step, resumed_result.finished) == (80, True)
    assert losses(tmp_path / "whole")[-1] < 0.5 * losses(tmp_path / "whole")[0]


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    _, first = train(tmp_path)
    _, second = train(tmp_path)
    assert_equal(first.module, second.module)
    assert len(losses(tmp_path)) == CONFIG.steps


def test_it_stops_on_time_at_a_checkpoint(tmp_path: Path) -> None:
    _, result = train(tmp_path, stop_after=0.0)
    assert (result.step, result.finished) == (1, False)
    _, result = train(tmp_path, stop_after=1000.0)
    assert result.finished


def test_an_interrupt_saves_the_step_first(tmp_path: Path) -> None:
    def interrupt(step: int) -> float:
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, before=interrupt)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    found = checkpoints.newest_checkpoint(tmp_path)
    assert found is not None and found.facts["step"] == 7


def test_a_second_interrupt_ends_a_step_that_waits(tmp_path: Path) -> None:
    def wait(step: int) -> float:
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("still waiting")
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, before=wait)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    _, resumed = train(tmp_path)
    assert resumed.finished


def test_steps_that_are_not_finite_change_nothing(tmp_path: Path) -> None:
    weights: list[Tensor] = []
    torch.manual_seed(0)
    module = nn.Linear(4, 4)

    def loss_fn(step: int) -> tuple[Tensor, dict[str, Number]]:
        weights.append(module.weight.detach().clone())
        loss = module(torch.ones(1, 4)).square().sum()
        bad_loss, bad_gradient = step == 2, step == 4
        return (loss * math.nan if bad_loss else (loss * 0).sqrt() if bad_gradient else loss), {}

    result = fit(module, loss_fn, dataclasses.replace(CONFIG, steps=7), tmp_path)
    assert result.skipped == 2
    changed = [not torch.equal(a, b) for a, b in zip(weights[:-1], weights[1:], strict=True)]
    assert changed == [True, True, False, True, False, True]


def test_divergence_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(KinemaError, match=f"{MAX_SKIPPED_IN_A_ROW} steps in a row") as caught:
        train(tmp_path, before=lambda step: math.inf if step >= 5 else 0.0)
    assert "\n" not in str(caught.value)


def test_another_config_is_refused(tmp_path: Path) -> None:
    train(tmp_path, stop_after=0.0)
    with pytest.raises(InputError, match="seed = 0, not 1"):
        train(tmp_path, dataclasses.replace(CONFIG, seed=1))


def test_a_full_disk_stops_with_one_line_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, calls = checkpoints.flush, []

    def fills_up(path: Path) -> None:
        calls.append(path)
        if len(calls) == 5:  # the third checkpoint's folder
            raise OSError(28, "No space left on device")
        flush(path)

    monkeypatch.setattr(checkpoints, "flush", fills_up)
    with pytest.raises(KinemaError, match="no space left on device") as caught:
        train(tmp_path / "parts")
    assert "\n" not in str(caught.value)
    found = checkpoints.newest_checkpoint(tmp_path / "parts")
    assert found is not None and found.facts["step"] == 20
    resumed, _ = train(tmp_path / "parts")
    module, _ = train(tmp_path / "whole")
    assert_equal(module, resumed)


def test_records_and_averaged_weights_at_checkpoints(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []

    def on_validation(step: int, averaged: nn.Module) -> dict[str, float]:
        seen.append((step, averaged.training))
        return {"held_out": 1.0 / step}

    config = dataclasses.replace(CONFIG, steps=25)
    _, result = train(tmp_path, config, flops_per_step=lambda step: float(step), on_validation=on_validation)
    assert seen == [(10, False), (20, False), (25, False)]
    assert result.flops == sum(range(25))
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines if "held_out" in line] == [10, 20, 25]
    first = next(line for line in lines if "loss" in line)
    assert first["tokens_per_s"] > 0 and first["rate"] == 0.2
    assert (first["plain"], first["tensor"], first["count"]) == (2.0, 2 * first["loss"], 3.0)
    assert loss_curve(tmp_path).read_bytes().startswith(b"\x89PNG")
    assert any((tmp_path / "tensorboard").iterdir())


def test_a_metrics_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    train(tmp_path, stop_after=0.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    train(tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, CONFIG.steps + 1))


def test_a_curve_needs_metrics(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no metrics yet"):
        loss_curve(tmp_path)


def test_seeds_differ_between_steps_runs_and_generators(tmp_path: Path) -> None:
    seeds: list[int] = []
    module = nn.Linear(1, 1)
    for run in range(4):
        config = dataclasses.replace(CONFIG, steps=25, seed=run, checkpoint_every=25)

        def loss_fn(step: int, run: int = run) -> tuple[Tensor, dict[str, Number]]:
            seeds.extend((torch.initial_seed(), generator_of(run, step).initial_seed()))
            return module(torch.ones(1, 1)).sum(), {}

        fit(module, loss_fn, config, tmp_path / str(run))
    assert len(set(seeds)) == len(seeds) == 200
    assert generator_of(2, 3).initial_seed() == seeds[2 * 50 + 2 * 3 + 1]  # the same whenever it is asked for

"""The training loop of every network: seeded steps, averaged weights, checkpoints, progress.

All randomness of step s comes from (seed, s), as in EDM2 (Karras et al. 2024, NVlabs/edm2), so a checkpoint holds
only weights, optimizer, average and step, and a resumed run goes on exactly as if it had never stopped.
"""

from __future__ import annotations

import errno
import logging
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

from kinema.config import TrainConfig
from kinema.errors import KinemaError
from kinema.train.checkpoint import Checkpoint, claim_folder, newest_checkpoint, save_checkpoint
from kinema.train.ema import MovingAverage
from kinema.train.metrics import MetricsLog, Records, numbers_of
from kinema.train.optimizer import MuonAdamW, rate_factor

logger = logging.getLogger(__name__)

MAX_SKIPPED_IN_A_ROW = 20  # steps with a loss or gradient that is not finite
SPEED_WINDOW = 50  # steps over which the displayed speed is averaged

LossFn = Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]]
PerStep = Callable[[int], float] | float


@dataclass(frozen=True)
class FitResult:
    """How a call of :func:`fit` ended."""

    step: int  # steps done, over all calls
    finished: bool  # False when ``stop_after`` came first
    module: nn.Module  # the averaged weights
    skipped: int  # steps left out because the loss or gradient was not finite
    flops: float  # spent by the whole run, 0 when not counted


@dataclass
class _Counters:
    """The numbers of a run that travel in its checkpoints."""

    step: int = 0
    ema_updates: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    flops: float = 0.0


@dataclass
class _Run:
    """Everything that :func:`fit` changes, which is what a checkpoint holds."""

    module: nn.Module
    config: TrainConfig
    optimizer: MuonAdamW
    ema: MovingAverage
    counters: _Counters = field(default_factory=_Counters)

    def save(self, out: Path) -> None:
        groups = {"weights": self.module.state_dict(), "ema": self.ema.module.state_dict()}
        groups["optimizer"] = self.optimizer.state()
        tensors = {f"{group}.{name}": tensor for group, state in groups.items() for name, tensor in state.items()}
        self.counters.ema_updates = self.ema.updates
        save_checkpoint(out, self.counters.step, Checkpoint(tensors, asdict(self.counters)))

    def restore(self, checkpoint: Checkpoint) -> None:
        self.module.load_state_dict(checkpoint.group("weights"))
        self.ema.module.load_state_dict(checkpoint.group("ema"))
        self.optimizer.load_state(checkpoint.group("optimizer"))
        self.counters = _Counters(**checkpoint.facts)
        self.ema.updates = self.counters.ema_updates


def fit(
    module: nn.Module,
    loss_fn: LossFn,
    config: TrainConfig,
    out: Path,
    *,
    units_per_step: PerStep = 1.0,
    unit: str = "tokens",
    flops_per_step: PerStep | None = None,
    on_validation: Callable[[int, nn.Module], Records] | None = None,
    stop_after: float | None = None,
    settings: dict[str, Any] | None = None,
) -> FitResult:
    """Trains ``module`` in place for ``config.steps`` steps; called again with the same arguments, it resumes.

    Args:
        loss_fn: the loss of step s (counted from 0) and further numbers to record. It draws from the given CPU
            generator, or from torch's global one; both are seeded for the step. It runs under autocast if
            ``config.bf16``.
        out: the run folder: ``run.json``, ``metrics.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        units_per_step: the work of a step for the displayed speed, or a function of the step.
        unit: what is counted, for example tokens or frames.
        flops_per_step: floating-point operations of a step, or a function of the step.
        on_validation: receives the steps done and the averaged weights, and returns numbers and pictures to record.
        stop_after: seconds after which to stop at a checkpoint.
        settings: what must not change between calls, as JSON types; ``config`` unless given.

    Raises:
        InputError: ``out`` holds a run with other settings.
        KinemaError: too many steps in a row gave no finite loss, or the disk is full.
        KeyboardInterrupt: interrupted or terminated; the step was finished and saved first.
    """
    claim_folder(out, asdict(config) if settings is None else settings)
    run = _Run(module, config, MuonAdamW(module, config), MovingAverage(module, config.ema_decay))
    if checkpoint := newest_checkpoint(out):
        run.restore(checkpoint)
        logger.info("resuming %s at step %d of %d", out, run.counters.step, config.steps)
    counters, start_s, every = run.counters, time.monotonic(), config.checkpoint_every
    saved = counters.step
    module.train()
    try:
        display = _Display(config, counters.step, unit)
        with MetricsLog(out, counters.step) as log, _signals() as stopped, display:
            while counters.step < config.steps:
                step, step_start_s = counters.step, time.monotonic()
                values = _train_step(run, loss_fn)
                counters.flops += _value(flops_per_step, step)
                seconds = time.monotonic() - step_start_s
                units = _value(units_per_step, step)
                values |= {f"{unit}_per_s": units / seconds, "seconds": seconds, "flops": counters.flops}
                log.write(counters.step, values)
                display.show(counters.step, values["loss"], units)
                out_of_time = stop_after is not None and time.monotonic() - start_s >= stop_after
                if _is_due(counters.step, every, config) or out_of_time or stopped.is_set():
                    run.save(out)
                    saved = counters.step
                if stopped.is_set():
                    raise KeyboardInterrupt
                if on_validation is not None and _is_due(counters.step, config.validate_every or every, config):
                    log.write(counters.step, scores := on_validation(counters.step, run.ema.module))
                    told = ", ".join(f"{name} {value:.4g}" for name, value in numbers_of(scores).items())
                    logger.info("step %d: %s", counters.step, told)
                if out_of_time:
                    break
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise KinemaError(f"no space left for {out}: make room and repeat; step {saved} is saved") from error
    return FitResult(counters.step, counters.step >= config.steps, run.ema.module, counters.skipped, counters.flops)


def step_seeds(seed: int, step: int) -> tuple[int, int]:
    """Two independent 64-bit seeds for a step of a run: of its own generator and of torch's global one."""
    first, second = np.random.SeedSequence([seed, step]).generate_state(2, np.uint64)
    return int(first), int(second)


def _train_step(run: _Run, loss_fn: LossFn) -> dict[str, float]:
    """One seeded step: loss, gradients, clipping, update, average. Steps that are not finite change nothing."""
    config, counters = run.config, run.counters
    own_seed, global_seed = step_seeds(config.seed, counters.step)
    torch.manual_seed(global_seed)
    parameters = run.optimizer.parameters()
    with torch.autocast(parameters[0].device.type, torch.bfloat16, enabled=config.bf16):
        loss, values = loss_fn(counters.step, torch.Generator().manual_seed(own_seed))
    loss_value, norm = float(loss.detach()), math.nan
    if math.isfinite(loss_value):
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(parameters, config.grad_clip))
    rate = rate_factor(counters.step, config)
    if math.isfinite(norm):
        run.optimizer.step(rate)
        run.ema.update()
        counters.skipped_in_a_row = 0
    else:
        run.optimizer.zero_grad()
        counters.skipped += 1
        counters.skipped_in_a_row += 1
        if counters.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise KinemaError(
                f"step {counters.step}: {MAX_SKIPPED_IN_A_ROW} steps in a row had no finite loss or gradient: "
                "repeat with a lower muon_lr and adamw_lr in another folder"
            )
    counters.step += 1
    return {"loss": loss_value, "grad_norm": norm, "rate": rate, "skipped": float(counters.skipped)} | values


def _is_due(step: int, every: int, config: TrainConfig) -> bool:
    return step % every == 0 or step == config.steps


def _value(per_step: PerStep | None, step: int) -> float:
    return per_step(step) if callable(per_step) else per_step or 0.0


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the step in hand can be finished and saved."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread may handle signals
        return
    before = {kind: signal.signal(kind, lambda *_: stopped.set()) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class _Display:
    """A progress bar on a terminal, otherwise a log line every ``log_every`` steps."""

    def __init__(self, config: TrainConfig, step: int, unit: str) -> None:
        self._config, self._unit = config, unit
        self._recent: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], maxlen=SPEED_WINDOW)
        self._loss: float | None = None
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=config.steps, completed=step)

    def show(self, step: int, loss: float, units: float) -> None:
        if math.isfinite(loss):
            self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        self._recent.append((time.monotonic(), units))
        elapsed_s = max(self._recent[-1][0] - self._recent[0][0], 1e-9)
        steps_per_s = (len(self._recent) - 1) / elapsed_s
        speed = sum(work for _, work in list(self._recent)[1:]) / elapsed_s
        left_min = (self._config.steps - step) / steps_per_s / 60
        shown_loss = math.nan if self._loss is None else self._loss
        text = f"loss {shown_loss:.4f}, {speed:,.4g} {self._unit}/s, {left_min:.1f} min left"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif step % self._config.log_every == 0:
            logger.info("step %d of %d: %s", step, self._config.steps, text)

    def __enter__(self) -> _Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

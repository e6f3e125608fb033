"""What a run writes down: ``metrics.jsonl``, TensorBoard scalars and a picture of the loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.files import whole_text

SMOOTHING = 50  # steps averaged in the drawn loss

Records = Mapping[str, float | NDArray[np.uint8]]  # numbers, and pictures HW3


def numbers_of(values: Records) -> dict[str, float]:
    """The records without the pictures."""
    return {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}


class MetricsLog:
    """One JSON object a line in ``out/metrics.jsonl``, and the same numbers as TensorBoard scalars.

    Args:
        out: the run folder.
        step: the number of finished steps; lines of later ones, written before a crash, are dropped.
    """

    def __init__(self, out: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._path = out / "metrics.jsonl"
        kept = [line for line in read_metrics(out) if line["step"] <= step]
        whole_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self._path.open("a", buffering=1)
        self._tensorboard = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Records) -> None:
        """Records numbers of a finished step (counted from 1); pictures go to TensorBoard alone."""
        numbers = numbers_of(values)
        self._file.write(json.dumps({"step": step} | numbers) + "\n")
        for name, value in numbers.items():
            self._tensorboard.add_scalar(name, value, step)
        for name, picture in values.items():
            if isinstance(picture, np.ndarray):
                self._tensorboard.add_image(name, picture, step, dataformats="HWC")

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._tensorboard.close()


def read_metrics(out: Path) -> list[dict[str, float]]:
    """The lines of a run's ``metrics.jsonl``, oldest first; a last line cut by a crash is dropped."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def loss_curve(out: Path) -> Path:
    """Draws ``out/loss.png``: the training loss and every held-out loss over the steps.

    Raises:
        InputError: matplotlib is not installed, or the run has no metrics yet.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("drawing a loss curve needs matplotlib: pip install 'kinema[eval]'") from error
    lines = read_metrics(out)
    training = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    if not training:
        raise InputError(f"{out} has no metrics yet: train for a few steps first")
    step_S, loss_S = np.array(training).T
    window = min(SMOOTHING, len(loss_S))
    smooth_S = np.convolve(loss_S, np.ones(window) / window, mode="valid")
    axes = (figure := Figure(figsize=(8, 4.5), layout="constrained")).subplots()
    axes.plot(step_S, loss_S, color="0.85", linewidth=0.5)
    axes.plot(step_S[window - 1 :], smooth_S, label=f"training, mean of {window} steps")
    for name in sorted({key for line in lines for key in line if key.startswith("held_out")}):
        points = np.array([(line["step"], line[name]) for line in lines if name in line])
        axes.plot(*points.T, marker=".", label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log" if loss_S.min() > 0 else "linear")
    axes.legend()
    figure.savefig(out / "loss.png", dpi=120)
    return out / "loss.png"

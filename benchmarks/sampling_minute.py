"""A minute of video two ways: all latents at once, and window after window. Time, memory, and drift against seconds.

    python benchmarks/sampling_minute.py OUT.json [--seconds 60] [--size 64x64] [--seeds 3] [--plot FILE.png]

Each video is made by `kinema generate` in a process of its own, with the built-in model. Drift is measured second by
second on the decoded frames: mean and spread of the colours, sharpness (mean step between neighbouring pixels), and the
number of bodies that the judge of `kinema evaluate` sees. What a real clip would keep, a drifting one loses.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.clips.video_io import read_video
from kinema.evaluate.judge import count_bodies, segment

PROMPTS = (
    "a red ball falls and bounces on a grey floor",
    "a blue cube slides down a ramp",
    "a yellow ball and a green cube fall",
)
WAYS = ("whole", "rollout")
MEASURES = ("mean", "spread", "sharpness", "bodies")


def generate(way: str, prompt: str, seed: int, seconds: float, size: str, out: Path) -> dict[str, float]:
    """Makes one video; wall seconds and peak resident memory in GB."""
    command = [sys.executable, "-m", "kinema", "generate", prompt, f"--{way}", "--seconds", str(seconds)]
    command += ["--size", size, "--seed", str(seed), "--out", str(out)]
    start_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return {"wall_s": round(time.monotonic() - start_s, 2), "peak_gb": round(usage.ru_maxrss / 1e6, 3)}


def drift(pixels_THW3: NDArray[np.uint8], fps: float) -> dict[str, list[float]]:
    """Each measure for every full second."""
    step = round(fps)
    curves: dict[str, list[float]] = {name: [] for name in MEASURES}
    for start in range(0, len(pixels_THW3) - step + 1, step):
        second_THW3 = pixels_THW3[start : start + step]
        grey_THW = second_THW3.mean(axis=-1)
        across = np.abs(np.diff(grey_THW, axis=2)).mean() + np.abs(np.diff(grey_THW, axis=1)).mean()
        values = (second_THW3.mean(), second_THW3.std(axis=(1, 2)).mean(), across, count_bodies(segment(second_THW3)))
        for name, value in zip(MEASURES, values, strict=True):
            curves[name].append(round(float(value), 3))
    return curves


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """One panel per measure: every run thin, the mean of each way thick."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(MEASURES), figsize=(4 * len(MEASURES), 3), layout="constrained")
    for axis, name in zip(axes, MEASURES, strict=True):
        for way, color in zip(WAYS, ("tab:blue", "tab:orange"), strict=True):
            curves = [run["drift"][name] for run in runs if run["way"] == way]
            seconds = np.arange(len(curves[0])) + 0.5
            for curve in curves:
                axis.plot(seconds, curve, color=color, linewidth=0.6, alpha=0.4)
            axis.plot(seconds, np.mean(curves, axis=0), color=color, linewidth=2, label=way)
        axis.set(title=name, xlabel="seconds")
        axis.set_ylim(bottom=0)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Makes all videos both ways and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="64x64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            prompt = PROMPTS[seed % len(PROMPTS)]
            for way in WAYS:
                out = Path(folder) / f"{way}-{seed}.mp4"
                cost = generate(way, prompt, seed, options.seconds, options.size, out)
                video = read_video(out)
                curves = drift(video.pixels_THW3, video.fps)
                runs.append({"way": way, "prompt": prompt, "seed": seed, **cost, "drift": curves})
                print(f"{way} {prompt!r}: {cost['wall_s']:.0f} s, {cost['peak_gb']:.2f} GB", flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = {"cores": os.cpu_count(), "platform": platform.platform(), "torch": version("torch")}
    report = {"command": " ".join(sys.argv), "commit": commit, "machine": machine, "runs": runs}
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot(runs, options.plot)


if __name__ == "__main__":
    main()

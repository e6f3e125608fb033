"""Quality of a video against steps and seconds, for every solver; picks the default.

    python benchmarks/sampling_solvers.py OUT.json [--prompts 8] [--steps 4 6 8 12 16 24 32] [--weights nano]

Two measures. Distance: the latents against those of 200 steps of Heun from the same noise, relative to their size; it
tells how well the flow is solved, whatever the flow is worth. Colours: the share of prompts whose bodies the judge of
`kinema evaluate` finds in their colour; it tells what a viewer sees. Seconds are those of sampling alone, one video.
Heun calls the model twice a step, so it gets half of the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinema
from kinema.evaluate.judge import segment
from kinema.sample.order import SOLVER_NAMES, Order
from kinema.sample.pipeline import Pipeline

COLORS = ("red", "blue", "yellow", "green", "purple", "orange", "cyan", "pink")
DEEDS = ("ball falls and bounces", "cube slides behind a wall", "cylinder is thrown", "ball rolls down a ramp")
REFERENCE_STEPS = 200


def sampled(pipeline: Pipeline, prompt: str, seed: int, **settings: Any) -> tuple[Tensor, float, set[str]]:
    """Latents, seconds, and the colours of the bodies that are seen."""
    request = pipeline.request(Order.of({"prompt": prompt, "seed": seed} | settings))
    start_s = time.perf_counter()
    latents_CTHW = pipeline.sample(request)[0]
    seconds = time.perf_counter() - start_s
    frames = np.stack(list(pipeline.frames(request, latents_CTHW)))
    return latents_CTHW, seconds, {track.color for track in segment(frames)}


def main() -> None:
    """Samples every prompt with every setting and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 6, 8, 12, 16, 24, 32])
    parser.add_argument("--reference-steps", type=int, default=REFERENCE_STEPS)
    parser.add_argument("--weights", default="nano")
    options = parser.parse_args()
    pipeline = kinema.load(options.weights)
    prompts = [f"a {COLORS[i % len(COLORS)]} {DEEDS[i % len(DEEDS)]}" for i in range(options.prompts)]
    sampled(pipeline, prompts[0], 0, steps=2)  # the first call is slower
    reference = [
        sampled(pipeline, prompt, seed, solver="heun", steps=options.reference_steps)[0]
        for seed, prompt in enumerate(prompts)
    ]
    rows = []
    for solver in SOLVER_NAMES:
        for steps in options.steps:
            settings = {"solver": solver, "steps": max(1, steps // 2) if solver == "heun" else steps}  # equal calls
            found = [sampled(pipeline, prompt, seed, **settings) for seed, prompt in enumerate(prompts)]
            distances = [
                float((x - best).norm() / best.norm()) for (x, _, _), best in zip(found, reference, strict=True)
            ]
            right = [prompt.split()[1] in colors for prompt, (_, _, colors) in zip(prompts, found, strict=True)]
            rows.append(
                settings
                | {
                    "distance": round(float(np.mean(distances)), 4),
                    "colors_right": round(float(np.mean(right)), 3),
                    "seconds": round(float(np.median([seconds for _, seconds, _ in found])), 3),
                    "raw_distance": [round(distance, 4) for distance in distances],
                    "raw_seconds": [round(seconds, 3) for _, seconds, _ in found],
                }
            )
            print({key: value for key, value in rows[-1].items() if not key.startswith("raw")}, flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "torch": version("torch"),
    }
    report = {"command": " ".join(sys.argv), "commit": commit, "machine": machine, "prompts": prompts, "rows": rows}
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

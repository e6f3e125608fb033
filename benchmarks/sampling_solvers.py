"""Quality of a video against steps and seconds, for every solver; picks the default.

    python benchmarks/sampling_solvers.py OUT.json [--prompts 12] [--calls 4 8 12 16 24 32 48] [--weights nano]

Two measures. Distance: the latents against those of 200 calls of UniPC from the same noise, relative to their size: how
well the flow is solved, whatever the flow is worth. And what the judge of `kinema evaluate` finds of the bodies that a
held-out prompt names: colours, number, shapes and motion. Seconds are those of sampling alone, one video. All solvers
get the same numbers of calls of the model (Heun makes two a step).

Prompt by prompt, every setting in turns, so that a busy machine slows all alike. The command stops after ``--minutes``
with a report of the prompts that are complete; repeated, it goes on with the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept import Kept, circumstances
from torch import Tensor
from verdicts import plain, scores_of

import kinema
from kinema.evaluate.adherence import Expectation, Verdict, expectation_of, held_out_clips, judge_clip
from kinema.files import whole_text
from kinema.sample.order import CALLS_PER_STEP, SOLVER_NAMES, Order
from kinema.sample.pipeline import Pipeline

REFERENCE, REFERENCE_CALLS = "unipc", 200


def prompts_of(pipeline: Pipeline, count: int) -> list[Expectation]:
    """Held-out prompts, families in turns."""
    by_family: dict[str, list[Expectation]] = {}
    for clip in held_out_clips(pipeline.worlds, each=1):
        by_family.setdefault(clip.source.family, []).append(expectation_of(clip))
    turns = itertools.zip_longest(*by_family.values())
    return [wanted for turn in turns for wanted in turn if wanted is not None][:count]


def sampled(pipeline: Pipeline, wanted: Expectation, seed: int, solver: str, calls: int) -> tuple[Tensor, float]:
    """Latents and seconds."""
    steps = max(1, calls // CALLS_PER_STEP.get(solver, 1))
    request = pipeline.request(Order(wanted.prompt, seed=seed, solver=solver, steps=steps))
    start_s = time.perf_counter()
    latents_CTHW = pipeline.sample(request)[0]
    return latents_CTHW, time.perf_counter() - start_s


def judged(pipeline: Pipeline, wanted: Expectation, latents_CTHW: Tensor) -> Verdict:
    """What the judge sees in the decoded video."""
    frames = pipeline.frames(pipeline.request(Order(wanted.prompt)), latents_CTHW)
    return judge_clip(np.stack(list(frames)), wanted)


def measure(pipeline: Pipeline, wanted: Expectation, seed: int, calls: list[int]) -> dict[str, Any]:
    """All settings on one prompt."""
    best_CTHW, seconds = sampled(pipeline, wanted, seed, REFERENCE, REFERENCE_CALLS)
    found: dict[str, Any] = {"reference": {"seconds": seconds, "verdict": plain(judged(pipeline, wanted, best_CTHW))}}
    for number, solver in itertools.product(calls, SOLVER_NAMES):
        latents_CTHW, seconds = sampled(pipeline, wanted, seed, solver, number)
        distance = float((latents_CTHW - best_CTHW).norm() / best_CTHW.norm())
        verdict = judged(pipeline, wanted, latents_CTHW)
        found[f"{solver} {number}"] = {"seconds": seconds, "distance": distance, "verdict": plain(verdict)}
    return found


def table(measured: list[dict[str, Any]], expectations: list[Expectation]) -> list[dict[str, Any]]:
    """One row a setting: means over prompts; of seconds and distances the median, as one may end as another video."""
    rows = []
    for setting in measured[0]:
        of_prompts = [found[setting] for found in measured]
        distances = [run.get("distance", 0.0) for run in of_prompts]
        seen = scores_of([run["verdict"] for run in of_prompts], expectations)
        rows.append(
            {
                "setting": setting,
                "seconds": round(float(np.median([run["seconds"] for run in of_prompts])), 3),
                "distance": round(float(np.median(distances)), 4),
                "farthest": round(max(distances), 4),
            }
            | seen
        )
    return rows


def main() -> None:
    """Measures prompt after prompt and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 8, 12, 16, 24, 32, 48])
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--minutes", type=float, default=9.5)
    options = parser.parse_args()
    pipeline = kinema.load(options.weights)
    made_of = {"weights": pipeline.sha256, "calls": options.calls, "sampling": vars(pipeline.card.sampling)}
    kept = Kept(options.out, made_of, options.minutes)
    expectations = prompts_of(pipeline, options.prompts)
    sampled(pipeline, expectations[0], 0, "euler", 2)  # the first call is slower
    measured: list[dict[str, Any]] = []
    longest_s = 0.0
    for seed, wanted in enumerate(expectations):
        if kept.is_late or time.monotonic() + longest_s > kept.end_s:
            break
        start_s = time.monotonic()
        measured.append(
            kept.get(f"{seed} {wanted.prompt}", lambda w=wanted, s=seed: measure(pipeline, w, s, options.calls))
        )
        longest_s = max(longest_s, time.monotonic() - start_s)
        print(f"{len(measured)} of {len(expectations)}: {wanted.prompt}", flush=True)
    if not measured:
        raise SystemExit("no prompt in this time: give more --minutes")
    rows = table(measured, expectations[: len(measured)])
    report = circumstances() | {
        "weights": pipeline.sha256,
        "native": f"{pipeline.card.width}x{pipeline.card.height}, {pipeline.card.frames} frames",
        "prompts": [wanted.prompt for wanted in expectations[: len(measured)]],
        "complete": len(measured) == len(expectations),
        "rows": rows,
    }
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    whole_text(options.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

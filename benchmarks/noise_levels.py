"""At which noise level does a model lose what a clip shows?

    python benchmarks/noise_levels.py OUT.json [--weights nano [DIR …]] [--levels 0.2 0.4 0.6 0.8 0.9] [--every 1]

True clips of held-out combinations are put under noise up to a level σ and denoised from there, with the plainest
prompt and the card's settings (SDEdit, arXiv 2108.01073). What the judge of `kinema evaluate` still finds of the named
bodies tells where colours, number and shapes are decided: at σ = 0 the codec alone loses something, at σ = 1 all is the
model's own.

Clip by clip, all weights and levels in turns, so that a busy machine slows all alike. The command stops after
``--minutes`` with a report of the clips that are complete; repeated, it goes on with the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from kept import Kept, circumstances
from verdicts import plain, scores_of

import kinema
from kinema.data import Clip
from kinema.evaluate.adherence import Expectation, expectation_of, held_out_clips, judge_clip
from kinema.files import whole_text
from kinema.flow.schedule import shift_levels
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline


def measure(pipeline: Pipeline, clip: Clip, levels: list[float], seed: int) -> dict[str, Any]:
    """What the judge sees in a clip and in what becomes of it, by level, and the PSNR of each to the clip."""
    wanted = expectation_of(clip)
    made = {"truth": clip.pixels_THW3, "0": reconstruct(pipeline.codec, clip.pixels_THW3)[0]}
    for level in levels:  # strength is a share of the steps, which are shifted
        strength = shift_levels(level, 1 / pipeline.native.shift)
        made[f"{level:g}"] = pipeline.generate(
            wanted.prompt, seed=seed, remix=clip.pixels_THW3, strength=strength
        ).pixels
    made["1"] = pipeline.generate(wanted.prompt, seed=seed).pixels
    return {
        level: {
            "verdict": plain(judge_clip(pixels_THW3, wanted)),
            "mse": float(np.square(pixels_THW3.astype(float) - clip.pixels_THW3).mean()),
        }
        for level, pixels_THW3 in made.items()
    }


def table(name: str, measured: list[dict[str, Any]], expectations: list[Expectation]) -> list[dict[str, Any]]:
    """One row a level."""
    rows = []
    for level in measured[0]:
        found = [of_clip[level] for of_clip in measured]
        row = {"weights": name, "level": level}
        if level != "truth":
            row["psnr_db"] = round(10 * math.log10(255**2 / float(np.mean([f["mse"] for f in found]))), 2)
        rows.append(row | scores_of([f["verdict"] for f in found], expectations))
    return rows


def main() -> None:
    """Measures clip after clip and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", nargs="+", default=["nano"])
    parser.add_argument("--levels", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8, 0.9])
    parser.add_argument("--every", type=int, default=1, help="one clip of so many")
    parser.add_argument("--minutes", type=float, default=9.5)
    options = parser.parse_args()
    pipelines = [kinema.load(weights) for weights in options.weights]
    hashes = [pipeline.sha256 for pipeline in pipelines]
    kept = Kept(options.out, {"weights": hashes, "levels": options.levels, "every": options.every}, options.minutes)
    expectations: list[Expectation] = []
    measured: dict[str, list[dict[str, Any]]] = {weights: [] for weights in options.weights}
    for seed, clip in enumerate(itertools.islice(held_out_clips(pipelines[0].worlds), 0, None, options.every)):
        if kept.is_late:
            break
        for weights, pipeline in zip(options.weights, pipelines, strict=True):
            found = kept.get(f"{weights} {seed}", lambda p=pipeline, c=clip, s=seed: measure(p, c, options.levels, s))
            measured[weights].append(found)
        expectations.append(expectation_of(clip))
    if not expectations:
        raise SystemExit("no clip in this time: give more --minutes")
    rows = [row for weights, found in measured.items() for row in table(weights, found, expectations)]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    report = circumstances() | {"sha256": hashes, "clips": len(expectations), "rows": rows}
    whole_text(options.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What the first frame is worth: held-out prompts sampled at once, image first, alone, and from the true first frame.

    python benchmarks/sampling_first.py OUT.json [--weights nano] [--every 1] [--ways …]

The judge of `kinema evaluate` looks at each: at whole clips made at once; at clips whose first frame was made alone and
then given (what `kinema generate` does if the model has learnt images); at single images; and at clips that were given
the first frame of the true clip, which tells what better images could bring. Same prompt, same seed. Every core takes
prompts for itself. The command stops after ``--minutes``; repeated, it goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from kept import Kept, circumstances

import kinema
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.adherence import Expectation, Verdict, expectation_of, held_out_clips, judge_clip, scores
from kinema.files import whole_text
from kinema.sample.order import Order

WAYS = ("at once", "image first", "image", "true first frame")


load = cache(kinema.load)


def measure(weights: str, way: str, clip: Clip, wanted: Expectation, seed: int) -> dict[str, Any]:
    """What the judge sees of one prompt, sampled in one way."""
    torch.set_num_threads(1)  # again: rendering in this process sets them to all cores
    pipeline = load(weights)
    order = Order(wanted.prompt, seed=seed)
    if way == "image":
        order = dataclasses.replace(order, seconds=1 / pipeline.card.fps)
    if way == "true first frame":
        order = dataclasses.replace(order, image=clip.pixels_THW3[:1])
    request = pipeline.request(order)
    if request.sampled > 1 and way != "true first frame":
        request = dataclasses.replace(request, image_first=way == "image first")
    return dataclasses.asdict(judge_clip(pipeline.make(request).pixels, wanted))


def prompts(worlds: WorldsConfig, every: int) -> Iterator[tuple[int, Clip]]:
    """Held-out clips of the suite on adherence, with the seeds that it gives them."""
    return islice(enumerate(held_out_clips(worlds)), 0, None, every)


def main() -> None:
    """Measures prompt after prompt and writes the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--every", type=int, default=1, help="of so many prompts one")
    parser.add_argument("--minutes", type=float, default=9.5)
    options = parser.parse_args()
    pipeline = kinema.load(options.weights)
    kept = Kept(options.out, {"weights": pipeline.sha256}, options.minutes)
    clips = list(prompts(dataclasses.replace(pipeline.config.worlds, shapes=()), options.every))
    expectations = [expectation_of(clip) for _, clip in clips]
    rows: dict[str, list[Verdict]] = {way: [] for way in options.ways}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        waiting = {
            (seed, way): pool.submit(measure, options.weights, way, clip, wanted, seed)
            for (seed, clip), wanted in zip(clips, expectations, strict=True)
            for way in options.ways
            if f"{seed} {way}" not in kept.values
        }
        for seed, _ in clips:
            found = {}
            for way in options.ways:
                if kept.is_late and f"{seed} {way}" not in kept.values:
                    break
                found[way] = kept.get(f"{seed} {way}", lambda s=seed, w=way: waiting[s, w].result())
            if len(found) < len(options.ways):
                pool.shutdown(cancel_futures=True)
                break
            for way, seen in found.items():
                rows[way].append(Verdict(**{k: tuple(v) if isinstance(v, list) else v for k, v in seen.items()}))
    judged = expectations[: len(rows[options.ways[0]])]
    report = circumstances() | {"weights": pipeline.sha256, "prompts": len(judged), "complete": judged == expectations}
    report["rows"] = {
        way: {score.name: round(score.value, 3) for score in scores({"generated": seen}, judged)}
        for way, seen in rows.items()
    }
    for way, row in report["rows"].items():
        print(way, "  ".join(f"{name} {value}" for name, value in row.items()))
    whole_text(options.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

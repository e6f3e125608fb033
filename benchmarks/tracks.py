"""What a model makes of prompts when it is told the tracks of the true clip, those of its planner, or none.

python benchmarks/tracks.py OUT.json [--weights NAME|DIR] [--told truth plan nothing] [--offset SEED]

The 96 held-out prompts and the judge are those of the suite on adherence; prompt i has the seed OFFSET + i. ``planner``
is how often the planner's bodies are the prompt's: their number, all colours, all pairs of colour and shape.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kept import circumstances
from verdicts import plain

import kinema
from kinema.data import Tracks
from kinema.evaluate.adherence import Expectation, Verdict, expectation_of, held_out_clips, judge_clip, scores
from kinema.model.planner import plan
from kinema.sample.generate import always
from kinema.sample.pipeline import Pipeline

TOLD = ("truth", "plan", "nothing")


@dataclass(frozen=True)
class Given(Pipeline):
    """A pipeline that is given the tracks of what it draws."""

    tracks: tuple[Tracks, ...] = ()

    def _plans(self, request: Any, seeds: list[int]) -> tuple[Tracks, ...]:
        return self.tracks


def start(weights: str) -> None:
    """Loads the model in a worker."""
    global pipeline
    torch.set_num_threads(1)
    pipeline = kinema.load(weights)


def judged(told: str, wanted: Expectation, tracks: Tracks, seed: int) -> tuple[Verdict, Tracks | None]:
    """One video, and the plan it follows."""
    followed: Tracks | None = None
    if told == "truth":
        followed = tracks
    elif told == "plan" and pipeline.planner is not None:
        text = pipeline.tokenizer.pack([always(wanted.prompt)], pipeline.config.text.max_tokens)
        followed = plan(pipeline.planner, text, seed)
    model = Given(**vars(pipeline), tracks=() if followed is None else (followed,))
    return judge_clip(model.generate(wanted.prompt, seed=seed).pixels, wanted), followed


def bodies(colors: tuple[str, ...], shapes: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """The pairs of a clip."""
    return Counter(zip(colors, shapes, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--told", nargs="+", choices=TOLD, default=list(TOLD))
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    worlds = kinema.load(options.weights).worlds
    clips = [(expectation_of(clip), clip.tracks) for clip in held_out_clips(worlds)]
    wanted = [expectation for expectation, _ in clips]
    report: dict[str, Any] = {"weights": options.weights, "offset": options.offset, **circumstances()}
    with ProcessPoolExecutor(options.workers, initializer=start, initargs=(options.weights,)) as pool:
        for told in options.told:
            jobs = [
                pool.submit(judged, told, expectation, tracks, options.offset + index)
                for index, (expectation, tracks) in enumerate(clips)
            ]
            verdicts, plans = zip(*(job.result() for job in jobs), strict=True)
            shares = {score.name: round(score.value, 4) for score in scores({"generated": verdicts}, wanted)}
            off = [verdict.count - len(e.colors) for verdict, e in zip(verdicts, wanted, strict=True)]
            shares |= {"too_many": sum(n > 0 for n in off), "too_few": sum(n < 0 for n in off)}
            report[told] = shares | {"clips": [plain(verdict) for verdict in verdicts]}
            if told == "plan" and plans[0] is not None:
                pairs = [(p, e) for p, e in zip(plans, wanted, strict=True) if p is not None]
                report["planner"] = {
                    "count_right": sum(len(p.colors) == len(e.colors) for p, e in pairs) / len(pairs),
                    "colors_present": sum(set(e.colors) <= set(p.colors) for p, e in pairs) / len(pairs),
                    "bodies_right": sum(bodies(p.colors, p.shapes) == bodies(e.colors, e.shapes) for p, e in pairs)
                    / len(pairs),
                }
                print("planner", report["planner"], flush=True)
            print(told, shares, flush=True)
            options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

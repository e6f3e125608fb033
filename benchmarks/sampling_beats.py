"""Does each moment of a storyboard follow its own line? Two lines of two colours, one after the other.

    python benchmarks/sampling_beats.py OUT.json [--weights nano] [--sheet FILE.png]

Pairs of lines, told in a native clip and in 8 s made window after window. A frame follows its line if the judge of
`kinema evaluate` sees more of that line's colour than of the other's. The control has both lines all the time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from kept import circumstances

import kinema
from kinema.clips.contact_sheet import contact_sheet
from kinema.evaluate.judge import segment
from kinema.files import whole_text

SUMMARY = "bodies move on a grey floor"
LINES = {
    "red": "a red ball falls and bounces on a grey floor",
    "blue": "a blue cube slides down a brown ramp",
    "green": "a green cone falls onto a grey floor",
    "yellow": "a yellow ball hits a yellow cube on a grey floor",
}
PAIRS = (
    *(("red", "blue"), ("blue", "red"), ("green", "yellow")),
    *(("yellow", "green"), ("red", "yellow"), ("blue", "green")),
)
WAYS = {"native": 2.75, "rollout": 8.0}  # seconds


def storyboard(first: str, second: str, seconds: float, timed: bool) -> dict[str, Any]:
    """Two lines one after the other, or both all the time."""
    spans = ((0.0, seconds / 2), (seconds / 2, seconds)) if timed else ((0.0, seconds),) * 2
    beats = [
        {"at": at, "until": until, "text": LINES[c]} for c, (at, until) in zip((first, second), spans, strict=True)
    ]
    return {"summary": SUMMARY, "seconds": seconds, "beat": beats}


def followed(pixels_THW3: np.ndarray, first: str, second: str) -> list[float]:
    """The share of frames of the first and of the second half that show more of their own line's colour."""
    areas = {track.color: track.area_T for track in segment(pixels_THW3)}
    none_T = np.zeros(len(pixels_THW3))
    more_T = areas.get(first, none_T) - areas.get(second, none_T)
    half = len(more_T) // 2
    return [round(float((more_T[:half] > 0).mean()), 3), round(float((more_T[half:] < 0).mean()), 3)]


def main() -> None:
    """Makes all videos and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--sheet", type=Path, help="contact sheet of the timed videos")
    options = parser.parse_args()
    pipeline = kinema.load(options.weights)
    rows: list[dict[str, Any]] = []
    shown = []
    for seed, (first, second) in enumerate(PAIRS):
        for way, seconds in WAYS.items():
            row: dict[str, Any] = {"way": way, "first": first, "second": second, "seed": seed}
            for name, timed in (("timed", True), ("always", False)):
                board = storyboard(first, second, seconds, timed)
                video = pipeline.generate("", seed=seed, storyboard=board, rollout=way == "rollout")
                row[name] = followed(video.pixels, first, second)
                if timed:
                    shown.append(video.pixels)
            rows.append(row)
            print(row, flush=True)
    means = {
        f"{way}, {name}": np.round(np.mean([row[name] for row in rows if row["way"] == way], axis=0), 3).tolist()
        for way in WAYS
        for name in ("timed", "always")
    }
    report = {**circumstances(), "weights": pipeline.sha256, "own_colour_in_first_and_second_half": means, "rows": rows}
    whole_text(options.out, json.dumps(report, indent=1) + "\n")
    print(json.dumps(means, indent=1))
    if options.sheet:
        contact_sheet(shown, options.sheet)


if __name__ == "__main__":
    main()

"""Given frames, seams, loops, masks and remixes, measured on pixels with trained weights.

    python benchmarks/sampling_tasks.py OUT.json [--prompts 8] [--weights nano] [--sheet FILE.png]

Seams are in median changes from frame to frame, [of a second around the seam, of the whole video]: a body at rest
makes the second one large, whatever the seam. The jump of a loop is in median changes of the whole video. ``mask_edge``
is the step across a mask's edge in median steps between neighbouring columns, ``mask_border`` the steepest step there
and the difference of its two sides, in those of the clip, ``image_db`` the PSNR of the first frame,
read back from the MP4, and ``codec_db`` what the codec alone makes of it. ``remix`` is the mean distance from the clip
in codes at five strengths. Given pictures and clips are world clips of held-out seeds; what is connected are the first
and the last third of one. Repeated, the command goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from kept import Kept, circumstances
from numpy.typing import NDArray

import kinema
from kinema.clips.contact_sheet import contact_sheet
from kinema.clips.video_io import read_video
from kinema.evaluate.judge import FAMILIES
from kinema.files import whole_text
from kinema.sample.compose import FEATHER
from kinema.sample.generate import reconstruct
from kinema.sample.pipeline import Pipeline
from kinema.worlds.make import HELD_OUT_SEED, make_clip
from kinema.worlds.narration.narrate import short_prompt

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEW_S = 1.0
MOST = 1.5  # median changes that a seam may have

Frames = NDArray[np.uint8]


def changes(frames_THW3: Frames, axis: int = 0) -> NDArray[np.float64]:
    """Mean change along time (0) or columns (2), one value a step."""
    others = tuple(other for other in range(4) if other != axis)
    return np.asarray(np.abs(np.diff(frames_THW3.astype(float), axis=axis)).mean(axis=others))


def seam(frames_THW3: Frames, place: int, fps: float) -> list[float]:
    """The change to the frame after ``place``, in median changes [of a second around it, of the whole video]."""
    steps, half = changes(frames_THW3), round(fps / 2)
    near = steps[max(0, place - half) : place + half + 1]
    return [round(float(steps[place] / max(np.median(usual), 1e-3)), 3) for usual in (near, steps)]


def border(edited_THW3: Frames, clip_THW3: Frames, edge: int) -> list[float]:
    """The border of an edit, in units of the clip: [steepest step between columns, difference of its two sides].

    From the last column outside the mask to the one where the new picture is alone.
    """
    span = slice(edge - 1, edge + FEATHER + 1)
    pairs = []
    for frames_THW3 in (edited_THW3, clip_THW3):
        across_THW3 = frames_THW3[:, :, span].astype(float)
        sides = np.abs(across_THW3[:, :, -1] - across_THW3[:, :, 0]).mean()
        pairs.append((changes(frames_THW3[:, :, span], axis=2).max(), sides))
    return [round(float(ours / max(own, 1e-3)), 3) for ours, own in zip(*pairs, strict=True)]


def measure(pipeline: Pipeline, family: str, seed: int, clips: dict[str, Frames]) -> dict[str, Any]:
    """All tasks on one world clip; the videos are put into ``clips``."""
    card = pipeline.card
    given = make_clip(family, HELD_OUT_SEED + 1000 + seed, pipeline.worlds)
    assert given.state is not None
    prompt, clip, new = short_prompt(family, given.state), given.pixels_THW3, round(NEW_S * card.fps / 4) * 4

    def make(**options: Any) -> Frames:
        frames: Frames = pipeline.generate(prompt, seed=seed, **options).pixels
        clips[f"{next(iter(options))} {family}"] = frames
        return frames

    end, third, found = len(clip) - 1, len(clip) // 3, dict[str, Any](prompt=prompt)
    found["extend"] = seam(make(extend=clip, seconds=NEW_S), end, card.fps)
    found["backward"] = seam(make(backward=True, extend=clip, seconds=NEW_S), new - 1, card.fps)
    connected = make(connect=(clip[:third], clip[-third:]), seconds=NEW_S)
    found["connect"] = [seam(connected, place, card.fps) for place in (third - 1, len(connected) - third - 1)]
    looped = make(loop=True)
    jump = np.abs(looped[0].astype(float) - looped[-1]).mean()
    found["loop"] = round(float(jump / np.median(changes(looped))), 3)
    mask, edge = np.zeros((card.height, card.width, 3), np.uint8), card.width // 2 - 2
    mask[:, edge:] = 255
    edited = make(mask=mask, remix=clip)
    columns = changes(edited, axis=2)[edge - 10 : edge + 10]
    found["mask_edge"] = round(float(columns[9] / np.median(columns)), 3)
    found["mask_border"] = border(edited, clip, edge)
    found["outside_mask_codes"] = int(np.abs(edited[:, :, :edge].astype(int) - clip[:, :, :edge]).max())
    video = pipeline.generate(prompt, seed=seed, image=clip[:1], steps=4)
    with tempfile.TemporaryDirectory() as folder:
        stored = read_video(video.save(Path(folder) / "a.mp4")).pixels_THW3[0]
    found["image_db"] = round(float(10 * np.log10(255**2 / np.square(stored.astype(float) - clip[0]).mean())), 2)
    found["codec_db"] = round(reconstruct(pipeline.codec, clip[:1])[1], 2)
    away = [np.abs(make(remix=clip, strength=s).astype(float) - clip).mean() for s in STRENGTHS]
    found["remix"] = [round(float(distance), 2) for distance in away]
    return found


def main() -> None:
    """Measures world after world and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--sheet", type=Path, help="contact sheet of the videos that this call makes")
    parser.add_argument("--minutes", type=float, default=8.0)
    options = parser.parse_args()
    pipeline = kinema.load(options.weights)
    kept = Kept(options.out, {"weights": pipeline.sha256, "sampling": vars(pipeline.card.sampling)}, options.minutes)
    rows: list[dict[str, Any]] = []
    clips: dict[str, Frames] = {}
    for seed in range(options.prompts):
        family = FAMILIES[seed % len(FAMILIES)]
        if f"{family} {seed}" not in kept.values and kept.is_late:
            break
        rows.append(kept.get(f"{family} {seed}", lambda f=family, s=seed: measure(pipeline, f, s, clips)))
        print(json.dumps(rows[-1]), flush=True)
    flat = {
        name: np.concatenate([np.ravel(row[name]) for row in rows])
        for name in ("loop", "mask_edge", "outside_mask_codes")
    }
    for name in ("extend", "backward", "connect"):
        near_2 = np.concatenate([np.reshape(row[name], (-1, 2)) for row in rows])
        flat |= {f"{name}, a second around": near_2[:, 0], f"{name}, the whole": near_2[:, 1]}
    borders = np.array([row["mask_border"] for row in rows])
    flat |= {"mask_border, steepest": borders[:, 0], "mask_border, sides": borders[:, 1]}
    summary: dict[str, Any] = {name: [float(values.min()), float(values.max())] for name, values in flat.items()}
    summary["seams above 1.5"] = {
        name: f"{int((values > MOST).sum())} of {len(values)}"
        for name, values in flat.items()
        if name.partition(",")[0] in ("extend", "backward", "connect")
    }
    summary["mask_border, medians"] = [float(value) for value in np.median(borders, axis=0)]
    summary["image_minus_codec_db"] = [
        round(pick(row["image_db"] - row["codec_db"] for row in rows), 2) for pick in (min, max)
    ]
    for name, count in (("remix_grows", len(STRENGTHS)), ("remix_grows_below_1", len(STRENGTHS) - 1)):
        grows = [row["remix"][:count] == sorted(row["remix"][:count]) for row in rows]
        summary[name] = f"{sum(grows)} of {len(grows)}"
    report = circumstances() | {"weights": pipeline.sha256, "least_and_most": summary, "rows": rows}
    whole_text(options.out, json.dumps(report, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    if options.sheet and clips:
        length = min(len(clip) for clip in clips.values())
        shown = [clip[np.linspace(0, len(clip) - 1, length).round().astype(int)] for clip in clips.values()]
        contact_sheet(shown, options.sheet, columns=16, scale=1)


if __name__ == "__main__":
    main()

"""``kinema worlds``: list the families, or render one world from its seed."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from kinema.clips.video_io import check_output, write_video
from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.files import check_target, whole_file
from kinema.sample.request import parse_size
from kinema.shapes import VideoShape
from kinema.worlds.families import ABOUT


def run(options: argparse.Namespace) -> None:
    """Lists or renders.

    Raises:
        InputError: unknown family, or a seed, size, duration or file that is not possible.
        KinemaError: the disk is full.
    """
    if options.action == "list":
        for name, about in ABOUT.items():
            print(f"{name:10} {about}")
        return
    width, height = parse_size(options.size)
    shape = VideoShape.from_seconds(options.seconds, height, width, options.fps)
    check_output(options.out)
    if options.state:
        check_target(options.state)
    from kinema.worlds.make import make_clip  # numba and MuJoCo: only now that all else is known to be right

    worlds = WorldsConfig(height=height, width=width, frames=shape.frames, fps=options.fps)
    clip = make_clip(options.family, options.seed, worlds)
    write_video(options.out, clip.pixels_THW3, clip.fps, dataclasses.asdict(clip.source))
    if options.state:
        _write_state(options.state, clip)
    print(f"{options.out}: {shape.frames} frames of {width}x{height} at {options.fps:g} fps")
    print(f"short: {clip.caption.short}")
    print(f"summary: {clip.caption.summary}")
    for beat in clip.caption.beats:
        print(f"{beat.start_s:5.2f} to {beat.end_s:.2f} s: {beat.text}")


def _write_state(path: Path, clip: Clip) -> None:
    """Everything but the pixels, arrays as nested lists, SI units."""
    assert clip.state is not None
    tree = {
        name: dataclasses.asdict(facts)
        for name, facts in (("source", clip.source), ("caption", clip.caption), ("state", clip.state))
    }
    with whole_file(path) as part:
        part.write_text(json.dumps({"fps": clip.fps} | tree, default=lambda array: array.tolist()) + "\n")

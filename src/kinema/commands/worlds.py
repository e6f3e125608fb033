"""``kinema worlds``: list the families, render one world from its seed, or make shards of many."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kinema.clips.contact_sheet import contact_sheet
from kinema.clips.video_io import check_output, write_video
from kinema.config import WorldsConfig, nearest
from kinema.data import Clip
from kinema.errors import InputError
from kinema.files import check_target, make_folder_of, whole_file, whole_text
from kinema.sample.order import parse_size
from kinema.shapes import VideoShape
from kinema.worlds.families import ABOUT

SHEET_CLIPS = 6  # seeds of one family on a contact sheet
MAX_CLIPS = 10**9
MAX_SEED = 2**63 - 1


def run(options: argparse.Namespace) -> None:
    """Lists, renders or makes.

    Raises:
        InputError: unknown family, or a seed, size, duration or file that is not possible.
        KinemaError: the disk is full.
    """
    {"list": _list, "render": _render, "make": _make}[options.action](options)


def _list(options: argparse.Namespace) -> None:
    if options.contact_sheet:
        _check_sheet(options.contact_sheet)
    for name, about in ABOUT.items():
        print(f"{name:10} {about}")
    if options.contact_sheet:
        _write_sheet(options.contact_sheet, [(name, 0) for name in ABOUT], WorldsConfig())


def _render(options: argparse.Namespace) -> None:
    worlds = _worlds(options, (options.family,))
    _check_seeds(options.seed, options.seed)
    if not options.out and not options.contact_sheet:
        raise InputError("nothing to write: give --out FILE.mp4 or --contact-sheet FILE.png")
    if options.out:
        check_output(options.out)
    if options.contact_sheet:
        _check_sheet(options.contact_sheet)
    for path in filter(None, (options.state, options.depth)):
        if not options.out:
            raise InputError("--state and --depth belong to the clip of --out: give --out FILE.mp4")
        check_target(path)
    if options.contact_sheet:
        _check_seeds(options.seed, options.seed + SHEET_CLIPS - 1)
        seeds = range(options.seed, options.seed + SHEET_CLIPS)
        _write_sheet(options.contact_sheet, [(options.family, seed) for seed in seeds], worlds)
    if options.out:
        _write_clip(options, worlds)


def _write_clip(options: argparse.Namespace, worlds: WorldsConfig) -> None:
    from kinema.worlds.make import make_world  # numba and MuJoCo: only now that all else is known to be right

    world = make_world(options.family, options.seed, worlds, depth=options.depth is not None)
    clip = world.clip
    write_video(options.out, clip.pixels_THW3, clip.fps, dataclasses.asdict(clip.source))
    if options.state:
        _write_state(options.state, clip)
    if world.depth_THW is not None:
        with whole_file(options.depth) as part, part.open("wb") as file:
            np.savez_compressed(file, depth_m=world.depth_THW, ids=world.ids_THW)
    print(f"{options.out}: {worlds.frames} frames of {worlds.width}x{worlds.height} at {worlds.fps:g} fps")
    print(f"short: {clip.caption.short}")
    print(f"summary: {clip.caption.summary}")
    for beat in clip.caption.beats:
        print(f"{beat.start_s:5.2f} to {beat.end_s:.2f} s: {beat.text}")


def _make(options: argparse.Namespace) -> None:
    if not 1 <= options.clips <= MAX_CLIPS:
        raise InputError(f"--clips {options.clips} is not possible: give 1 to {MAX_CLIPS}")
    if options.shard_clips < 1:
        raise InputError(f"--shard-clips {options.shard_clips} is not possible: give 1 or more")
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers} is not possible: give 1 or more")
    families = tuple(options.families.split(",")) if options.families else tuple(ABOUT)
    worlds = dataclasses.replace(_worlds(options, families), clips=options.clips, first_seed=options.first_seed)
    _check_seeds(options.first_seed, options.first_seed + options.clips - 1)
    make_folder_of(options.out / "manifest.json")
    from kinema.clips.shards import make_shards  # numba and MuJoCo

    columns = (TextColumn("making clips"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=options.clips)
        damaged = make_shards(
            worlds,
            options.out,
            shard_clips=options.shard_clips,
            workers=options.workers,
            ray=options.ray,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for name in damaged:
        print(f"{options.out / name} was missing or damaged: made again from its seeds")
    print(f"{options.out}: {options.clips} clips of {worlds.frames} frames of {worlds.width}x{worlds.height}")


def _worlds(options: argparse.Namespace, families: tuple[str, ...]) -> WorldsConfig:
    """The clips' settings, checked."""
    for family in families:
        if family not in ABOUT:
            raise InputError(f"no family {family!r}: did you mean {nearest(family, list(ABOUT))}?")
    width, height = parse_size(options.size)
    shape = VideoShape.from_seconds(options.seconds, height, width, options.fps)
    return WorldsConfig(families=families, height=height, width=width, frames=shape.frames, fps=options.fps)


def _check_seeds(first: int, last: int) -> None:
    for seed in (first, last):
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed {seed} is not possible: give 0 to 2**63 - 1 ({MAX_SEED})")


def _check_sheet(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(f"cannot write {path.name!r}: give --contact-sheet a name that ends in .png")
    check_target(path)


def _write_sheet(path: Path, clips: list[tuple[str, int]], worlds: WorldsConfig) -> None:
    """One row for each (family, seed)."""
    from kinema.worlds.make import make_clip

    rows = [make_clip(family, seed, worlds).pixels_THW3 for family, seed in clips]
    with whole_file(path) as part:
        contact_sheet(rows, part, scale=max(1, 128 // worlds.height))
    print(f"{path}: {len(rows)} clips")


def _write_state(path: Path, clip: Clip) -> None:
    """Everything but the pixels, arrays as nested lists, SI units."""
    tree = {
        name: dataclasses.asdict(facts)
        for name, facts in (("source", clip.source), ("caption", clip.caption), ("state", clip.state))
        if facts is not None
    }
    whole_text(path, json.dumps({"fps": clip.fps} | tree, default=lambda array: array.tolist()) + "\n")

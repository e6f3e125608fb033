"""``kinema generate``: check everything, load, sample, write, and say what was understood."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kinema.captions.vocabulary import Vocabulary
from kinema.clips.video_io import check_output
from kinema.errors import InputError
from kinema.sample.request import Request, make_request, parse_size
from kinema.sample.weights import WeightsFolder

MAX_COUNT = 1000
SHOWN_WORDS = 20


def run(options: argparse.Namespace) -> None:
    """Makes ``options.count`` videos.

    Raises:
        InputError: any value that is not possible; found before the weights are loaded.
        KinemaError: damaged weights, or a full disk.
    """
    start_s = time.monotonic()
    if not 1 <= options.count <= MAX_COUNT:
        raise InputError(f"--count {options.count} is not possible: give 1 to {MAX_COUNT}")
    folder = WeightsFolder.find(options.weights)
    requests = [_request(options, folder, options.seed + index) for index in range(options.count)]
    targets = _targets(options.out, options.prompt, requests)
    for target in targets:
        check_output(target)

    with _progress(len(requests)) as bar:
        from kinema.sample import pipeline  # torch: only now that all else is known to be right

        loaded = pipeline.load(folder.path)
        for index, (request, target) in enumerate(zip(requests, targets, strict=True)):
            loaded.make(request, partial(bar, index)).save(target)
    for request, target in zip(requests, targets, strict=True):
        shape = request.shape
        sheet = " as a contact sheet" if target.suffix.lower() == ".png" and shape.frames > 1 else ""
        print(
            f"{target}: {shape.frames} frames of {shape.width}x{shape.height} at {request.fps:g} fps "
            f"({shape.frames / request.fps:.2f} s), seed {request.seed}{sheet}"
        )
    print(f"took {time.monotonic() - start_s:.1f} s")
    _report_words(loaded.vocabulary, options.prompt, loaded.tokens_cut(options.prompt))


def _request(options: argparse.Namespace, folder: WeightsFolder, seed: int) -> Request:
    return make_request(
        folder.card(),
        options.prompt,
        seconds=options.seconds,
        size=None if options.size is None else parse_size(options.size),
        fps=options.fps,
        seed=seed,
        steps=options.steps,
        guidance=options.guidance,
        negative=options.negative,
        solver=options.solver,
    )


def _targets(out: Path | None, prompt: str, requests: list[Request]) -> list[Path]:
    """One file per video; several get their seeds in their names."""
    if out is None:
        slug = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:40].strip("-")
        out = Path(f"{slug or 'video'}.mp4")
    if len(requests) == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{request.seed}{out.suffix}") for request in requests]


@contextmanager
def _progress(videos: int) -> Iterator[Callable[[int, int, int], None]]:
    """A bar on stderr, gone when the work is done; call it with videos done, steps done and steps of a video."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)
        yield lambda done, step, steps: progress.update(
            task, description="sampling", completed=done * steps + step, total=videos * steps
        )


def _report_words(vocabulary: Vocabulary, prompt: str, tokens_cut: int) -> None:
    understood, unknown = vocabulary.understood(prompt), vocabulary.unknown(prompt)
    print(f"understood: {_some(understood)}")
    if unknown:
        words = [f"{word} (near: {', '.join(near)})" if near else word for word, near in unknown]
        print(f"not known: {_some(words)}")
    if tokens_cut:
        print(f"the prompt is too long: its last {tokens_cut} tokens were not read")


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
    return ", ".join(words[:SHOWN_WORDS]) + more if words else "no word"

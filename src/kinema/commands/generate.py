"""``kinema generate``: check everything, load, sample, write, and say what was understood."""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import kinema
from kinema.captions.vocabulary import Vocabulary
from kinema.clips.video_io import check_output, read_video, video_writer
from kinema.errors import InputError
from kinema.sample.expand import expand, expand_online
from kinema.sample.order import Order
from kinema.sample.request import Request, make_request
from kinema.sample.weights import WeightsFolder

SHOWN_WORDS = 20


def run(options: argparse.Namespace) -> None:
    """Makes ``options.count`` videos, or one once more.

    Raises:
        InputError: any value that is not possible; found before the weights are loaded.
        KinemaError: damaged weights, or a full disk.
    """
    start_s = time.monotonic()
    folder = WeightsFolder.find(options.weights)
    requests = [_again(options, folder)] if options.again else _requests(options, folder)
    request = requests[0]
    targets = _targets(options, requests)
    for target in targets:
        check_output(target)

    with _progress() as bar:
        from kinema.sample import pipeline  # torch: only now that all else is known to be right

        loaded = pipeline.load(folder.path)
        if options.expand or options.expand_url:
            print(f"prompt: {request.prompt}")
        cost = request.cost
        print(
            f"{cost.tokens:,} tokens, {request.steps_taken} steps: about {_duration(loaded.seconds(request))} "
            f"and {cost.memory_bytes / 1e9:.1f} GB",
            flush=True,
        )
        latents = loaded.sample(request, bar)
        for variation, target in zip(requests, targets, strict=True):
            with video_writer(target, variation.fps, loaded.facts(variation)) as writer:
                for frame_HW3 in loaded.frames(variation, latents[variation.index]):
                    writer.write(frame_HW3[None])
    for variation, target in zip(requests, targets, strict=True):
        print(_result(variation, target))
    print(f"took {time.monotonic() - start_s:.1f} s")
    text = " ".join([request.prompt, *(beat.text for beat in request.beats)])
    _report_words(loaded.vocabulary, text, loaded.tokens_cut(request))


def _requests(options: argparse.Namespace, folder: WeightsFolder) -> list[Request]:
    """What the options ask for, once per variation."""
    order = Order.of({field.name: getattr(options, field.name) for field in dataclasses.fields(Order)})
    if options.expand_url:
        order = dataclasses.replace(order, prompt=expand_online(order.prompt, options.expand_url, options.expand_model))
    elif options.expand:
        order = dataclasses.replace(order, prompt=expand(order.prompt, folder.vocabulary()))
    request = make_request(folder.card(), folder.config(), order)
    return [dataclasses.replace(request, index=index) for index in range(request.count)]


def _again(options: argparse.Namespace, folder: WeightsFolder) -> Request:
    """What made a generated file."""
    file: Path = options.again
    plain = Order()
    for field in dataclasses.fields(Order):
        if getattr(options, field.name) != getattr(plain, field.name):
            raise InputError(f"--again takes all settings from {file}: leave out the prompt and other options")
    facts = read_video(file, max_seconds=1e-6).metadata
    if not {"order", "index", "sources", "weights", "kinema"} <= facts.keys():
        raise InputError(f"{file} does not say how it was made: give an .mp4 or .webm that `kinema generate` wrote")
    if facts["weights"].get("sha256") != folder.sha256():
        name = facts["weights"].get("name")
        raise InputError(f"{file} was made with other weights ({name}): give them with --weights")
    if facts["kinema"] != kinema.__version__:
        raise InputError(f"{file} was made by kinema {facts['kinema']}, this is {kinema.__version__}: install that one")
    for option, source in facts["sources"].items():
        if source["file"] is None:
            raise InputError(f"{file} was made from frames in memory ({option}): it cannot be made again from the file")
    request = make_request(folder.card(), folder.config(), Order.of(facts["order"]), int(facts["index"]))
    for option, source in facts["sources"].items():
        if request.sources.get(option) != source:
            raise InputError(f"{source['file']} has changed since {file} was made: put the old one back")
    return request


def _targets(options: argparse.Namespace, requests: list[Request]) -> list[Path]:
    """One file per video; several get their seeds in their names."""
    if options.again:
        again: Path = options.again
        return [options.out or again.with_name(f"{again.stem}-again{again.suffix}")]
    slug = re.sub(r"[^a-z0-9]+", "-", requests[0].prompt.lower())[:40].strip("-")
    out: Path = options.out or Path(f"{slug or 'video'}.mp4")
    if len(requests) == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{request.seed + request.index}{out.suffix}") for request in requests]


def _result(request: Request, target: Path) -> str:
    shape, frames = request.shape, request.task.frames
    sheet = " as a contact sheet" if target.suffix.lower() == ".png" and frames > 1 else ""
    return (
        f"{target}: {frames} frames of {shape.width}x{shape.height} at {request.fps:g} fps "
        f"({frames / request.fps:.2f} s), seed {request.seed + request.index}{sheet}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, gone when the work is done; call it with steps done and steps in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)

        def update(step: int, steps: int) -> None:
            progress.update(task, description="writing" if step == steps else "sampling", completed=step, total=steps)

        yield update


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _report_words(vocabulary: Vocabulary, text: str, tokens_cut: int) -> None:
    understood, unknown = vocabulary.understood(text), vocabulary.unknown(text)
    print(f"understood: {_some(understood)}")
    if unknown:
        words = [f"{word} (near: {', '.join(near)})" if near else word for word, near in unknown]
        print(f"not known: {_some(words)}")
    if not understood:
        print(
            "these weights know none of the words, so the video does not follow them: see `kinema info` for all words"
        )
    if tokens_cut:
        print(f"the prompt is too long: its last {tokens_cut} tokens were not read")


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
    return ", ".join(words[:SHOWN_WORDS]) + more if words else "no word"

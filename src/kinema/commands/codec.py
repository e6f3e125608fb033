"""``kinema codec``: what the video autoencoder keeps of a video."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kinema.clips.reading import VideoReader, open_video
from kinema.clips.video_io import check_output, video_writer
from kinema.errors import InputError
from kinema.sample.weights import WeightsFolder

WHOLE = 0.9  # of the duration that a file states, and nothing is said about what is missing


def run(options: argparse.Namespace) -> None:
    """Encodes and decodes a video from file to file, frame by frame, and prints how close the result is.

    Raises:
        InputError: no video in the file, frames too large, or an output that cannot be written.
        KinemaError: damaged weights, or a full disk.
    """
    check_output(options.out)
    if options.out.resolve() == options.file.resolve():
        raise InputError(f"--out {options.out} is the video itself: give another name")
    folder = WeightsFolder.find_codec(options.weights)
    with open_video(options.file) as reader:
        import torch  # only now that all else is known to be right

        from kinema.codec.pixels import fast_bf16
        from kinema.codec.reconstruct import reconstruct

        codec = folder.codec()
        with video_writer(options.out, reader.fps) as writer:
            frames = _with_progress(reader.frames(), reader)
            closeness = reconstruct(codec, frames, writer.write, fast_bf16(torch.device("cpu")))
    for line in _notes(options.file, reader, closeness.frames):
        print(line)
    print(f"{options.out}: {closeness.frames} frames of {reader.width}x{reader.height} at {reader.fps:g} fps")
    ssim = f"SSIM {closeness.ssim:.4f}" if closeness.has_ssim(reader.height, reader.width) else "too small for SSIM"
    print(f"PSNR {closeness.psnr_db:.2f} dB, {ssim}")


def _notes(path: Path, reader: VideoReader, frames: int) -> Iterator[str]:
    """What happened to this file on the way."""
    if reader.damaged:
        yield f"{path} is damaged: {reader.damaged} packets could not be decoded and were left out"
    read_s = frames / reader.fps
    if reader.seconds and not reader.has_audio and read_s < WHOLE * reader.seconds:  # sound may be longer than pictures
        yield f"{path} is damaged or cut off: it says {reader.seconds:.2f} s, and {read_s:.2f} s could be read"
    if reader.uneven:
        yield f"variable frame rate: made constant, {reader.uneven} frames repeated or dropped"
    if reader.has_audio:
        yield "the sound was left out"


def _with_progress(frames: Iterable[NDArray[np.uint8]], reader: VideoReader) -> Iterator[NDArray[np.uint8]]:
    """The same frames, with a bar on a terminal."""
    total = None if reader.seconds is None else max(1, round(reader.seconds * reader.fps))
    console = Console(stderr=True)
    columns = (TextColumn("reconstructing"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(frames, total=total)

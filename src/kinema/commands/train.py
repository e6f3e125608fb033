"""``kinema train``: the codec, then the model on its latents. The same command again resumes."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from kinema.card import Card
from kinema.config import Config, override, preset, to_dict
from kinema.errors import InputError


def run(options: argparse.Namespace) -> None:
    """Trains, and exports the model's weights when it stops.

    Raises:
        InputError: unknown preset or setting, a missing codec, or a run folder that cannot be used.
        KinemaError: training diverged, or the disk is full.
    """
    config = override(preset(options.preset), options.set)
    _check(options)
    if options.dry_run:
        print(json.dumps(to_dict(config), indent=2))
        return
    if options.what == "codec":
        from kinema.train.codec import train_codec

        print(f"wrote {train_codec(config, options.out, stop_after=options.stop_after)}")
    else:
        print(f"wrote {_train_model(config, options.codec, options.out, options.stop_after)}")


def _check(options: argparse.Namespace) -> None:
    if options.what == "model" and options.codec is None:
        raise InputError("kinema train model needs --codec DIR: the run folder of `kinema train codec`")
    if options.what == "codec" and options.codec is not None:
        raise InputError("--codec is for `kinema train model`: leave it out")
    if options.codec is not None and not (options.codec / "codec.safetensors").is_file():
        raise InputError(
            f"{options.codec} holds no trained codec: run `kinema train codec --out {options.codec}` first"
        )
    if options.stop_after is not None and not options.stop_after > 0:
        raise InputError(f"--stop-after {options.stop_after:g} is not possible: give seconds, more than 0")
    existing = next(folder for folder in (options.out, *options.out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"cannot write in {existing}: choose another --out")


def _train_model(config: Config, codec_run: Path, out: Path, stop_after: float | None) -> Path:
    from kinema.codec.autoencoder import load_codec  # torch: only now that the options are known to be right
    from kinema.train.export import export
    from kinema.train.latents import make_latents
    from kinema.train.model import train_model

    load_codec(config.codec, codec_run)  # fails now if it does not fit, not after hours
    make_latents(config, codec_run, out / "latents")
    result = train_model(config, out / "latents", out, stop_after)
    worlds = config.worlds
    training = {"clips": worlds.clips, "steps": result.step, "flops": f"{result.flops:.3g}"}
    card = Card(config.name, worlds.height, worlds.width, worlds.frames, worlds.fps, training=training)
    return export(config, codec_run, out, out / "weights", card)

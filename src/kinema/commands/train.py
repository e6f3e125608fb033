"""``kinema train``: the codec, latents, the planner, the model; in one process, or in many under torchrun.

The same command again resumes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.card import Card, SamplingDefaults
from kinema.clips.footage import find_footage
from kinema.config import Config, WorldsConfig, load, override, preset, to_dict
from kinema.errors import InputError
from kinema.sample.weights import WeightsFolder, codec_folder
from kinema.shapes import VideoShape
from kinema.train.memory import keep_freed_memory

if TYPE_CHECKING:
    from kinema.train.loop import FitResult
    from kinema.train.parallel import Team

logger = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> None:
    """Trains, and exports the model's weights when it stops.

    Raises:
        InputError: unknown preset or setting, a missing codec, or a run folder that cannot be used.
        KinemaError: training diverged, or the disk is full.
    """
    config = override(preset(options.preset), options.set)
    _check_shapes(config.worlds)
    _check(options)
    init = None
    if options.init is not None:
        is_codec = options.what == "codec"
        init = _codec_folder(options.init, config) if is_codec else WeightsFolder.find(options.init).path
    from kinema.train.growing import check_growth  # torch: only now that the options are known to be right
    from kinema.train.model import check_network
    from kinema.train.parallel import assemble

    check_growth(config)
    check_network(config)

    with assemble() as team:
        estimate = _estimate(options, config, team)
        if options.dry_run:
            if team.leads:
                print(json.dumps(to_dict(config) | {"estimate": estimate}, indent=2))
            return
        _check_disk(options.out, estimate["disk_gb"])
        keep_freed_memory()
        if options.what == "codec":
            from kinema.train.codec import train_codec

            written = train_codec(config, options.out, options.stop_after, options.data, init, team)
        elif options.what == "latents":
            from kinema.train.latents import make_latents

            written = options.out / "latents"
            if team.leads:
                make_latents(config, options.codec, written, team.device, options.stop_after, options.workers)
        elif options.what == "planner":
            from kinema.train.planner import train_planner

            written = train_planner(config, options.out, options.stop_after, team)
        else:
            written = _train_model(config, options.codec, options.out, options.stop_after, init, team)
        if team.leads:
            print(f"wrote {written}")


def _check(options: argparse.Namespace) -> None:
    if options.what in ("latents", "model") and options.codec is None:
        raise InputError(f"kinema train {options.what} needs --codec DIR: the run folder of `kinema train codec`")
    if options.what in ("codec", "planner") and options.codec is not None:
        raise InputError("--codec is for `kinema train latents` and `kinema train model`: leave it out")
    if options.what in ("latents", "planner") and options.init is not None:
        raise InputError("--init is for the codec and the model: leave it out")
    if options.workers is not None and (options.what != "latents" or options.workers < 1):
        raise InputError("--workers is for `kinema train latents`: give 1 or more processes there, or leave it out")
    if options.data is not None:
        if options.what != "codec":
            raise InputError("--data is for `kinema train codec`: leave it out")
        find_footage(options.data)
    if options.codec is not None:
        options.codec = codec_folder(options.codec)
        may_train_still = options.what == "latents" and (options.codec / "run.json").is_file()
        if not may_train_still:
            _check_codec(options.codec)
    if options.stop_after is not None and not options.stop_after > 0:
        raise InputError(f"--stop-after {options.stop_after:g} is not possible: give seconds, more than 0")
    existing = _existing(options.out)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"cannot write in {existing}: choose another --out")


def _check_codec(folder: Path) -> None:
    if not (folder / "codec.safetensors").is_file():
        raise InputError(f"{folder} holds no trained codec: run `kinema train codec --out {folder}` first")
    if not any((folder / name).is_file() for name in ("scores.json", "card.json")):
        raise InputError(f"{folder} has no scores.json: let `kinema train codec --out {folder}` finish")


def _check_shapes(worlds: WorldsConfig) -> None:
    """Fails now if training clips cannot have the shapes of a recipe.

    Raises:
        InputError: names the first impossible shape, or shares that are no shares.
    """
    VideoShape(worlds.frames, worlds.height, worlds.width)
    for height, width, frames, share in worlds.shapes:
        VideoShape(frames, height, width)
        if not 0 < share <= 1:
            raise InputError(f"worlds.shapes has a share of {share:g}: give more than 0 and at most 1")
    if (total := sum(share for *_, share in worlds.shapes)) > 1 + 1e-9:
        raise InputError(f"the shares of worlds.shapes add up to {total:g}: give at most 1")


def _codec_folder(name_or_folder: str, config: Config) -> Path:
    """The folder of a codec to start from: a run, exported weights, or built-in ones.

    Raises:
        InputError: there is none, or its configuration differs.
    """
    folder = WeightsFolder.find_codec(name_or_folder).path
    theirs, ours = to_dict(load(folder / "config.json").codec), to_dict(config.codec)
    differ = [key for key in theirs if theirs[key] != ours[key] and key != "latent_noise"]  # of the training alone
    if differ:
        needed = " ".join(f"--set codec.{key}={theirs[key]}" for key in differ)
        raise InputError(f"the codec of --init {name_or_folder} is of another shape: add {needed}")
    return folder


def _existing(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _estimate(options: argparse.Namespace, config: Config, team: Team) -> dict[str, Any]:
    from kinema.train import estimate

    kinds = {"codec": estimate.estimate_codec, "planner": estimate.estimate_planner}
    return kinds.get(options.what, estimate.estimate_model)(config, team)


def _check_disk(out: Path, needed_gb: float) -> None:
    """Fails now if the disk has no room for a new run; one that is resumed has most of its files already.

    Raises:
        InputError: says how much there is and how much the run needs.
    """
    free_gb = shutil.disk_usage(_existing(out)).free / 1e9
    if free_gb < needed_gb and not (out / "run.json").exists():
        raise InputError(
            f"the disk of {out} has {free_gb:.3g} GB free and this run needs about {needed_gb:.3g} GB: "
            "make room or choose another --out"
        )


def _train_model(
    config: Config, codec_run: Path, out: Path, stop_after: float | None, init: Path | None, team: Team
) -> Path:
    from kinema.codec.autoencoder import load_codec
    from kinema.train.export import export
    from kinema.train.latents import make_latents
    from kinema.train.loop import exported_average
    from kinema.train.metrics import loss_curve
    from kinema.train.model import train_model
    from kinema.train.planner import FILE as PLANNER

    exported_average(config.train_model)  # raises if there is none
    codec = load_codec(config.codec, codec_run).to(team.device)  # fails now if it does not fit, not after hours
    start_s = time.monotonic()
    makes = team.leads and not config.train_model.first_clips  # else `kinema train latents` does
    is_complete = make_latents(config, codec_run, out / "latents", team.device, stop_after) if makes else True
    if team.add([not is_complete])[0]:
        return out / "latents"
    left_s = None if stop_after is None else max(0.0, stop_after - (time.monotonic() - start_s))
    result = train_model(config, out / "latents", out, left_s, init, team, codec)
    if team.leads:
        with suppress(InputError):  # matplotlib is optional
            loss_curve(out)
        planner = out / PLANNER
        if config.model.tracks and not planner.is_file():
            logger.info("%s is missing: these weights draw without a plan; `kinema train planner` makes one", planner)
        export(config, codec_run, out, out / "weights", _card(config, codec_run, out, result, init), planner)
    team.wait()
    return out / "weights"


def _card(config: Config, codec_run: Path, out: Path, result: FitResult, init: Path | None) -> Card:
    """What these weights are for and how they came to be, from the files of both runs."""
    from kinema.train.metrics import read_metrics
    from kinema.worlds.make import VERSION

    worlds = config.worlds
    seeds = f"{worlds.first_seed} to {worlds.first_seed + worlds.clips - 1}"
    training: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "data": f"{worlds.clips} simulated clips, version {VERSION}, seeds {seeds}: {', '.join(worlds.families)}",
        "parameters": f"{sum(p.numel() for p in result.module.parameters()) / 1e6:.1f} million without the codec",
    }
    effort = _effort("model", out) | {"model_flops": f"{result.flops:.3g}"}
    sampling = SamplingDefaults(shift=config.flow.shift)
    if init is not None:
        before = WeightsFolder(init).card()
        training["started_from"] = init.name
        effort = _in_all(effort, before.training)
        sampling = before.sampling  # was chosen by looking, and holds for what goes on from there
    codec_training, scores = _codec_facts(codec_run)
    training |= codec_training | effort
    held_out = [line["held_out"] for line in read_metrics(out) if "held_out" in line]
    if held_out:
        scores["held_out_loss"] = round(held_out[-1], 4)
    return Card(
        config.name,
        worlds.height,
        worlds.width,
        worlds.frames,
        worlds.fps,
        about="Text to video of simple simulated bodies, in English words of its own worlds; no natural video.",
        sampling=sampling,
        training=training,
        scores=scores,
    )


def _in_all(effort: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The effort of a run and of those that made the weights it started from, if their card tells it."""
    if not effort.keys() <= before.keys():
        return effort
    earlier, own = (f"{told['model_steps']} steps ({told['model_flops']} FLOPs)" for told in (before, effort))
    return {
        "model_steps": before["model_steps"] + effort["model_steps"],
        "model_hours": round(before["model_hours"] + effort["model_hours"], 2),
        "model_flops": f"{float(before['model_flops']) + float(effort['model_flops']):.3g}",
        "model_runs": f"{before.get('model_runs', earlier)}, then {own}",
    }


def _codec_facts(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """How a codec was trained and how it scores, for a card: from its run, or from the card of exported weights."""
    if (folder / "scores.json").is_file():
        scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        return _effort("codec", folder), {f"codec_{key}": round(value, 3) for key, value in scores.items()}
    card = WeightsFolder(folder).card()
    training = {key: value for key, value in card.training.items() if key.startswith("codec_")}
    return training, {key: value for key, value in card.scores.items() if key.startswith("codec_")}


def _effort(name: str, run: Path) -> dict[str, Any]:
    """Steps and hours of a run, for a card."""
    from kinema.train.metrics import read_metrics

    lines = read_metrics(run)
    hours = sum(line.get("seconds", 0.0) for line in lines) / 3600
    return {f"{name}_steps": int(max(line["step"] for line in lines)), f"{name}_hours": round(hours, 2)}

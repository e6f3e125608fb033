"""Held-out loss against compute: sizes × budgets, a fitted power law, and one prompt at growing compute.

    python benchmarks/scaling.py --out runs/out/scaling --report benchmarks/scaling_1core_DATE.json \\
        --page docs/scaling.md

Latents of the built-in codec are made once; every run resumes, so the command may be cut and repeated. Beside the
report appear a plot and a contact sheet: the same prompt and seed at 1×, 4× and 16× compute, a row each.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

import kinema
from kinema import config as configs
from kinema.card import Card, SamplingDefaults
from kinema.clips.contact_sheet import contact_sheet
from kinema.config import Config, ModelConfig, TextConfig, TrainConfig, WorldsConfig
from kinema.sample.weights import WeightsFolder
from kinema.shapes import VideoShape
from kinema.train.export import export
from kinema.train.latents import make_latents
from kinema.train.metrics import read_metrics
from kinema.train.model import train_model
from kinema.train.speed import flops_of_clip, meta_model

FAMILIES = ("fall", "throw", "collide", "ramp")
BUDGETS = (1, 4, 16)  # times --flops
TEXT = TextConfig(vocab_size=512, width=64, depth=1, heads=2)
TEXT_TOKENS = 60.0  # of a clip, about; the metrics have the exact number
BATCH = 8
MARKER = "## Measured"
PROMPT, SEED = "a red ball falls and bounces on a grey floor", 0


def recipe(width: int, depth: int, budget_flops: float, clips: int, frames: int, codec: Config) -> Config:
    """One run: as many steps as the budget pays for; everything else is equal."""
    worlds = WorldsConfig(families=FAMILIES, frames=frames, clips=clips)
    model = ModelConfig(width=width, depth=depth, heads=width // 16)
    grid = VideoShape(frames, worlds.height, worlds.width).tokens
    steps = max(4, round(budget_flops / (BATCH * flops_of_clip(TEXT, model)(grid, TEXT_TOKENS))))
    train = TrainConfig(
        steps=steps,
        batch=BATCH,
        warmup_steps=max(2, steps // 20),
        decay_share=0.4,
        ema_decay=0.99,
        beats_dropout=0.6,
        checkpoint_every=max(1, min(200, steps // 2)),
        validate_every=steps,
        log_every=100,
    )
    flow = configs.FlowConfig(shift=2.0, clean_first_share=0.1, independent_share=0.1)
    return dataclasses.replace(
        codec, name="scaling", worlds=worlds, text=TEXT, model=model, flow=flow, train_model=train
    )


def train_all(options: argparse.Namespace, codec: Path) -> list[dict[str, Any]]:
    """Every size at every budget, smallest budget first; a finished run is only read."""
    base, out, runs = configs.load(codec / "config.json"), options.out, []
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
    first = recipe(*sizes[0], options.flops, options.clips, options.frames, base)
    make_latents(first, codec, out / "latents")
    for times in BUDGETS:
        for width, depth in sizes:
            config = recipe(width, depth, times * options.flops, options.clips, options.frames, base)
            folder = out / f"w{width}_{times}x"
            result = train_model(config, out / "latents", folder)
            lines = read_metrics(folder)
            held_out = [line for line in lines if "held_out" in line][-1]
            network = meta_model(config.text, config.model)
            runs.append(
                {
                    "width": width,
                    "depth": depth,
                    "times": times,
                    "parameters": sum(p.numel() for p in network.parameters()),
                    "steps": config.train_model.steps,
                    "flops": result.flops,
                    "seconds": round(sum(line.get("seconds", 0.0) for line in lines), 1),
                    **{key: round(value, 5) for key, value in held_out.items() if key != "step"},
                }
            )
            logging.info("width %d at %dx: held-out %.4f", width, times, held_out["held_out"])
    return runs


def frontier(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best size of every budget."""
    return [min((r for r in runs if r["times"] == t), key=lambda r: r["held_out"]) for t in BUDGETS]


def fit_power_law(flops: list[float], losses: list[float]) -> dict[str, float]:
    """L = c + a·C^−b, with least squares in log(L − c) for the c that leaves the smallest error in L.

    Three points determine three numbers, so the floor c is a guess until there are more budgets; ``plain`` has c = 0.

    Returns:
        ``a``, ``b``, ``c`` and the root mean square error; ``plain_a``, ``plain_b`` and theirs for c = 0.
    """
    log_C, loss = np.log(np.array(flops)), np.array(losses)

    def fitted(c: float) -> tuple[float, float, float]:
        slope, intercept = np.polyfit(log_C, np.log(loss - c), 1)
        error = c + np.exp(intercept + slope * log_C) - loss
        return float(np.sqrt(np.mean(error**2))), float(np.exp(intercept)), float(-slope)

    floors = np.linspace(0, loss.min() * 0.999, 400)
    c = float(min(floors, key=lambda floor: fitted(floor)[0]))
    (rms, a, b), (plain_rms, plain_a, plain_b) = fitted(c), fitted(0.0)
    return {"a": a, "b": b, "c": c, "rms": rms, "plain_a": plain_a, "plain_b": plain_b, "plain_rms": plain_rms}


def predictions(law: dict[str, float]) -> dict[str, dict[str, float]]:
    """What the law says of the whole recipes of larger presets, far outside what was measured."""
    told = {}
    for name in ("nano", "small", "base", "large"):
        config = configs.preset(name)
        worlds, train = config.worlds, config.train_model
        grid = VideoShape(worlds.frames, worlds.height, worlds.width).tokens
        flops = train.steps * train.batch * flops_of_clip(config.text, config.model)(grid, TEXT_TOKENS)
        told[name] = {
            "flops": flops,
            "loss": law["c"] + law["a"] * flops ** -law["b"],
            "loss_without_floor": law["plain_a"] * flops ** -law["plain_b"],
        }
    return told


def plot(runs: list[dict[str, Any]], law: dict[str, float], path: Path) -> None:
    """Loss against compute, a curve a size, with the law."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(7, 4.5), layout="constrained")).subplots()
    for width in sorted({r["width"] for r in runs}):
        mine = [r for r in runs if r["width"] == width]
        label = f"width {width}, {mine[0]['parameters'] / 1e6:.2f}M parameters"
        axes.plot([r["flops"] for r in mine], [r["held_out"] for r in mine], marker="o", label=label)
    C = np.geomspace(min(r["flops"] for r in runs), 4 * max(r["flops"] for r in runs), 100)
    axes.plot(
        C, law["c"] + law["a"] * C ** -law["b"], "k--", label=f"{law['c']:.3f} + {law['a']:.3g} C^-{law['b']:.3f}"
    )
    axes.set(xscale="log", xlabel="training FLOPs", ylabel="held-out loss")
    axes.legend()
    figure.savefig(path, dpi=120)


def samples(options: argparse.Namespace, runs: list[dict[str, Any]], codec: Path, path: Path) -> None:
    """The same prompt and seed from the best size of each shown budget, a row each."""
    rows = []
    for best in frontier(runs):
        folder = options.out / f"w{best['width']}_{best['times']}x"
        config = configs.load(folder / "config.json")
        worlds, sampling = config.worlds, SamplingDefaults(steps=30, guidance=2.0, shift=config.flow.shift)
        card = Card("scaling", worlds.height, worlds.width, worlds.frames, worlds.fps, sampling)
        weights = export(config, codec, folder, folder / "weights", card)
        rows.append(kinema.load(weights).generate(PROMPT, seed=SEED).pixels)
    contact_sheet(rows, path, columns=9)


def page(report: dict[str, Any], path: Path, link: str) -> None:
    """Replaces what follows the marker of a page by the tables of a report."""
    law, times = report["law"], sorted({run["times"] for run in report["runs"]})
    lines = [
        MARKER,
        "",
        f"By `{report['command']}` ([raw]({link}.json)): {report['clips']} clips of {', '.join(report['families'])}, "
        f"{report['frames']} frames at 64×64, {report['training_seconds']} s of training on one core.",
        "",
        "| parameters | " + " | ".join(f"held-out at {t}×" for t in times) + " |",
        "|---|" + "---|" * len(times),
    ]
    for width in sorted({run["width"] for run in report["runs"]}):
        mine = {run["times"]: run for run in report["runs"] if run["width"] == width}
        losses = " | ".join(f"{mine[t]['held_out']:.4f}" for t in times)
        lines.append(f"| {next(iter(mine.values()))['parameters'] / 1e6:.2f}M | {losses} |")
    lines += [
        "",
        f"The best size of every budget follows L = {law['c']:.3f} + {law['a']:.3g} · C^−{law['b']:.3f} (root mean "
        f"square error {law['rms']:.1g}), or without a floor {law['plain_a']:.3g} · C^−{law['plain_b']:.3f} "
        f"({law['plain_rms']:.1g}).",
        "",
        f"![Loss against compute]({link}.png)",
        f"![{report['prompt']}, seed {SEED}: 1×, 4×, 16×]({link}_samples.png)",
        "",
        "What the law says of whole presets, with and without the floor:",
        "",
        "| preset | training FLOPs | loss | without floor |",
        "|---|---|---|---|",
        *(
            f"| {name} | {told['flops']:.2g} | {told['loss']:.3f} | {told['loss_without_floor']:.3f} |"
            for name, told in report["predictions"].items()
        ),
    ]
    kept = path.read_text(encoding="utf-8").partition(MARKER)[0].rstrip()
    path.write_text(kept + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Trains what is missing, fits, and writes the report and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--report", type=Path, required=True, help="JSON; pictures appear beside it")
    parser.add_argument("--page", type=Path, help="whose end is written anew, for example docs/scaling.md")
    parser.add_argument("--flops", type=float, default=5e10, help="of the smallest budget (5e10)")
    parser.add_argument("--sizes", nargs="+", default=["48x3", "80x3", "128x3"], help="WIDTHxDEPTH")
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--frames", type=int, default=17)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start_s, codec = time.monotonic(), WeightsFolder.find("nano").path
    runs = train_all(options, codec)
    best = frontier(runs)
    law = fit_power_law([r["flops"] for r in best], [r["held_out"] for r in best])
    plot(runs, law, options.report.with_suffix(".png"))
    samples(options, runs, codec, options.report.with_name(f"{options.report.stem}_samples.png"))
    report = {
        "command": f"python benchmarks/scaling.py --flops {options.flops:g} --sizes {' '.join(options.sizes)}",
        "machine": platform.processor() or platform.machine(),
        "clips": options.clips,
        "frames": options.frames,
        "families": FAMILIES,
        "prompt": PROMPT,
        "seconds_of_this_call": round(time.monotonic() - start_s),
        "training_seconds": round(sum(r["seconds"] for r in runs)),
        "law": law,
        "frontier": [(r["flops"], r["width"], r["held_out"]) for r in best],
        "predictions": predictions(law),
        "runs": runs,
    }
    options.report.write_text(json.dumps(report, indent=1) + "\n")
    if options.page is not None:
        page(report, options.page, os.path.relpath(options.report.with_suffix(""), options.page.parent))


if __name__ == "__main__":
    main()

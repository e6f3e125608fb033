"""Other ways through the network, at equal operations: tokens that skip the middle blocks, or blocks for details.

    python benchmarks/networks.py --latents DIR --out runs/out/networks --report benchmarks/networks_1core_DATE.json

All arms are runs of `train_model` from nothing on the same latents of all families, with the same seeds; one whose
clips take fewer operations takes more steps. Runs resume. The report has the held-out loss by noise level, which is
always that of the whole model, and the seconds of all steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kinema import config as configs
from kinema.config import Config, FlowConfig, ModelConfig, TextConfig, TrainConfig
from kinema.files import whole_text
from kinema.shapes import VideoShape
from kinema.train.metrics import read_metrics
from kinema.train.model import train_model
from kinema.train.speed import flops_of_clip


@dataclass(frozen=True)
class Arm:
    """What is compared."""

    about: str
    skipped: float = 0.0
    detail_width: int = 0


ARMS = {
    "plain": Arm("all tokens in all blocks"),
    "routed": Arm("half skip the middle, until the rate falls (TREAD)", skipped=0.5),
    "detail": Arm("two blocks on every latent position", detail_width=64),
}
TEXT_TOKENS = 60.0  # of a clip, about; the metrics have the exact number
DECAY_SHARE = 0.4


def recipe(arm: Arm, seed: int, options: argparse.Namespace) -> Config:
    """One run: as many steps as the budget pays for; everything else is equal."""
    base = configs.preset("nano")
    text = TextConfig(width=96, depth=2, heads=2)
    model = ModelConfig(width=128, depth=6, heads=4, detail_width=arm.detail_width, detail_depth=2)
    grid = VideoShape(base.worlds.frames, base.worlds.height, base.worlds.width).tokens
    of_clip = flops_of_clip(text, model)
    first, last = (options.batch * of_clip(grid, TEXT_TOKENS, share) for share in (arm.skipped, 0.0))
    train = TrainConfig(
        steps=round(options.flops / ((1 - DECAY_SHARE) * first + DECAY_SHARE * last)),
        batch=options.batch,
        warmup_steps=20,
        decay_share=DECAY_SHARE,
        ema_decay=0.98,
        short_share=0.75,
        beats_dropout=0.6,
        skipped_share=arm.skipped,
        compile=False,
        checkpoint_every=100,
        validate_every=10**6,  # at the end
        log_every=50,
        seed=seed,
    )
    flow = FlowConfig(shift=3.0, clean_first_share=0.3, independent_share=0.3)
    return dataclasses.replace(base, name="networks", text=text, model=model, flow=flow, train_model=train)


def main() -> None:
    """Trains what is missing and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True, help="of 64×64 clips of 33 frames")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--flops", type=float, default=1.2e13, help="of every run (1.2e13)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    command = f"python benchmarks/networks.py --flops {options.flops:g} --batch {options.batch}"
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for name in options.arms:
            folder = options.out / f"{name}_{seed}"
            result = train_model(recipe(ARMS[name], seed, options), options.latents, folder)
            lines = read_metrics(folder)
            held_out = [line for line in lines if "held_out" in line][-1]
            seconds = sum(line.get("seconds", 0.0) for line in lines)
            row = {
                "arm": name,
                "about": ARMS[name].about,
                "seed": seed,
                "steps": result.step,
                "flops": result.flops,
                "seconds": round(seconds, 1),
            }
            runs.append(row | {key: round(value, 5) for key, value in held_out.items() if isinstance(value, float)})
            logging.info("%s", runs[-1])
            report = {
                "command": f"{command} --seeds {options.seeds} --arms {' '.join(options.arms)}",
                "machine": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
                "runs": runs,
            }
            whole_text(options.report, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

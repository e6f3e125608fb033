"""Tokens that skip the middle blocks (TREAD), at equal operations: half of them until the rate falls, or none.

    python benchmarks/routing.py --latents DIR --out runs/out/routing --report benchmarks/routing_1core_DATE.json

Both arms are runs of `train_model` from nothing on the same latents of all families, with the same seeds; the arm that
skips takes more steps, so that both spend the same operations. Runs resume. The report has the held-out loss by noise
level, which is always that of the whole model, and the seconds of all steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import platform
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

ARMS = {"all tokens in all blocks": 0.0, "half skip the middle": 0.5}
TEXT_TOKENS = 60.0  # of a clip, about; the metrics have the exact number
DECAY_SHARE = 0.4


def recipe(skipped: float, options: argparse.Namespace) -> Config:
    """One run: as many steps as the budget pays for; everything else is equal."""
    base = configs.preset("nano")
    text, model = TextConfig(width=96, depth=2, heads=2), ModelConfig(width=128, depth=6, heads=4)
    tokens = VideoShape(base.worlds.frames, base.worlds.height, base.worlds.width).tokens.count
    of_clip = flops_of_clip(text, model)
    first, last = (options.batch * of_clip(tokens, TEXT_TOKENS, share) for share in (skipped, 0.0))
    train = TrainConfig(
        steps=round(options.flops / ((1 - DECAY_SHARE) * first + DECAY_SHARE * last)),
        batch=options.batch,
        warmup_steps=20,
        decay_share=DECAY_SHARE,
        ema_decay=0.98,
        short_share=0.75,
        beats_dropout=0.6,
        skipped_share=skipped,
        compile=False,
        checkpoint_every=100,
        validate_every=10**6,  # at the end
        log_every=50,
    )
    flow = FlowConfig(shift=3.0, clean_first_share=0.3, independent_share=0.3)
    return dataclasses.replace(base, name="routing", text=text, model=model, flow=flow, train_model=train)


def main() -> None:
    """Trains what is missing and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True, help="of 64×64 clips of 33 frames")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--flops", type=float, default=1.2e13, help="of every run (1.2e13)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    command = f"python benchmarks/routing.py --flops {options.flops:g} --batch {options.batch}"
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for arm, skipped in ARMS.items():
            config = recipe(skipped, options)
            config = dataclasses.replace(config, train_model=dataclasses.replace(config.train_model, seed=seed))
            folder = options.out / f"{skipped:g}_{seed}"
            result = train_model(config, options.latents, folder)
            lines = read_metrics(folder)
            held_out = [line for line in lines if "held_out" in line][-1]
            seconds = sum(line.get("seconds", 0.0) for line in lines)
            row = {"arm": arm, "seed": seed, "steps": result.step, "flops": result.flops, "seconds": round(seconds, 1)}
            runs.append(row | {key: round(value, 5) for key, value in held_out.items() if isinstance(value, float)})
            logging.info("%s", runs[-1])
            report = {
                "command": f"{command} --seeds {options.seeds}",
                "machine": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
                "runs": runs,
            }
            whole_text(options.report, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

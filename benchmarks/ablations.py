"""One choice of the recipe at a time, at equal operations: the optimizer of matrices, and the mixture of noise levels.

    python benchmarks/ablations.py --out runs/out/ablations --report benchmarks/ablations_1core_DATE.json

Every variant is a run of `train_model` on the same latents with the same seeds; runs resume. Beside the usual held-out
loss, where all frames share a level, each is scored with the first latent frame given and with a level of its own per
frame, because that is what image-to-video and long rollouts ask for.
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
from scaling import recipe  # beside this file

from kinema import config as configs
from kinema.captions.tokenizer import CaptionTokenizer
from kinema.codec.pixels import half_precision
from kinema.config import Config, FlowConfig
from kinema.model.transformer import TextToVideo
from kinema.sample.weights import WeightsFolder
from kinema.train.latents import load_latents, make_latents
from kinema.train.metrics import read_metrics
from kinema.train.model import split, train_model, train_step
from kinema.train.packs import draw_step, grids_of, make_pack, noisy_tokens

MIXTURES = {  # shares of clips whose first frame is given, and whose frames have levels of their own
    "shared": (0.0, 0.0),
    "nano": (0.15, 0.1),
    "half independent": (0.1, 0.5),
    "all independent": (0.0, 1.0),
}
TASKS = {"together": (0.0, 0.0), "first given": (1.0, 0.0), "independent": (0.0, 1.0)}
DRAWS = 4  # of noise and levels for every held-out clip


def variants(base: Config) -> dict[str, Config]:
    """What is compared; the first is the reference."""
    found = {
        "muon": base,
        "adamw": _with(base, muon=False),
        "adamw, twice the rate": _with(base, muon=False, adamw_lr=3e-3),
    }
    for name, (given, independent) in MIXTURES.items():
        flow = dataclasses.replace(base.flow, clean_first_share=given, independent_share=independent)
        found[f"noise: {name}"] = dataclasses.replace(base, flow=flow)
    return found


def _with(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, train_model=dataclasses.replace(config.train_model, **changes))


@torch.no_grad()
def task_losses(model: TextToVideo, config: Config, folder: Path, latents: Path) -> dict[str, float]:
    """The loss over noisy tokens of held-out clips, as each task draws its levels; the same draws for every variant."""
    data = load_latents(latents)
    _, held_out = split(data, config.train_model.batch, latents)
    tokenizer = CaptionTokenizer.load(folder / "tokenizer.json")
    train = dataclasses.replace(config.train_model, text_dropout=0.0)
    losses = {}
    for task, (given, independent) in TASKS.items():
        flow = FlowConfig(shift=config.flow.shift, clean_first_share=given, independent_share=independent)
        rng, found = torch.Generator().manual_seed(1), []
        for _ in range(DRAWS):
            drawn = draw_step(data, held_out, grids_of(data, held_out), train, flow, rng)
            with half_precision(torch.device("cpu")):
                pack = make_pack(data, drawn, tokenizer, config.text.max_tokens)
                found.append(float(train_step(pack, model, noisy_tokens(drawn))[0]))
        losses[task] = round(sum(found) / len(found), 5)
    return losses


def main() -> None:
    """Trains what is missing, scores it and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--flops", type=float, default=4e11, help="of every run (4e11)")
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    codec = WeightsFolder.find("nano").path
    base = recipe(80, 3, options.flops, options.clips, 17, configs.load(codec / "config.json"))
    latents = options.out / "latents"
    make_latents(base, codec, latents)
    table: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        for name, config in variants(_with(base, seed=seed)).items():
            folder = options.out / f"{name.replace(' ', '_').replace(':', '').replace(',', '')}_{seed}"
            result = train_model(config, latents, folder)
            assert isinstance(result.module, TextToVideo)
            held_out = [line["held_out"] for line in read_metrics(folder) if "held_out" in line][-1]
            row = {"seed": seed, "flops": result.flops, "held_out": round(held_out, 5)}
            table.setdefault(name, []).append(row | task_losses(result.module, config, folder, latents))
            logging.info("%s: %s", name, table[name][-1])
    report = {
        "command": f"python benchmarks/ablations.py --flops {options.flops:g} --clips {options.clips}",
        "machine": platform.processor() or platform.machine(),
        "runs": table,
    }
    options.report.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

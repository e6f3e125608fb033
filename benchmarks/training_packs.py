"""Packs of native shapes against balanced buckets and against cropping to squares, at equal operations.

    python benchmarks/training_packs.py OUT.json --flops 2e11

One set of clips of five shapes (1 to 33 frames, square, wide and tall), one small model, one budget of operations,
three ways to feed it, scored on held-out clips of the native shapes:

- packs: clips of any shape end to end, up to a budget of tokens (what `kinema train model` does);
- buckets: every step holds clips of one shape, as many as fit the budget; buckets come as often as they have tokens;
- squares: every clip is cut to its middle square and to the shortest duration that all videos have, in batches.

Padding is the share of tokens that would be wasted if the clips of a step were padded to the longest of them; fill is
the share of the budget that is used. Every way is trained with two seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kinema import config as configs
from kinema.codec.pixels import half_precision
from kinema.config import Config, FlowConfig, ModelConfig, TextConfig, TrainConfig, WorldsConfig
from kinema.model.transformer import TextToVideo
from kinema.sample.weights import WeightsFolder
from kinema.shapes import TokenGrid
from kinema.train.ema import MovingAverage
from kinema.train.latents import LatentDataset, load_latents, make_latents
from kinema.train.loop import generator_of
from kinema.train.model import HELD_OUT_CLIPS, held_out_loss, learn_words, split, train_step
from kinema.train.optimizer import MuonAdamW, rate_factor
from kinema.train.packs import Plan, draw_step, grids_of, make_pack, noisy_tokens
from kinema.train.speed import flops_of_clip

WORLDS = WorldsConfig(
    families=("fall", "throw", "collide", "ramp"),
    height=64,
    width=64,
    frames=17,
    shapes=((32, 96, 17, 0.25), (96, 32, 9, 0.25), (64, 64, 1, 0.15), (48, 48, 33, 0.1)),
)
TEXT, MODEL = TextConfig(vocab_size=512, width=64, depth=1, heads=2), ModelConfig(width=96, depth=3, heads=6)
FLOW = FlowConfig(shift=2.0, clean_first_share=0.1, independent_share=0.1)
TEXT_TOKENS, BATCH, SEEDS = 60.0, 8, (0, 1)

Step = tuple[list[int], list[TokenGrid]]


def squares(data: LatentDataset) -> LatentDataset:
    """Every clip's middle square of the size and duration that all videos have; images stay images."""
    shapes = [latents.shape[1:] for latents in data.latents_CTHW]
    side = min(min(height, width) for _, height, width in shapes)
    frames = min(frames for frames, _, _ in shapes if frames > 1)
    cut = []
    for latents_CTHW in data.latents_CTHW:
        top, left = (latents_CTHW.shape[2] - side) // 2, (latents_CTHW.shape[3] - side) // 2
        cut.append(latents_CTHW[:, :frames, top : top + side, left : left + side].contiguous())
    return dataclasses.replace(data, latents_CTHW=cut)


def pack_steps(grids: list[TokenGrid], budget: int, train: TrainConfig) -> Iterator[Step]:
    """The steps of `kinema train model`, without a curriculum."""
    plan = Plan(grids, budget, train)
    for step in range(1 << 30):
        yield plan.clips(step), plan.parts(step)


def bucket_steps(grids: list[TokenGrid], budget: int, train: TrainConfig) -> Iterator[Step]:
    """A bucket a step, drawn by its tokens; inside a bucket every clip comes once before any comes again."""
    rng = torch.Generator().manual_seed(train.seed)
    kinds = sorted(set(grids), key=dataclasses.astuple)
    members = [[clip for clip, grid in enumerate(grids) if grid == kind] for kind in kinds]
    weights = torch.tensor([float(len(clips) * kind.count) for clips, kind in zip(members, kinds, strict=True)])
    plans = [
        Plan([kind] * len(clips), max(budget, kind.count), train) for clips, kind in zip(members, kinds, strict=True)
    ]
    turns = [0] * len(kinds)
    while True:
        index = int(torch.multinomial(weights, 1, generator=rng))
        clips = [members[index][place] for place in plans[index].clips(turns[index])]
        turns[index] += 1
        yield clips, [kinds[index]] * len(clips)


def learn(
    data: LatentDataset, training: list[int], steps: Iterator[Step], config: Config, total_flops: float, folder: Path
) -> tuple[TextToVideo, dict[str, float]]:
    """Trains until the operations are spent; the learning rate follows their share."""
    train, flops = config.train_model, flops_of_clip(config.text, config.model)
    tokenizer = learn_words([data.captions[clip] for clip in training], config.text.vocab_size, folder)
    torch.manual_seed(train.seed)
    model = TextToVideo(config.text, config.model)
    optimizer, average = MuonAdamW(model, train), MovingAverage(model, train.ema_decay)
    spent = tokens = padded = capacity = seconds = 0.0
    budget = BATCH * TokenGrid(5, 4, 4).count
    for step, (clips, parts) in enumerate(steps):
        if spent >= total_flops:
            break
        start_s = time.process_time()
        rng = generator_of(train.seed, step)
        drawn = draw_step(data, [training[clip] for clip in clips], parts, train, FLOW, rng)
        with half_precision(torch.device("cpu")):
            loss, _ = train_step(make_pack(data, drawn, tokenizer, config.text.max_tokens), model, noisy_tokens(drawn))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(optimizer.parameters(), train.grad_clip)
        optimizer.step(rate_factor(int(train.steps * min(spent / total_flops, 0.999)), train))
        average.update()
        seconds += time.process_time() - start_s
        used = sum(part.count for part in parts)
        spent += sum(flops(part, TEXT_TOKENS) for part in parts)
        longest = max(part.count for part in parts)
        tokens, padded, capacity = tokens + used, padded + len(parts) * longest, capacity + budget
    measured = {
        "steps": float(step),
        "tokens": tokens,
        "tokens_per_cpu_s": round(tokens / seconds, 1),
        "flops": spent,
        "fill_of_the_budget": round(tokens / capacity, 4),
        "padding_if_padded": round(1 - tokens / padded, 4),
    }
    model_out = average.module
    assert isinstance(model_out, TextToVideo)
    return model_out, measured


def by_shape(
    model: TextToVideo, data: LatentDataset, held_out: list[int], folder: Path, config: Config
) -> dict[str, Any]:
    """The held-out loss of every native shape, and its mean over shapes."""
    tokenizer = learn_words([], config.text.vocab_size, folder)
    scores: dict[str, Any] = {}
    for grid in sorted(set(grids_of(data, held_out)), key=dataclasses.astuple):
        clips = [clip for clip, own in zip(held_out, grids_of(data, held_out), strict=True) if own == grid]
        loss = held_out_loss(model, data, clips, tokenizer, config)["held_out"]
        scores[f"{grid.frames}x{grid.rows}x{grid.cols}"] = loss
    return scores | {"mean": sum(scores.values()) / len(scores)}


def main() -> None:
    """Makes the latents, trains the three ways with every seed, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--flops", type=float, default=1.5e11, help="of every training (1.5e11)")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--latents", type=Path, help="keep the latents here")
    options = parser.parse_args()
    codec = WeightsFolder.find("nano").path
    train = TrainConfig(steps=1000, warmup_steps=50, decay_share=0.4, ema_decay=0.98, beats_dropout=0.6, batch=BATCH)
    worlds = dataclasses.replace(WORLDS, clips=options.clips)
    config = dataclasses.replace(
        configs.load(codec / "config.json"), worlds=worlds, text=TEXT, model=MODEL, flow=FLOW, train_model=train
    )
    table: dict[str, list[dict[str, Any]]] = {"packs": [], "buckets": [], "squares": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.latents or Path(scratch) / "latents"
        make_latents(config, codec, folder)
        native = load_latents(folder)
        training, held_out = split(native, BATCH, folder)
        budget = BATCH * TokenGrid(5, 4, 4).count
        for seed in SEEDS:
            config = dataclasses.replace(config, train_model=dataclasses.replace(train, seed=seed))
            for name, rows in table.items():
                data = squares(native) if name == "squares" else native
                grids = grids_of(data, training)
                steps = (bucket_steps if name == "buckets" else pack_steps)(grids, budget, config.train_model)
                model, row = learn(data, training, steps, config, options.flops, Path(scratch))
                rows.append(row | {"held_out": by_shape(model, native, held_out, Path(scratch), config)})
                print(f"seed {seed} {name}: {json.dumps(rows[-1])}", flush=True)
    report = {
        "command": f"python benchmarks/training_packs.py OUT.json --flops {options.flops:g} --clips {options.clips}",
        "machine": platform.processor() or platform.machine(),
        "held_out_clips": HELD_OUT_CLIPS,
        "mean_held_out": {
            n: round(sum(r["held_out"]["mean"] for r in rows) / len(rows), 4) for n, rows in table.items()
        },
        "runs": table,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

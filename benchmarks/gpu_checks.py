"""Runs on a GPU what is written for GPUs: are the results those of the CPU, and how fast are they.

    pip install 'kinema[cuda]' diffusers
    python benchmarks/gpu_checks.py OUT.json [--seconds 70] [--device cpu]

``attention``: one call of FlashAttention for a pack of several shapes against segment by segment, in bfloat16, both
measured against float32: error relative to the largest value, and milliseconds forward and backward. ``sampling``: the
network of the built-in model with random weights, one clip and sixteen together. ``codec``: see ``codec_speed.py``.
``renderer``: four families rendered on the GPU and on all threads of the CPU, pictures and clips a second. Each part is
a process: a GPU error in one leaves the others alone. The ray tracer compiles while the other parts run.

``--device cpu`` rehearses on a machine without a GPU; what needs one is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAMILIES = ("ramp", "lens", "float", "blocks")  # solids, glass, water, cubes
CLIPS = 8  # of each family, rendered for the clock
KEPT_S = 15.0  # of the time, for the ray tracer's clock, which comes last


def attention(device: str) -> dict[str, Any]:
    """Forward and backward of a mixed pack."""
    import torch
    from torch import Tensor

    from kinema.model.layers import attend_lengths, attend_segments
    from kinema.model.layout import Layout, Segment
    from kinema.shapes import TokenGrid

    if device == "cpu":
        return {"left out": "variable lengths need CUDA"}
    grids = [TokenGrid(9, 8, 8)] * 8 + [TokenGrid(9, 4, 12)] * 5 + [TokenGrid(1, 8, 8)] * 16 + [TokenGrid(5, 6, 6)]
    layout = Layout([Segment(grid, 12.0) for grid in grids], device)
    torch.manual_seed(0)
    inputs = torch.randn(3, layout.tokens, 6, 64, device=device).bfloat16()
    weight_NC = torch.randn(layout.tokens, 6 * 64, device=device).bfloat16()

    def one_by_one(q: Tensor, k: Tensor, v: Tensor, _: Layout) -> Tensor:
        parts = [(group.tokens, Layout(layout.segments[group.segments], device)) for group in layout.groups]
        return torch.cat([attend_segments(q[at], k[at], v[at], uniform) for at, uniform in parts])

    def run(attend: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        """The output and the three gradients."""
        q, k, v = (x.to(dtype).requires_grad_() for x in inputs)
        out_NC = attend(q, k, v, layout)
        return [out_NC, *torch.autograd.grad((out_NC * weight_NC.to(dtype)).sum(), (q, k, v))]

    def milliseconds(attend: Callable[..., Tensor]) -> float:
        times_s = []
        for _ in range(20):
            torch.cuda.synchronize()
            start_s = time.perf_counter()
            run(attend, torch.bfloat16)
            torch.cuda.synchronize()
            times_s.append(time.perf_counter() - start_s)
        return round(1e3 * statistics.median(times_s), 3)

    truth = run(one_by_one, torch.float32)
    ways = {"varlen": attend_lengths, "looped": one_by_one}
    errors = {
        name: [
            round(float((mine.float() - true).abs().max() / true.abs().max()), 5)
            for mine, true in zip(run(attend, torch.bfloat16), truth, strict=True)
        ]
        for name, attend in ways.items()
    }
    return {
        "tokens": layout.tokens,
        "errors of output, dq, dk, dv": errors,
        "ok": all(mine <= 2 * other + 1e-3 for mine, other in zip(errors["varlen"], errors["looped"], strict=True)),
        "ms": {name: milliseconds(attend) for name, attend in ways.items()},
    }


def sampling(device: str) -> dict[str, Any]:
    """Seconds to sample and decode clips of the built-in model's shape, after one warm-up each."""
    from kinema.model.transformer import TextToVideo
    from kinema.sample.order import Order
    from kinema.sample.pipeline import Pipeline
    from kinema.sample.weights import WeightsFolder

    folder = WeightsFolder.find_codec("nano")
    config, codec = folder.config(), folder.codec().to(device)
    model = TextToVideo(config.text, config.model).to(device).eval().requires_grad_(False)
    pipeline = Pipeline(folder.card(), config, codec, model, folder.tokenizer(), folder.vocabulary())
    report: dict[str, Any] = {"parameters": sum(x.numel() for x in model.parameters())}
    for count in (1, 16) if device != "cpu" else (1,):
        request = pipeline.request(Order("a red ball falls and bounces", count=count, steps=24, guidance=2.0))
        runs = []
        for _ in range(4 if device != "cpu" else 1):
            start_s = time.perf_counter()
            clips = pipeline.sample(request)
            sampled_s = time.perf_counter()
            for latents_CTHW in clips:
                for _ in pipeline.frames(request, latents_CTHW):
                    pass
            runs.append((sampled_s - start_s, time.perf_counter() - sampled_s))
        sample_s, decode_s = (round(statistics.median(times), 4) for times in zip(*(runs[1:] or runs), strict=True))
        report[f"{count} together"] = {"sample_s": sample_s, "decode_s": decode_s, "packs": len(request.packs)}
    return report


def codec(device: str) -> dict[str, Any]:
    """Decoding beside Wan's autoencoder, or alone if that cannot be had."""
    import torch
    from codec_speed import measure, ours, theirs
    from kept import Kept

    where = torch.device(device)
    every, report = ours("nano", where), {}
    try:
        every |= theirs(where)
    except Exception as error:
        report["without wan"] = one_line(error)
    sides = (
        argparse.Namespace(rounds=5, sides=[128, 256]) if device != "cpu" else argparse.Namespace(rounds=1, sides=[64])
    )
    with tempfile.TemporaryDirectory() as name:
        sizes = measure(every, sides, Kept(Path(name) / "codec.json", {}, 10.0), where)
    return report | {size: {key: found[key] for key in ("median", "wan_over_kinema")} for size, found in sizes.items()}


def renderer(device: str) -> dict[str, Any]:
    """Pictures of both devices, then the clock; waits between the two for a line on standard input."""
    import numba
    import numpy as np

    from kinema.config import WorldsConfig
    from kinema.worlds.make import draw_scene, film, move

    worlds = WorldsConfig()
    scenes = {family: draw_scene(family, 1, worlds)[0] for family in FAMILIES}
    motions = {family: move(scene, worlds) for family, scene in scenes.items()}
    devices = ("cpu", "cuda") if device == "cuda" else ("cpu",)
    report: dict[str, Any] = {"size": [worlds.frames, worlds.height, worlds.width], "threads": numba.get_num_threads()}
    for name in devices:
        start_s = time.perf_counter()
        film(scenes[FAMILIES[0]], motions[FAMILIES[0]], worlds, device=name)
        report[f"{name}: first clip, compiling, s"] = round(time.perf_counter() - start_s, 1)
    for family in FAMILIES:
        cpu, other = (
            film(scenes[family], motions[family], worlds, depth=True, device=name) for name in ("cpu", devices[-1])
        )
        apart = np.abs(cpu.pixels_THW3.astype(int) - other.pixels_THW3).max(axis=-1)
        report[family] = {
            "largest difference of codes": int(apart.max()),
            "share of pixels that differ": round(float((apart > 0).mean()), 6),
            "by more than 1": round(float((apart > 1).mean()), 6),
            "other body": round(float((cpu.ids_THW != other.ids_THW).mean()), 6),
        }
    sys.stdin.readline()
    for name in devices:
        start_s = time.perf_counter()
        for family in FAMILIES * CLIPS:
            film(scenes[family], motions[family], worlds, device=name)
        seconds = time.perf_counter() - start_s
        report[f"{name}: clips/s"] = round(len(FAMILIES) * CLIPS / seconds, 1)
    return report


PARTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "attention": attention,
    "sampling": sampling,
    "codec": codec,
    "renderer": renderer,
}


def one_line(error: object) -> str:
    """The end of a message."""
    return " ".join(str(error).split())[-300:]


def start(part: str, device: str) -> subprocess.Popen[str]:
    """One part in its own process."""
    command = [sys.executable, __file__, "-", "--part", part, "--device", device]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def result(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """What a part found, or why it found nothing."""
    start_s = time.monotonic()
    try:
        out, err = process.communicate("go\n", timeout=max(seconds, 0.1))
    except subprocess.TimeoutExpired:
        process.kill()
        return {"error": f"stopped after {seconds:.0f} s", "stderr": one_line(process.communicate()[1])}
    if process.returncode:
        return {"error": one_line(err)}
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found | {"seconds": round(time.monotonic() - start_s, 1)}


def main() -> None:
    """All parts, one after the other, within the time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, default=70.0)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.device)))
        return
    end_s = time.monotonic() + options.seconds
    import torch
    from kept import circumstances

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_checks: there is no CUDA device here; --device cpu rehearses what can be rehearsed")
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else None
    report: dict[str, Any] = circumstances() | {"gpu": gpu}
    compiling = start("renderer", options.device)
    for part in ("attention", "sampling", "codec", "renderer"):
        process = compiling if part == "renderer" else start(part, options.device)
        left_s = end_s - time.monotonic()
        report[part] = result(process, left_s if part == "renderer" else min(left_s - KEPT_S, options.seconds / 2))
        print(f"{part}: {json.dumps(report[part])}", flush=True)
    Path(options.out).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

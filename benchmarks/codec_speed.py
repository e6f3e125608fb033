"""Seconds to decode 33 frames: our codec, whole and streamed, beside Wan 2.1's autoencoder as diffusers has it.

    pip install diffusers
    python benchmarks/codec_speed.py OUT.json [--rounds 3] [--sides 128 256] [--weights nano] [--devices cpu cuda]

Latents have the same shape (16 channels, 9 frames, an eighth of the side); weights of the other autoencoder are random,
which does not change its speed. Ways take turns, round by round, so that a busy machine slows them alike; medians and
their ratios are reported, with every repetition. ``cpu_s`` is the processor time of all threads, which contention
changes least. bfloat16 is timed where the machine is fast at it, float32 on the CPU alone. Everything is warmed up on
two latent frames, and on a GPU, whose libraries choose an algorithm for every shape, on every size.

The command stops after ``--minutes`` with a report of what has run; repeated, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from kept import Kept, circumstances
from torch import Tensor

from kinema.codec.pixels import fast_bf16
from kinema.codec.streaming import decode_stream
from kinema.files import whole_text
from kinema.sample.weights import WeightsFolder

LATENT_FRAMES = 9

Decode = Callable[[Tensor], object]
Ways = dict[str, tuple[Decode, torch.dtype | None]]
"""What is timed, and the type that autocast computes in (None: float32)."""


def ours(weights: str, device: torch.device) -> Ways:
    """Our codec, whole and streamed."""
    codec = WeightsFolder.find_codec(weights).codec().to(device)

    def stream(latents: Tensor) -> None:
        for _ in decode_stream(codec, latents.split(1, dim=2)):
            pass

    found: Ways = {}
    for name, dtype in precisions(device).items():
        found |= {f"kinema_{name}": (codec.decode, dtype), f"kinema_{name}_streamed": (stream, dtype)}
    return found


def theirs(device: torch.device) -> Ways:
    """Wan 2.1's autoencoder."""
    from diffusers import AutoencoderKLWan

    wan = AutoencoderKLWan().to(device).eval().requires_grad_(False)
    assert wan.config.z_dim == 16
    return {f"wan_{name}": (wan.decode, dtype) for name, dtype in precisions(device).items()}


def precisions(device: torch.device) -> dict[str, torch.dtype | None]:
    """What is compared on a device: bfloat16 where it is fast, float32 on a CPU."""
    found: dict[str, torch.dtype | None] = {"bf16": torch.bfloat16} if fast_bf16(device) else {}
    return found | ({"fp32": None} if device.type == "cpu" else {})


def timed(decode: Decode, latents: Tensor, dtype: torch.dtype | None) -> dict[str, float]:
    """One call."""
    device = latents.device.type
    if device == "cuda":
        torch.cuda.synchronize()
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    with torch.no_grad(), torch.autocast(device, dtype, enabled=dtype is not None):
        decode(latents)
    if device == "cuda":
        torch.cuda.synchronize()
    return {
        "wall_s": round(time.perf_counter() - start_s, 4),
        "cpu_s": round(time.process_time() - start_cpu_s, 4),
    }


def compare(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians and ratios of one size."""
    medians = {
        name: {key: statistics.median(run[key] for run in of_way) for key in ("wall_s", "cpu_s")}
        for name, of_way in runs.items()
    }
    ratios = {
        name: {
            key: round(medians[f"wan_{name}"][key] / medians[f"kinema_{name}"][key], 1) for key in ("wall_s", "cpu_s")
        }
        for name in ("bf16", "fp32")
        if f"wan_{name}" in runs
    }
    return {"rounds": len(next(iter(runs.values()))), "median": medians, "wan_over_kinema": ratios, "runs": runs}


def measure(every: Ways, options: argparse.Namespace, kept: Kept, device: torch.device) -> dict[str, Any]:
    """All ways at all sizes, as far as the time goes. First every size once, then again."""
    for decode, dtype in every.values():
        timed(decode, torch.randn(1, 16, 2, 4, 4, device=device), dtype)
        for side in options.sides if device.type == "cuda" else ():
            timed(decode, torch.randn(1, 16, LATENT_FRAMES, side // 8, side // 8, device=device), dtype)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for round_ in range(options.rounds):
        for side in options.sides:
            latents = torch.randn(1, 16, LATENT_FRAMES, side // 8, side // 8, device=device)
            keys = {name: f"{device.type} {side} {round_} {name}" for name in every}
            if kept.is_late and not all(key in kept.values for key in keys.values()):
                continue
            for name, (decode, dtype) in every.items():
                run = kept.get(keys[name], lambda decode=decode, x=latents, dtype=dtype: timed(decode, x, dtype))
                found.setdefault(f"{side}x{side}", {}).setdefault(name, []).append(run)
                sys.stderr.write(f"{keys[name]}: {run['wall_s']} s\n")
    return {size: compare(runs) for size, runs in found.items()}


def main() -> None:
    """Runs everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--devices", nargs="+", default=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
    options = parser.parse_args()
    codec_file = WeightsFolder.find_codec(options.weights).path / "codec.safetensors"
    checksum = hashlib.sha256(codec_file.read_bytes()).hexdigest()
    made_of = {"weights": checksum, "threads": torch.get_num_threads(), "torch": version("torch")}
    kept = Kept(options.out, made_of, options.minutes)
    report = circumstances() | {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "diffusers": version("diffusers"),
        "frames": 4 * LATENT_FRAMES - 3,
        "seconds": {},
    }
    for device in map(torch.device, options.devices):
        every = ours(options.weights, device) | theirs(device)
        report["seconds"][device.type] = measure(every, options, kept, device)
    text = json.dumps(report, indent=2) + "\n"
    whole_text(options.out, text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

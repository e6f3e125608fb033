"""Seconds to decode 33 frames: our codec, whole and streamed, beside Wan 2.1's autoencoder as diffusers has it.

    pip install diffusers
    python benchmarks/codec_speed.py OUT.json [ROUNDS]

Latents have the same shape (16 channels, 9 frames, an eighth of the side); weights of the other autoencoder are random,
which does not change its speed. Ways take turns, round by round, so that a busy machine slows them alike; medians and
their ratios are reported, with every repetition. ``cpu_s`` is the processor time of all threads, which contention
changes least. On a GPU, where there is one, both run in bfloat16.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from kinema.codec.streaming import decode_stream
from kinema.sample.weights import WeightsFolder

LATENT_FRAMES, SIDES = 9, (128, 256)
OURS, THEIRS = "kinema_bf16", "wan_bf16"

Decode = Callable[[Tensor], object]


def ways(device: torch.device) -> dict[str, tuple[Decode, torch.dtype | None]]:
    """What is timed, and the type that autocast computes in (None: float32)."""
    from diffusers import AutoencoderKLWan

    codec = WeightsFolder.find("nano").codec().to(device)
    wan = AutoencoderKLWan().to(device).eval().requires_grad_(False)
    assert wan.config.z_dim == 16

    def stream(latents: Tensor) -> None:
        for _ in decode_stream(codec, latents.split(1, dim=2)):
            pass

    found: dict[str, tuple[Decode, torch.dtype | None]] = {
        OURS: (codec.decode, torch.bfloat16),
        "kinema_bf16_streamed": (stream, torch.bfloat16),
        THEIRS: (wan.decode, torch.bfloat16),
    }
    if device.type == "cpu":
        found |= {
            "kinema_fp32": (codec.decode, None),
            "kinema_fp32_streamed": (stream, None),
            "wan_fp32": (wan.decode, None),
        }
    return found


def timed(decode: Decode, latents: Tensor, dtype: torch.dtype | None) -> dict[str, float]:
    """One call."""
    device = latents.device.type
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    with torch.no_grad(), torch.autocast(device, dtype, enabled=dtype is not None):
        decode(latents)
    if device == "cuda":
        torch.cuda.synchronize()
    return {
        "wall_s": round(time.perf_counter() - start_s, 4),
        "cpu_s": round(time.process_time() - start_cpu_s, 4),
    }


def compare(side: int, rounds: int, device: torch.device) -> dict[str, object]:
    """All ways at one size."""
    latents = torch.randn(1, 16, LATENT_FRAMES, side // 8, side // 8, device=device)
    runs: dict[str, list[dict[str, float]]] = {}
    every = ways(device)
    for round_ in range(rounds + 1):
        for name, (decode, dtype) in every.items():
            run = timed(decode, latents, dtype)
            if round_:  # the first is for warming up
                runs.setdefault(name, []).append(run)
    medians = {
        name: {key: statistics.median(run[key] for run in of_way) for key in ("wall_s", "cpu_s")}
        for name, of_way in runs.items()
    }
    pairs = {"bf16": (THEIRS, OURS)} | ({"fp32": ("wan_fp32", "kinema_fp32")} if "wan_fp32" in runs else {})
    ratios = {
        name: {key: round(medians[theirs][key] / medians[ours][key], 1) for key in ("wall_s", "cpu_s")}
        for name, (theirs, ours) in pairs.items()
    }
    return {"median": medians, "wan_over_kinema": ratios, "runs": runs}


def main() -> None:
    """Runs everything and writes the report."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    report = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": version("torch"),
        "diffusers": version("diffusers"),
        "threads": torch.get_num_threads(),
        "frames": 4 * LATENT_FRAMES - 3,
        "seconds": {
            device: {f"{side}x{side}": compare(side, rounds, torch.device(device)) for side in SIDES}
            for device in devices
        },
        "load_average": os.getloadavg(),
    }
    text = json.dumps(report, indent=2) + "\n"
    Path(sys.argv[1]).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""Peak memory of sampling against what `kinema generate` says beforehand, for networks and videos of several sizes.

    python benchmarks/sampling_memory.py OUT.json [--quick]

Each case runs in a fresh process: networks of a preset with random weights, one solver step with guidance, then the
decoder. Memory does not depend on what the weights are or on the number of steps. ``estimate_mb`` is what
`sample/cost.py` says, without the video encoder, which does not run here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kinema.files import whole_text


@dataclass(frozen=True)
class Case:
    """One run."""

    preset: str
    size: str
    seconds: float
    count: int = 1
    whole: bool = True


CASES = (
    Case("nano", "64x64", 0.05),
    Case("nano", "64x64", 2.75),
    Case("nano", "64x64", 2.75, count=16),
    Case("nano", "256x256", 2.75),
    Case("nano", "512x384", 1.0),
    Case("nano", "1024x1024", 0.05),
    Case("nano", "64x64", 60.0, whole=False),
    Case("small", "128x128", 2.75),
    Case("small", "256x256", 1.0),
    Case("small", "512x512", 0.4),
)
QUICK = (CASES[1], CASES[5], CASES[7])


def peak_mb(then_reset: bool = True) -> float:
    """Most resident memory since the last reset (Linux: VmHWM)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    if then_reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(lines["VmHWM"].split()[0]) / 1e3


def measure(case: Case) -> dict[str, float]:
    """Runs one case in this process."""
    import torch

    from kinema import config as configs
    from kinema.card import Card
    from kinema.codec.autoencoder import VideoAutoencoder, save_codec
    from kinema.model.transformer import TextToVideo
    from kinema.sample.cost import ENCODER_BYTES
    from kinema.sample.order import Order
    from kinema.sample.pipeline import load
    from kinema.sample.weights import WeightsFolder

    config = configs.preset(case.preset)
    built_in = WeightsFolder.find("nano").path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.fork() == 0:  # what making the files takes is not to count
            from safetensors.torch import save_file

            from kinema.card import save_card

            model = TextToVideo(config.text, config.model)
            save_file({key: x.bfloat16() for key, x in model.state_dict().items()}, folder / "model.safetensors")
            save_codec(VideoAutoencoder(config.codec), folder)
            configs.save(config, folder / "config.json")
            worlds = config.worlds
            save_card(Card(case.preset, worlds.height, worlds.width, worlds.frames, worlds.fps), folder / "card.json")
            for file in ("tokenizer.json", "vocabulary.json"):
                (folder / file).write_bytes((built_in / file).read_bytes())
            os._exit(0)
        assert os.wait()[1] == 0
        pipeline = load(folder)
    loaded_mb, held_mb = peak_mb(), peak_mb()
    asked = {"seconds": case.seconds, "size": case.size, "count": case.count, "rollout": not case.whole}
    request = pipeline.request(Order.of({"prompt": "a red ball falls", "steps": 1, "guidance": 2.0} | asked))
    with torch.inference_mode():
        latents = pipeline.sample(request)
        sampled_mb = peak_mb()
        for _ in pipeline.frames(request, latents[0]):
            pass
    decoded_mb = peak_mb()
    estimate_mb = (request.cost.memory_bytes - ENCODER_BYTES * request.shape.height * request.shape.width) / 1e6
    most_mb = max(loaded_mb, sampled_mb, decoded_mb)
    return {
        "tokens": request.cost.tokens,
        "loading_mb": round(loaded_mb),
        "loaded_mb": round(held_mb),
        "sampling_mb": round(sampled_mb),
        "decoding_mb": round(decoded_mb),
        "estimate_mb": round(estimate_mb),
        "estimate_over_peak": round(estimate_mb / most_mb, 2),
    }


def main() -> None:
    """Runs all cases and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true", help="three cases")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        options.out.write_text(json.dumps(measure(Case(**options.measure))))
        return
    rows = []
    for case in QUICK if options.quick else CASES:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([sys.executable, __file__, file.name, "--measure", json.dumps(vars(case))], check=True)
            rows.append(vars(case) | json.loads(Path(file.name).read_text()))
        print(rows[-1], flush=True)
    report = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "torch": version("torch"),
        "rows": rows,
    }
    whole_text(options.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Peak memory of coding a clip of 5 s and one of 60 s, each in a fresh process, streamed and (for contrast) whole.

    python benchmarks/codec_memory.py OUT.json [SIDE]

Frames are made and dropped one by one, so what is measured is the codec. ``over_start_mb`` leaves out what Python,
PyTorch and the weights take. Last, `kinema codec reconstruct` of a file of a minute and of one of an hour (36,000
frames of 32×32), which takes two minutes.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

FPS, SHORT_S, LONG_S = 12, 5, 60
MINUTE_S, HOUR_S, FILE_FPS, FILE_SIDE = 60, 3600, 10, 32
WAYS = ("encode_stream", "decode_stream", "decode_whole")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(way: str, seconds: int, side: int) -> dict[str, float]:
    """Codes one clip in this process."""
    import torch

    from kinema.codec.streaming import decode_stream, encode_stream
    from kinema.sample.weights import WeightsFolder

    codec = WeightsFolder.find("nano").codec()
    latents = 1 + seconds * FPS // 4
    start_mb = peak_mb()

    def frames() -> Iterator[torch.Tensor]:
        for index in range(1 + 4 * (latents - 1)):
            yield torch.rand(1, 3, 1, side, side, generator=torch.Generator().manual_seed(index)) * 2 - 1

    def drawn() -> Iterator[torch.Tensor]:
        for index in range(latents):
            yield torch.randn(1, 16, 1, side // 8, side // 8, generator=torch.Generator().manual_seed(index))

    if way == "decode_whole":
        with torch.no_grad():
            codec.decode(torch.cat(list(drawn()), dim=2))
    else:
        for _ in encode_stream(codec, frames()) if way == "encode_stream" else decode_stream(codec, drawn()):
            pass
    return {"frames": 1 + 4 * (latents - 1), "peak_mb": round(peak_mb()), "over_start_mb": round(peak_mb() - start_mb)}


def reconstruct_file(seconds: int) -> dict[str, float]:
    """The command on a file, in a process of its own."""
    import numpy as np

    from kinema.clips.video_io import video_writer

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.mp4", Path(folder) / "b.mp4"
        rng = np.random.default_rng(0)
        with video_writer(source, FILE_FPS) as writer:
            for _ in range(seconds):
                shade = rng.integers(0, 255, (1, 1, 1, 3), np.uint8)
                writer.write(np.broadcast_to(shade, (FILE_FPS, FILE_SIDE, FILE_SIDE, 3)))
        start_s = time.monotonic()
        command = [sys.executable, "-m", "kinema", "codec", "reconstruct", str(source), "--out", str(target)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0 and f"{seconds * FILE_FPS} frames" in said, said
    return {
        "frames": seconds * FILE_FPS,
        "peak_mb": round(usage.ru_maxrss / 1e3),
        "wall_s": round(time.monotonic() - start_s, 1),
    }


def main() -> None:
    """Runs everything and writes the report."""
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    report: dict[str, object] = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "torch": version("torch"),
        "side": side,
    }
    for way in WAYS:
        runs = {}
        for seconds in (SHORT_S, LONG_S):
            if way == "decode_whole" and seconds == LONG_S:
                continue  # it would take tens of gigabytes
            command = [sys.executable, __file__, "--measure", way, str(seconds), str(side)]
            runs[f"{seconds}_s"] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        if len(runs) == 2:
            peaks = [run["peak_mb"] for run in runs.values()]
            runs["long_over_short"] = round(peaks[1] / peaks[0], 3)
        report[way] = runs
    files = {f"{seconds}_s": reconstruct_file(seconds) for seconds in (MINUTE_S, HOUR_S)}
    ratio = files[f"{HOUR_S}_s"]["peak_mb"] / files[f"{MINUTE_S}_s"]["peak_mb"]
    report["reconstruct_file"] = files | {"long_over_short": round(ratio, 3)}
    text = json.dumps(report, indent=2) + "\n"
    Path(sys.argv[1]).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    if sys.argv[1] == "--measure":
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main()

"""Measures what the README promises: cold generation, the help text, and the speed of the world simulator.

    python benchmarks/first_light.py OUT.json

Every figure comes with its raw repetitions; commit, machine and versions are recorded beside them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

PROMPT = "a red ball falls and bounces on a grey floor"
KINEMA = [sys.executable, "-m", "kinema"]
CLIPS, WARM_UP = 200, 10


def timed(command: list[str]) -> dict[str, float]:
    """Runs a command in a fresh process; wall seconds and peak resident memory in GB."""
    start_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return {"wall_s": round(time.monotonic() - start_s, 3), "peak_gb": round(usage.ru_maxrss / 1e6, 3)}


def render(index: int) -> int:
    """One 64×64 clip of 33 frames at 4 samples a pixel, on one thread; all families take turns."""
    import numba

    from kinema.config import WorldsConfig
    from kinema.worlds.make import family_of, make_clip

    numba.set_num_threads(1)
    worlds = WorldsConfig()
    return make_clip(family_of(index, worlds), index, worlds).pixels_THW3.nbytes


def world_clips_per_s() -> float:
    """Clips a second with one process a core, after every process has compiled or loaded the ray tracer."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(render, range(WARM_UP * cores)))
        start_s = time.monotonic()
        list(pool.map(render, range(1000, 1000 + CLIPS), chunksize=10))
        return round(CLIPS / (time.monotonic() - start_s), 1)


def main() -> None:
    """Runs everything and writes the report."""
    with tempfile.TemporaryDirectory() as folder:
        generate = [*KINEMA, "generate", PROMPT, "--out", f"{folder}/video.mp4"]
        report = {
            "command": " ".join(["python", *sys.argv]),
            "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "torch": version("torch"),
            "generate_cold": [timed(generate) for _ in range(3)],
            "help": [timed([*KINEMA, "--help"]) for _ in range(5)],
            "world_clips_per_s_64x64x33_4spp": [world_clips_per_s() for _ in range(3)],
        }
    text = json.dumps(report, indent=2) + "\n"
    Path(sys.argv[1]).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

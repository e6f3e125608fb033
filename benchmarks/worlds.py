"""How many clips a second the worlds make, family by family, on all cores.

Every family makes the same number of clips in worker processes, after a warm-up that compiles the ray tracer; the
mean over families is the number of all clips by the sum of the seconds.

    python benchmarks/worlds.py --clips 24 --out benchmarks/worlds_2core_DATE.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

from kinema.clips.pool import ordered_map
from kinema.config import WorldsConfig
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import VERSION, make_clip


def _make(worlds: WorldsConfig, seeds: tuple[int, ...]) -> list[float]:
    """CPU seconds of each clip."""
    spent = []
    for seed in seeds:
        start_s = time.process_time()
        make_clip(worlds.families[0], seed, worlds)
        spent.append(time.process_time() - start_s)
    return spent


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="of each family and size")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    report: dict[str, object] = {"version": VERSION, "cores": cores, "cpu": platform.processor() or platform.machine()}
    for side in (64, 128):
        table = {}
        for family in options.families:
            worlds = WorldsConfig(families=(family,), height=side, width=side)
            make_clip(family, 0, worlds)
            cpu_s = list(ordered_map(_make, worlds, range(1, 1 + options.clips)))[cores * 4 :]  # the first start up
            table[family] = round(cores * len(cpu_s) / sum(cpu_s), 2)
            print(f"{side}x{side} {family:10} {table[family]:7.2f} clips/s")
        mean = len(table) / sum(1 / rate for rate in table.values())
        print(f"{side}x{side} {'mean':10} {mean:7.2f} clips/s")
        report[f"{side}x{side}"] = {"clips_per_s": table, "mean_clips_per_s": round(mean, 2)}
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Measures the ray tracer alone: clips a second of 33 frames at 4 samples a pixel, for every kind of scene it knows.

    python benchmarks/renderer.py OUT.json [cuda]

``cpu_s`` is processor time for one clip on one thread, so that it can be compared on a busy machine; ``clips_per_s`` is
wall time with all threads (or on the GPU). The best of five repetitions counts; compiling is not in it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np

from kinema.worlds.render import tracer
from kinema.worlds.render.tracer import BOX, CAPSULE, CHECKER, CONE, CONVEX, CYLINDER, PLANKS, SPHERE, Look

FRAMES, SAMPLES, REPEATS = 33, 4, 5
Scene = tuple[Look, np.ndarray, np.ndarray]


def scene(count: int, kinds: tuple[int, ...], radius: float, **changes: Any) -> Scene:
    """``count`` bodies that drift and turn above the floor."""
    rng = np.random.default_rng(0)
    kind_B = np.resize(np.array(kinds, np.int32), count)
    flat = np.where(kind_B[:, None] == CONVEX, [[1.0, 0.2, 1.0]], [[1.0, 1.0, 1.0]])
    planes_P4 = np.column_stack([np.vstack([np.eye(3), -np.eye(3)]), radius * np.tile([1.0, 0.2, 1.0], 2)])
    planes_P4 = np.vstack([planes_P4, [[0.6, 0.0, 0.8, 0.8 * radius], [-0.8, 0.0, 0.6, 0.7 * radius]]])
    look = Look(
        kind_B=kind_B,
        half_size_B3=radius * flat,
        albedo_B3=rng.uniform(0.2, 0.9, (count, 3)),
        planes_P4=planes_P4,
        plane_range_B2=np.tile(np.array([0, len(planes_P4)]), (count, 1)),
        eye_T3=np.array([[0.0, -6.4, 2.4]]),
        target_T3=np.array([[0.0, 0.0, 0.7]]),
        vertical_fov_deg=32.0,
    )
    start_B3 = rng.uniform((-1.6, -1.0, radius), (1.6, 1.0, 1.4), (count, 3))
    drift_TB3 = np.linspace(0, 0.5, FRAMES)[:, None, None] * rng.normal(size=(count, 3))
    position_TB3 = np.maximum(start_B3 + drift_TB3, (-np.inf, -np.inf, radius))
    turn_TB4 = rng.normal(size=(count, 4)) + np.linspace(0, 2, FRAMES)[:, None, None] * rng.normal(size=(count, 4))
    return (
        Look(**(look.__dict__ | changes)),
        position_TB3,
        turn_TB4 / np.linalg.norm(turn_TB4, axis=-1, keepdims=True),
    )


def water() -> Scene:
    """Three bodies in a basin with moving waves."""
    x_X = np.linspace(-1.5, 1.5, 64)
    phase_T = np.linspace(0, 12, FRAMES)[:, None, None]
    height_TXY = 0.6 + 0.02 * np.sin(9 * np.hypot(x_X[:, None], x_X) - phase_T)
    basin = tracer.WaterLook(-1.5, 1.5, -1.5, 1.5, 0.6, height_TXY)
    return scene(3, (SPHERE, BOX), 0.25, water=basin)


def cubes() -> Scene:
    """A grid of 12 × 12 × 5 cells and a ball."""
    grid = np.zeros((1, 12, 12, 5), np.uint8)
    grid[:, :, :, 0], grid[0, ::4, ::3, 1:3] = 1, 2
    palette_K3 = np.array([[0.0, 0.0, 0.0], [0.2, 0.5, 0.15], [0.45, 0.43, 0.4]])
    return scene(1, (SPHERE,), 0.2, voxels=tracer.VoxelLook(np.array([-1.2, -1.2, 0.0]), 0.2, grid, palette_K3))


def paint() -> Scene:
    """A stroke that grows across the floor."""
    time_XY = np.tile(np.linspace(0, FRAMES, 96)[:, None], (1, 96))
    time_XY[:, 60:] = np.inf
    wet = tracer.PaintLook(-1.5, 1.5, -1.5, 1.5, time_XY, np.array([0.1, 0.1, 0.8]))
    return scene(1, (SPHERE,), 0.4, paint=wet)


SCENES: dict[str, Callable[[], Scene]] = {
    "plain, 3 bodies": lambda: scene(3, (SPHERE, BOX, CYLINDER), 0.4),
    "plain, 6 bodies on planks": lambda: scene(6, (SPHERE, BOX, CYLINDER, CAPSULE, CONE), 0.35, floor_pattern=PLANKS),
    "metal, 4 bodies": lambda: scene(4, (SPHERE, BOX), 0.4, gloss_B=np.array([0.35]), metallic_B=np.array([True])),
    "mirror": lambda: scene(3, (SPHERE, BOX), 0.4, gloss_B=np.array([0.92, 0.92, 0.0])),
    "glass, 3 bodies": lambda: scene(3, (SPHERE, BOX), 0.5, index_B=np.array([1.5]), floor_pattern=CHECKER),
    "60 shards of glass": lambda: scene(60, (CONVEX,), 0.15, index_B=np.array([1.5])),
    "300 balls": lambda: scene(300, (SPHERE,), 0.07),
    "water": water,
    "cubes": cubes,
    "paint": paint,
}


def best_s(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """The shortest of several runs; the first, which compiles, does not count."""
    work()
    times_s = []
    for _ in range(REPEATS):
        start_s = clock()
        work()
        times_s.append(clock() - start_s)
    return min(times_s)


def measure(side: int, device: str) -> dict[str, dict[str, float]]:
    """All scenes at one size."""
    results = {}
    for name, build in SCENES.items():
        look, position_TB3, turn_TB4 = build()

        def clip(look: Look = look, position=position_TB3, turn=turn_TB4) -> object:
            return tracer.render(look, position, turn, side, side, SAMPLES, device=device)

        numba.set_num_threads(1)
        cpu_s = best_s(clip, time.process_time)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        results[name] = {"cpu_s": round(cpu_s, 4), "clips_per_s": round(1 / best_s(clip, time.perf_counter), 1)}
    mean_s = float(np.mean([result["cpu_s"] for result in results.values()]))
    results["mean of all"] = {
        "cpu_s": round(mean_s, 4),
        "clips_per_s": round(len(results) / sum(1 / result["clips_per_s"] for result in results.values()), 1),
    }
    return results


def main() -> None:
    """Runs everything and writes the report."""
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    report = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "numba": version("numba"),
        "device": device,
        "frames": FRAMES,
        "samples_per_pixel": SAMPLES,
        **{f"{side}x{side}": measure(side, device) for side in (64, 128)},
    }
    text = json.dumps(report, indent=2) + "\n"
    Path(sys.argv[1]).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""What the codec keeps: PSNR and SSIM of held-out clips of every family, and whether things still move as they did.

    python benchmarks/codec_quality.py OUT.json [--weights nano] [--codec RUN_DIR] [--clips 2] [--data DIR]

Motion truth, as in Kang et al. 2024 (arXiv 2411.02385): bodies are found by colour in the true pixels and in the
reconstruction, and both trajectories are compared with the simulator's, projected into the picture. The error of the
first is the floor of the measurement; ``excess`` is by what share the codec adds to it. Bodies whose colour is alone in
their clip count, in frames that show them whole. Units are shares of the frame's height, and the same a second.

Suffixes: T frames, H height, W width, 3 RGB or x, y, z, 2 (row, column).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kinema import config as configs
from kinema.clips.reading import open_video
from kinema.codec.autoencoder import VideoAutoencoder, load_codec
from kinema.codec.metrics import Closeness, psnr
from kinema.codec.pixels import fast_bf16, from_uint8
from kinema.codec.reconstruct import reconstruct
from kinema.config import WorldsConfig
from kinema.data import WorldState
from kinema.evaluate.judge import is_judged, segment
from kinema.sample.weights import WeightsFolder
from kinema.shapes import nearest_frames
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import World, make_world

FIRST_SEED = 1 << 30  # far beyond the training clips
FPS = 12.0
WHOLE = 0.9  # of a body's largest visible area; less is hidden, outside or far away
LEAST_FRAMES = 6

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Clips of one shape; ``families`` limits it to the first few where clips are expensive."""

    name: str
    width: int
    height: int
    seconds: float
    families: int = len(FAMILIES)


CASES = (
    Case("64x64, 2.75 s", 64, 64, 2.75),
    Case("128x128, 2.75 s", 128, 128, 2.75),
    Case("256x256, 2.75 s", 256, 256, 2.75),
    Case("96x64, 2.75 s", 96, 64, 2.75),
    Case("64x112, 2.75 s", 64, 112, 2.75),
    Case("64x64, image", 64, 64, 0.05),
    Case("64x64, 5 s", 64, 64, 5.0),
    Case("64x64, 20 s", 64, 64, 20.0, families=4),
    Case("64x64, 60 s", 64, 64, 60.0, families=4),
    Case("256x256, 60 s", 256, 256, 60.0, families=1),
)


@dataclass(frozen=True)
class Motion:
    """Errors of the trajectories of one body: from true pixels, from the reconstruction, and between the two."""

    position: tuple[float, float, float]
    speed: tuple[float, float, float]


def projected(state: WorldState, body: int, aspect: float) -> Floats:
    """The body's centre in the picture, (T, 2), as shares of height and width."""
    ahead_T3 = state.camera_target_T3 - state.camera_eye_T3
    ahead_T3 = ahead_T3 / np.linalg.norm(ahead_T3, axis=1, keepdims=True)
    right_T3 = np.cross(ahead_T3, [0.0, 0.0, 1.0])
    right_T3 = right_T3 / np.linalg.norm(right_T3, axis=1, keepdims=True)
    up_T3 = np.cross(right_T3, ahead_T3)
    offset_T3 = state.position_TB3[:, body] - state.camera_eye_T3
    depth_T = 2 * np.tan(np.radians(state.camera.vertical_fov_deg) / 2) * (offset_T3 * ahead_T3).sum(1)
    row_T = 0.5 - (offset_T3 * up_T3).sum(1) / depth_T
    column_T = 0.5 + (offset_T3 * right_T3).sum(1) / depth_T / aspect
    return np.stack([row_T, column_T], axis=1)


def motions(world: World, decoded_THW3: Pixels) -> list[Motion]:
    """One entry for each body that can be followed in the true pixels and in the reconstruction."""
    state, truth_THW3 = world.clip.state, world.clip.pixels_THW3
    assert state is not None
    height, width = truth_THW3.shape[1:3]
    in_heights_2 = np.array([1.0, width / height])
    parsed = [{track.color: track for track in segment(pixels)} for pixels in (truth_THW3, decoded_THW3)]
    times = Counter(body.color for body in state.bodies)
    found = []
    for index, body in enumerate(state.bodies):
        if times[body.color] > 1 or not is_judged(body) or any(body.color not in tracks for tracks in parsed):
            continue
        true_track, decoded_track = (tracks[body.color] for tracks in parsed)
        visible_T = state.visible_TB[:, index]
        whole_T = (visible_T >= WHOLE * visible_T.max()) & true_track.seen_T & decoded_track.seen_T
        if whole_T.sum() < LEAST_FRAMES:
            continue
        exact_T2 = projected(state, index, width / height) * in_heights_2
        paths = [exact_T2, true_track.centre_T2 * in_heights_2, decoded_track.centre_T2 * in_heights_2]
        steps_T = whole_T[1:] & whole_T[:-1]
        errors = []
        for one, other in ((1, 0), (2, 0), (2, 1)):
            gap_T2 = paths[one] - paths[other]
            position = np.linalg.norm(gap_T2[whole_T], axis=1).mean()
            speed = FPS * np.linalg.norm(np.diff(gap_T2, axis=0)[steps_T], axis=1).mean() if steps_T.any() else np.nan
            errors.append((float(position), float(speed)))
        found.append(Motion(*zip(*errors, strict=True)))
    return found


def mean_motion(found: list[Motion]) -> dict[str, object]:
    """Errors over bodies, and what the codec adds."""
    if not found:
        return {"bodies": 0}
    report: dict[str, object] = {"bodies": len(found)}
    for key in ("position", "speed"):
        truth, decoded, between = np.nanmean([getattr(motion, key) for motion in found], axis=0)
        report[key] = {
            "floor_true_pixels": round(float(truth), 5),
            "floor_reconstruction": round(float(decoded), 5),
            "between_them": round(float(between), 5),
            "excess": round(float(decoded / truth - 1), 4),
        }
    return report


def decoded_of(codec: VideoAutoencoder, pixels_THW3: Pixels, bf16: bool) -> tuple[Pixels, Closeness]:
    """The clip through the codec and back."""
    pieces: list[Pixels] = []
    closeness = reconstruct(codec, iter(pixels_THW3), pieces.append, bf16)
    return np.concatenate(pieces), closeness


def body_psnr(world: World, decoded_THW3: Pixels) -> float:
    """PSNR in dB over the pixels that show bodies; nan if there are none."""
    mask_BTHW = torch.from_numpy(world.ids_THW >= 0)[None]
    truth, decoded = (from_uint8(pixels[None]) for pixels in (world.clip.pixels_THW3, decoded_THW3))
    return float(psnr(decoded, truth, mask_BTHW))


def run_case(codec: VideoAutoencoder, case: Case, clips: int, bf16: bool) -> dict[str, object]:
    """Every family of one case."""
    worlds = WorldsConfig(
        height=case.height, width=case.width, frames=nearest_frames(round(case.seconds * FPS)), fps=FPS
    )
    families: dict[str, dict[str, object]] = {}
    every: list[Motion] = []
    for family in list(FAMILIES)[: case.families]:
        psnr_db, ssim, of_bodies, found = [], [], [], []
        for seed in range(FIRST_SEED, FIRST_SEED + clips):
            world = make_world(family, seed, replace(worlds, families=(family,)))
            decoded_THW3, closeness = decoded_of(codec, world.clip.pixels_THW3, bf16)
            psnr_db.append(closeness.psnr_db)
            ssim.append(closeness.ssim)
            of_bodies.append(body_psnr(world, decoded_THW3))
            found += motions(world, decoded_THW3) if worlds.frames > 1 else []
        families[family] = {
            "psnr_db": round(float(np.mean(psnr_db)), 2),
            "ssim": round(float(np.mean(ssim)), 4),
            "body_psnr_db": round(float(np.nanmean(of_bodies)), 2) if np.isfinite(of_bodies).any() else None,
            "motion": mean_motion(found),
        }
        every += found
        sys.stderr.write(f"{case.name} {family}: {families[family]['psnr_db']} dB\n")
    psnr_by_family = {family: float(str(scores["psnr_db"])) for family, scores in families.items()}
    worst = min(psnr_by_family, key=lambda family: psnr_by_family[family])
    return {
        "frames": worlds.frames,
        "clips_per_family": clips,
        "mean_psnr_db": round(float(np.mean(list(psnr_by_family.values()))), 2),
        "worst_family": worst,
        "worst_psnr_db": psnr_by_family[worst],
        "motion": mean_motion(every),
        "families": families,
    }


def run_footage(codec: VideoAutoencoder, folder: Path, bf16: bool) -> dict[str, object]:
    """Real files, whole: none of them was seen in training unless the codec says so."""
    scores: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        with open_video(path) as reader:
            closeness = reconstruct(codec, reader.frames(), lambda pixels: None, bf16)
            size = f"{reader.width}x{reader.height}"
        scores[path.name] = {
            "size": size,
            "frames": closeness.frames,
            "psnr_db": round(closeness.psnr_db, 2),
            "ssim": round(closeness.ssim, 4),
        }
    return scores


def main() -> None:
    """Runs everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--codec", type=Path, help="run folder of `kinema train codec`, instead of --weights")
    parser.add_argument("--clips", type=int, default=2, help="of each family and case")
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--data", type=Path, help="folder of real videos to score as well")
    options = parser.parse_args()
    start_s = time.monotonic()
    if options.codec is None:
        codec = WeightsFolder.find(options.weights).codec()
    else:
        codec = load_codec(configs.load(options.codec / "config.json").codec, options.codec)
    bf16 = fast_bf16(torch.device("cpu"))
    report: dict[str, object] = {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "torch": version("torch"),
        "bf16": bf16,
        "seeds": f"{FIRST_SEED} on",
        "cases": {case.name: run_case(codec, case, options.clips, bf16) for case in CASES[: options.cases]},
    }
    if options.data is not None:
        report["footage"] = run_footage(codec, options.data, bf16)
    report["minutes"] = round((time.monotonic() - start_s) / 60, 1)
    text = json.dumps(report, indent=2) + "\n"
    options.out.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

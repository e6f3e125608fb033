"""What the codec keeps: PSNR and SSIM of held-out clips of every family, and whether things still move as they did.

    python benchmarks/codec_quality.py OUT.json [--weights nano] [--codec RUN_DIR] [--clips 2] [--data DIR]

Motion truth, as in Kang et al. 2024 (arXiv 2411.02385): bodies are found by colour in the true pixels and in the
reconstruction, and both trajectories are compared with the simulator's, projected into the picture. The error of the
first is the floor of the measurement. ``difference`` is how far the two parsed trajectories are from each other as a
share of the floor, ``excess`` by what share the codec adds to the error. ``noise`` is the control: ``difference`` for
true pixels that were changed by at most one code of 255. Where it is not far below 0.1, a difference of 0.1 means
nothing. Bodies whose colour is alone in their clip count, in frames that show them whole. Units are shares of the
frame's height, and the same a second. ``mask`` is the same for the centres of the judge's masks, which move in steps of
whole pixels at the edge: their floor is higher, so that differences are smaller shares of it.

The command stops after ``--minutes`` with a report of the families that are complete; repeated, it goes on.

Suffixes: T frames, H height, W width, 3 RGB or x, y, z, 2 (row, column), P pixels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept import Kept, circumstances
from numpy.typing import NDArray

from kinema import config as configs
from kinema.clips.reading import open_video
from kinema.codec.autoencoder import VideoAutoencoder, load_codec
from kinema.codec.metrics import Closeness, psnr
from kinema.codec.pixels import fast_bf16, from_uint8
from kinema.codec.reconstruct import reconstruct
from kinema.config import WorldsConfig
from kinema.data import WorldState
from kinema.evaluate.judge import Track, is_judged, segment
from kinema.files import whole_text
from kinema.sample.weights import WeightsFolder
from kinema.shapes import nearest_frames
from kinema.worlds.families import FAMILIES
from kinema.worlds.make import World, make_world

FIRST_SEED = 1 << 30  # far beyond the training clips
FPS = 12.0
REACH = 2  # pixels from the edge of a body's mask within which pixels are partly the body's
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


Motion = dict[str, dict[str, float]]  # one of MEASURES → errors of one body: see PAIRS
MEASURES = ("position", "speed", "mask_position", "mask_speed")
PAIRS = {"floor": (1, 0), "reconstruction": (2, 0), "between": (2, 1), "noise": (3, 1)}  # 0 is the simulator


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


def centres(track: Track, pixels_THW3: Pixels) -> Floats:
    """The body's centre in the picture, (T, 2), more finely than its mask tells; nan where it is not seen.

    A pixel at the edge counts by its share of the body: where its colour lies between those of the pixels inside and
    those around.
    """
    centre_T2 = np.full_like(track.centre_T2, np.nan)
    for frame in np.flatnonzero(track.seen_T):
        mask_HW, pixels_HW3 = track.mask_THW[frame], pixels_THW3[frame].astype(np.float64)
        grown_HW, inner_HW = mask_HW, mask_HW
        for _ in range(REACH):
            grown_HW, inner_HW = _grow(grown_HW), ~_grow(~inner_HW)
        around_HW = _grow(_grow(grown_HW)) & ~grown_HW
        if not inner_HW.any() or not around_HW.any():
            continue
        point_P2 = np.argwhere(grown_HW)
        inside_3, outside_3 = np.median(pixels_HW3[mask_HW], axis=0), np.median(pixels_HW3[around_HW], axis=0)
        along_3 = inside_3 - outside_3
        share_P = np.clip((pixels_HW3[grown_HW] - outside_3) @ along_3 / max(float(along_3 @ along_3), 1e-6), 0, 1)
        share_P[inner_HW[grown_HW]] = 1
        centre_T2[frame] = (share_P @ (point_P2 + 0.5) / share_P.sum()) / mask_HW.shape
    return centre_T2


def _grow(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    around_HW = np.pad(mask_HW, 1, mode="edge")
    grown_HW: NDArray[np.bool_] = (
        mask_HW | around_HW[:-2, 1:-1] | around_HW[2:, 1:-1] | around_HW[1:-1, :-2] | around_HW[1:-1, 2:]
    )
    return grown_HW


def motions(world: World, decoded_THW3: Pixels) -> list[Motion]:
    """One entry for each body that can be followed in the true pixels, in noisy ones, and in the reconstruction."""
    state, truth_THW3 = world.clip.state, world.clip.pixels_THW3
    assert state is not None
    height, width = truth_THW3.shape[1:3]
    in_heights_2 = np.array([1.0, width / height])
    noise = np.random.default_rng(0).integers(-1, 2, truth_THW3.shape)
    noisy_THW3 = (truth_THW3 + noise).clip(0, 255).astype(np.uint8)
    parsed = [
        {track.color: (track, centres(track, pixels)) for track in segment(pixels)}
        for pixels in (truth_THW3, decoded_THW3, noisy_THW3)
    ]
    times = Counter(body.color for body in state.bodies)
    found = []
    for index, body in enumerate(state.bodies):
        if times[body.color] > 1 or not is_judged(body) or any(body.color not in tracks for tracks in parsed):
            continue
        exact_T2 = projected(state, index, width / height) * in_heights_2
        fine = [exact_T2, *(tracks[body.color][1] * in_heights_2 for tracks in parsed)]
        coarse = [exact_T2, *(tracks[body.color][0].centre_T2 * in_heights_2 for tracks in parsed)]
        visible_T = state.visible_TB[:, index]
        whole_T = (visible_T >= WHOLE * visible_T.max()) & np.isfinite(sum(fine)).all(axis=1)
        if whole_T.sum() >= LEAST_FRAMES and (whole_T[1:] & whole_T[:-1]).any():
            errors = [*_errors(fine, whole_T), *_errors(coarse, whole_T)]
            found.append(dict(zip(MEASURES, errors, strict=True)))
    return found


def _errors(paths: list[Floats], whole_T: NDArray[np.bool_]) -> tuple[dict[str, float], dict[str, float]]:
    """Of position and of speed, for every pair."""
    steps_T = whole_T[1:] & whole_T[:-1]
    gaps = {name: paths[one] - paths[other] for name, (one, other) in PAIRS.items()}
    position = {name: float(np.linalg.norm(gap_T2[whole_T], axis=1).mean()) for name, gap_T2 in gaps.items()}
    moved = {name: np.linalg.norm(np.diff(gap_T2, axis=0)[steps_T], axis=1) for name, gap_T2 in gaps.items()}
    return position, {name: FPS * float(gap_S.mean()) for name, gap_S in moved.items()}


def mean_motion(found: list[Motion]) -> dict[str, Any]:
    """Errors over bodies, and what the codec adds."""
    report: dict[str, Any] = {"bodies": len(found)}
    for key in MEASURES if found else ():
        mean = {name: float(np.mean([motion[key][name] for motion in found])) for name in PAIRS}
        report[key] = {
            "floor_true_pixels": round(mean["floor"], 5),
            "floor_reconstruction": round(mean["reconstruction"], 5),
            "difference": round(mean["between"] / mean["floor"], 3),
            "excess": round(mean["reconstruction"] / mean["floor"] - 1, 3),
            "noise": round(mean["noise"] / mean["floor"], 3),
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


def run_family(codec: VideoAutoencoder, case: Case, family: str, clips: int, bf16: bool) -> dict[str, Any]:
    """The clips of one family of a case, summed up; ``motions`` holds every body."""
    worlds = WorldsConfig(
        height=case.height, width=case.width, frames=nearest_frames(round(case.seconds * FPS)), fps=FPS
    )
    psnr_db, ssim, of_bodies, found = [], [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + clips):
        world = make_world(family, seed, replace(worlds, families=(family,)))
        decoded_THW3, closeness = decoded_of(codec, world.clip.pixels_THW3, bf16)
        psnr_db.append(closeness.psnr_db)
        ssim.append(closeness.ssim)
        of_bodies.append(body_psnr(world, decoded_THW3))
        found += motions(world, decoded_THW3) if worlds.frames > 1 else []
    sys.stderr.write(f"{case.name} {family}: {np.mean(psnr_db):.2f} dB\n")
    return {
        "psnr_db": round(float(np.mean(psnr_db)), 2),
        "ssim": round(float(np.mean(ssim)), 4),
        "body_psnr_db": round(float(np.nanmean(of_bodies)), 2) if np.isfinite(of_bodies).any() else None,
        "motions": found,
    }


def summed_up(case: Case, clips: int, families: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One case: mean, worst family, motion of all bodies and of each family's."""
    psnr_db = {family: scores["psnr_db"] for family, scores in families.items()}
    worst = min(psnr_db, key=lambda family: psnr_db[family])
    every = [motion for scores in families.values() for motion in scores["motions"]]
    return {
        "complete": len(families) == case.families,
        "clips_per_family": clips,
        "mean_psnr_db": round(float(np.mean(list(psnr_db.values()))), 2),
        "worst_family": worst,
        "worst_psnr_db": psnr_db[worst],
        "motion": mean_motion(every),
        "families": {
            family: {key: value for key, value in scores.items() if key != "motions"}
            | {"motion": mean_motion(scores["motions"])}
            for family, scores in families.items()
        },
    }


def markdown(cases: dict[str, dict[str, Any]]) -> str:
    """PSNR, and speed errors in frame heights a second like the table of arXiv 2411.02385."""
    lines = [
        "| clips | PSNR: mean / worst family | bodies | speed error: true / reconstruction | difference | noise |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in cases.items():
        motion = case["motion"]
        speed = motion.get("speed")
        told = (
            f"{speed['floor_true_pixels']:.4f} / {speed['floor_reconstruction']:.4f} | {speed['difference']:.0%} | "
            f"{speed['noise']:.0%}"
            if speed
            else "| | "
        )
        lines.append(
            f"| {name} | {case['mean_psnr_db']} / {case['worst_psnr_db']} ({case['worst_family']}) | "
            f"{motion['bodies']} | {told} |"
        )
    return "\n".join(lines) + "\n"


def run_footage(codec: VideoAutoencoder, path: Path, bf16: bool) -> dict[str, Any]:
    """A real file, whole: not seen in training unless the codec says so."""
    with open_video(path) as reader:
        closeness = reconstruct(codec, reader.frames(), lambda pixels: None, bf16)
        size = f"{reader.width}x{reader.height}"
    return {
        "size": size,
        "frames": closeness.frames,
        "psnr_db": round(closeness.psnr_db, 2),
        "ssim": round(closeness.ssim, 4),
    }


def main() -> None:
    """Runs everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--codec", type=Path, help="run folder of `kinema train codec`, instead of --weights")
    parser.add_argument("--clips", type=int, default=2, help="of each family and case")
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--families", type=int, default=len(FAMILIES), help="only the first so many")
    parser.add_argument("--data", type=Path, help="folder of real videos to score as well")
    parser.add_argument("--minutes", type=float, default=7.5)
    options = parser.parse_args()
    start_s = time.monotonic()
    folder = WeightsFolder.find(options.weights).path if options.codec is None else options.codec
    codec = load_codec(configs.load(folder / "config.json").codec, folder)
    bf16 = fast_bf16(torch.device("cpu"))
    checksum = hashlib.sha256((folder / "codec.safetensors").read_bytes()).hexdigest()
    kept = Kept(options.out, {"codec": checksum, "clips": options.clips, "bf16": bf16}, options.minutes)
    cases: dict[str, dict[str, Any]] = {}
    for case in (replace(case, families=min(case.families, options.families)) for case in CASES[: options.cases]):
        families: dict[str, dict[str, Any]] = {}
        for family in list(FAMILIES)[: case.families]:
            if f"{case.name} {family}" in kept.values or not kept.is_late:
                families[family] = kept.get(
                    f"{case.name} {family}",
                    lambda case=case, family=family: run_family(codec, case, family, options.clips, bf16),
                )
        if families:
            cases[case.name] = summed_up(case, options.clips, families)
    files = sorted(options.data.iterdir()) if options.data is not None else []
    footage = {
        path.name: kept.get(f"file {path.name}", lambda path=path: run_footage(codec, path, bf16))
        for path in files
        if f"file {path.name}" in kept.values or not kept.is_late
    }
    report = circumstances() | {"codec": checksum, "bf16": bf16, "seeds": f"{FIRST_SEED} on", "cases": cases}
    report |= {"footage": footage, "minutes": round((time.monotonic() - start_s) / 60, 1)}
    whole_text(options.out, json.dumps(report, indent=2) + "\n")
    sys.stdout.write(markdown(cases))
    if kept.is_late:
        sys.stdout.write("the time was over: the same command goes on where this one stopped\n")


if __name__ == "__main__":
    main()

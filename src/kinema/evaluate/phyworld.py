"""The published yardstick: velocity errors of Kang et al. (arXiv 2411.02385) on a replica of their flat worlds.

Their metric: a ball is where the centre of the pixels beyond a colour threshold is; velocities are differences of
neighbouring frames; frames in which a ball is partly outside do not count; of collisions only frames after the contact.
What moves along a line is scored along it, the parabola by the length of the error. A ball that is not found counts as
gone to the side, as theirs does. Their pictures are parsed at 256×256; ours have 128×128 pixels and are enlarged
linearly before the threshold, which gives the same floor.

The model is given five frames, theirs three: see :mod:`.laws`. Scoring starts with the last given frame.

Array suffixes: T frames, B balls, H height, W width, 2 (x, y) in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.config import WorldsConfig
from kinema.evaluate.examples import TEST_SEED
from kinema.evaluate.statistics import finite_mean, score_of
from kinema.evaluate.suite import Exam, Pixels, Score, Strip, SuiteResult, Table
from kinema.worlds import flat
from kinema.worlds.flat import FlatMotion
from kinema.worlds.make import HELD_OUT_SEED

NAME = "phyworld"
ABOUT = (
    "The flat worlds of Kang et al.: velocity error in m/s of uniform motion, elastic collision and parabola, in and "
    "out of the distribution of training. For models that were trained on the replica (runs/phyworld_cpu.sh)."
)
SIDE, FPS, FRAMES = 128, 10.0, 33  # theirs: 128, 10, 32; a clip of ours has 1 + 4k frames
GIVEN = 5
CLIPS, QUICK_CLIPS = 16, 1  # of each scene and distribution
PARSED_SIDE = 256  # pixels, at which the threshold is applied
THRESHOLD = 127
LEAST_PIXELS = 4  # of the enlarged picture

PUBLISHED: tuple[tuple[str, str, float, float, float], ...] = (
    ("uniform_motion", "truth parsed", 0.0, 0.0099, 0.0099),
    ("uniform_motion", "their codec", 0.0, 0.0105, 0.0105),
    ("uniform_motion", "DiT-S, 3M clips", 22.5, 0.0149, 0.288),
    ("uniform_motion", "DiT-B, 3M clips", 89.5, 0.0138, 0.358),
    ("uniform_motion", "DiT-L, 3M clips", 310.0, 0.0124, 0.427),
    ("elastic_collision", "truth parsed", 0.0, 0.0117, 0.0117),
    ("elastic_collision", "their codec", 0.0, 0.0131, 0.0131),
    ("elastic_collision", "DiT-S, 3M clips", 22.5, 0.0227, 0.153),
    ("elastic_collision", "DiT-B, 3M clips", 89.5, 0.0181, 0.211),
    ("elastic_collision", "DiT-L, 3M clips", 310.0, 0.0153, 0.161),
    ("parabola", "truth parsed", 0.0, 0.0210, 0.0210),
    ("parabola", "their codec", 0.0, 0.0212, 0.0212),
    ("parabola", "DiT-S, 3M clips", 22.5, 0.0472, 0.307),
    ("parabola", "DiT-B, 3M clips", 89.5, 0.0358, 0.288),
    ("parabola", "DiT-L, 3M clips", 310.0, 0.0331, 0.338),
)
"""Scene, who, million parameters, velocity error in and out of distribution; 100K steps × 256 clips on 32 A100."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def run(exam: Exam) -> SuiteResult:
    """Measures the floors, and the model if it was trained on these worlds."""
    trained = set(flat.SCENES) <= set(exam.pipeline.config.worlds.families)
    count = QUICK_CLIPS if exam.quick else CLIPS
    total = 2 * count * len(flat.SCENES)
    exam.on_progress(0, total)
    worlds = WorldsConfig(flat.SCENES, SIDE, SIDE, FRAMES, FPS)
    scores, rows, strips, done = list[Score](), list[tuple[str | float, ...]](), list[Strip](), 0
    for scene in flat.SCENES:
        errors: dict[str, dict[bool, list[float]]] = {
            name: {False: [], True: []} for name in ("truth", "codec", "model")
        }
        for out in (False, True):
            for seed in range(count):
                number = (HELD_OUT_SEED if out else TEST_SEED) + seed
                clip, motion = flat.make(scene, number, worlds, out), flat.move(scene, number, FRAMES, FPS, out)
                shown = {"truth": clip.pixels_THW3, "codec": exam.cache.coded(clip.pixels_THW3)}
                if trained:
                    shown["model"] = _continued(exam, scene, clip.pixels_THW3, seed)
                for name, pixels_THW3 in shown.items():
                    errors[name][out].append(velocity_error(pixels_THW3, motion))
                if trained and seed == 0:
                    both_THW3 = np.concatenate([clip.pixels_THW3, shown["model"]], axis=1)
                    title = f"{scene}, {'out of' if out else 'in'} distribution: truth above, model below"
                    strips.append(Strip(title, both_THW3))
                done += 1
                exam.on_progress(done, total)
            if trained:
                scores.append(_score(scene, out, {name: columns[out] for name, columns in errors.items()}))
        rows += [row for row in PUBLISHED if row[0] == scene]
        parameters = sum(p.numel() for p in exam.pipeline.model.parameters()) / 1e6
        who = {"truth": "ours: truth parsed", "codec": "ours: our codec", "model": _who(exam)}
        rows += [
            (scene, who[name], parameters * (name == "model"), *(finite_mean(columns[out]) for out in (False, True)))
            for name, columns in errors.items()
            if name != "model" or trained
        ]
    table = Table(
        "Velocity error, m/s",
        ("scene", "who", "million parameters", "in distribution", "out of distribution"),
        tuple(rows),
    )
    notes = ["Their models saw 25.6 million clips in 100K steps of 256; ours are told with their numbers."]
    if not trained:
        notes = ["These weights were not trained on the flat worlds: only the floors are measured."]
    return SuiteResult(NAME, ABOUT, tuple(scores), tables=(table,), strips=tuple(strips), notes=tuple(notes))


def velocity_error(pixels_THW3: Pixels, motion: FlatMotion) -> float:
    """Mean error in m/s over balls and the frames that count; nan if none does."""
    counts_T = motion.inside_T & (np.arange(len(motion.inside_T)) >= GIVEN - 1)
    if np.isfinite(motion.contact_s):
        counts_T &= np.arange(len(counts_T)) / FPS > motion.contact_s
    steps = np.flatnonzero(counts_T[1:] & counts_T[:-1])
    position_TB2 = parse(pixels_THW3, len(motion.radius_B))
    error_SB2 = (np.diff(position_TB2 - motion.position_TB2, axis=0) * FPS)[steps]
    if motion.scene == "parabola":
        return finite_mean(np.linalg.norm(error_SB2, axis=-1).ravel().tolist())
    return finite_mean(np.abs(error_SB2[..., 0]).ravel().tolist())


def parse(pixels_THW3: Pixels, balls: int) -> Floats:
    """Where the red ball is and, of two, the blue one: (T, B, 2) in metres.

    One that is not found is taken to have left: a single ball and the blue one to the right, the red one of two to the
    left, at the height at which it was last seen.
    """
    position_TB2 = np.full((len(pixels_THW3), balls, 2), np.nan)
    gone_B = (flat.WORLD_M,) if balls == 1 else (0.0, flat.WORLD_M)
    height, width = pixels_THW3.shape[1:3]
    metre = min(height, width) / flat.WORLD_M
    factor = max(1, round(PARSED_SIDE / min(height, width)))
    for frame, pixels_HW3 in enumerate(pixels_THW3):
        centres = _centres(pixels_HW3, balls, factor)
        for ball, centre in enumerate(centres):
            if centre is not None:
                position_TB2[frame, ball] = centre[1] / metre, (height - centre[0]) / metre
            else:
                last = position_TB2[frame - 1, ball, 1] if frame else flat.WORLD_M / 2
                position_TB2[frame, ball] = gone_B[ball], last
    return position_TB2


def _centres(pixels_HW3: NDArray[np.uint8], balls: int, factor: int) -> list[tuple[float, float] | None]:
    """(row, column) of the red and the blue ball in pixels, of a picture enlarged ``factor`` times."""
    rows, columns = (np.flatnonzero((pixels_HW3[..., 1] < THRESHOLD).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return [None] * balls
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)  # what is enlarged from elsewhere is no ball
    large_HW3 = pixels_HW3[top : rows[-1] + 2, left : columns[-1] + 2].astype(np.float32)
    for axis in (0, 1):
        large_HW3 = _enlarged(large_HW3, axis, factor)
    low_HW3 = large_HW3 < THRESHOLD
    centres: list[tuple[float, float] | None] = []
    for bright, dark in ((0, 2), (2, 0))[:balls]:
        row_N, column_N = np.nonzero(~low_HW3[..., bright] & low_HW3[..., 1] & low_HW3[..., dark])
        middle = ((row_N.mean() + 0.5) / factor + top, (column_N.mean() + 0.5) / factor + left) if len(row_N) else None
        centres.append(middle if len(row_N) > LEAST_PIXELS else None)
    return centres


def _enlarged(image_HW3: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    """Linearly between pixel centres along one axis."""
    side = image_HW3.shape[axis]
    place = np.clip((np.arange(side * factor, dtype=np.float32) + 0.5) / factor - 0.5, 0, side - 1)
    low = np.clip(place.astype(int), 0, max(side - 2, 0))
    share = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    upper = image_HW3.take(np.minimum(low + 1, side - 1), axis)
    result: NDArray[np.float32] = image_HW3.take(low, axis) * (1 - share) + upper * share
    return result


def _continued(exam: Exam, scene: str, pixels_THW3: Pixels, seed: int) -> Pixels:
    """The model's version of a clip, from its first frames on; without guidance, since the words say nothing."""
    seconds = (FRAMES - GIVEN) / FPS
    return exam.cache.make(
        flat.PROMPTS[scene], seed=seed, extend=pixels_THW3[:GIVEN], seconds=seconds, fps=FPS, guidance=1.0
    )


def _score(scene: str, out: bool, errors: Mapping[str, Sequence[float]]) -> Score:
    where = "out_of" if out else "in"
    return score_of(
        f"{scene}_{where}_distribution_mps",
        f"velocity error, {scene.replace('_', ' ')}, {where.replace('_', ' ')} distribution, m/s",
        "lower",
        errors["model"],
        {name: values for name, values in errors.items() if name != "model"},
    )


def _who(exam: Exam) -> str:
    """The model with what it cost to train, from its card."""
    facts = exam.pipeline.card.training
    config = exam.pipeline.config
    return f"ours: {exam.pipeline.card.name}, {config.worlds.clips} clips, {facts.get('model_flops', 'unknown')} FLOPs"

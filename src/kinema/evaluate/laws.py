"""The laws of motion in the 3-D worlds: given the first frames of a true clip, does the model go on as physics does?

Where everything begins at rest (fall, ramp, pendulum) the first frame alone fixes what follows, so one frame is given.
Where something moves (throw, collide) five are given, two whole latent frames: the codec makes a latent frame of every
four frames after the first, so three frames cannot be given without giving half of a latent frame.

Every clip is scored four times by the same code: the true rendering, its codec reconstruction, the given frames with
the last one held for ever (``frozen``), and the model's continuation.

Array suffixes: T frames, S steps between frames, B bodies, 2 (x, z).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema.config import WorldsConfig
from kinema.data import Clip, WorldState
from kinema.evaluate.adherence import can_be_judged, may_be_judged
from kinema.evaluate.bodies import Floats, observe, velocities
from kinema.evaluate.examples import columns_of, means, unseen
from kinema.evaluate.state import read_metres
from kinema.evaluate.statistics import finite_mean
from kinema.evaluate.suite import Better, Curve, Exam, Pixels, Strip, SuiteResult, Table
from kinema.worlds.narration.narrate import short_prompt
from kinema.worlds.physics.mjcf import GRAVITY_MPS2
from kinema.worlds.scene import Scene

NAME = "laws"
ABOUT = (
    "Laws of motion: the model continues true clips of falling, thrown, colliding, rolling and swinging bodies. "
    "One frame is given where all begins at rest, five where something moves; only what follows is scored."
)
GIVEN = {"fall": 1, "throw": 5, "collide": 5, "ramp": 1, "pendulum": 1}  # frames
CLIPS, QUICK_CLIPS = 14, 2  # of each family
STRIPS = 6
MOST_BODIES = 2
PLANE_M = 0.1  # how far bodies leave the plane in which they begin
EARLIEST_S = 0.3  # at which bodies may touch at full speed, so that it is worth to simulate when they do
LEAST_WHOLE = 0.5  # share of the frames in which all bodies are seen whole
LEAST_FLIGHT = 4  # frames in which gravity can be measured
_CONSERVED = {"energy_drift": ("throw", "fall", "pendulum"), "momentum_drift": ("collide",)}

_SCORES: dict[str, tuple[str, Better]] = {
    "velocity_error_mps": ("|v − v_true| in the plane of motion, mean over bodies and frames, m/s", "lower"),
    "tracked_share": ("bodies and frames that truth shows whole and that are found whole in the clip", "higher"),
    "gravity_error_mps2": ("|g − 9.81| of parabolas through the frames of free flight, m/s²", "lower"),
    "energy_drift": ("|E − E_true| by the largest E_true: height and motion; fall, throw, pendulum", "lower"),
    "momentum_drift": ("|p − p_true| along the way by the largest |p_true|; collide", "lower"),
}
Measures = Mapping[str, float]  # one number for each name of _SCORES, and gravity_mps2


@dataclass(frozen=True)
class Motion:
    """Positions in the plane of motion of the bodies of a clip, nan where a body is not seen whole."""

    position_BT2: Floats

    @classmethod
    def read(cls, clip: Clip, pixels_THW3: Pixels) -> Motion:
        """Off pixels that show what the clip should show.

        The middle of a cone's silhouette is not the middle of the cone: how far apart they are at the first frame,
        which every model is given, is taken off all others.
        """
        assert clip.state is not None
        first, seen = observe(clip.pixels_THW3[:1]), observe(pixels_THW3)
        position_BT2 = np.full((len(clip.state.bodies), len(pixels_THW3), 2), np.nan)
        for index, body in enumerate(clip.state.bodies):
            if body.color in seen:
                position_BT2[index] = read_metres(seen[body.color], clip, index)
            if body.color in first:
                off_2 = read_metres(first[body.color], clip, index)[0] - clip.state.position_TB3[0, index, [0, 2]]
                position_BT2[index] -= np.nan_to_num(off_2)
        return cls(position_BT2)

    @classmethod
    def exact(cls, clip: Clip) -> Motion:
        """Of the simulator."""
        assert clip.state is not None
        return cls(np.moveaxis(clip.state.position_TB3[:, :, [0, 2]], 1, 0))


def run(exam: Exam) -> SuiteResult:
    """Continues true clips and measures motion in what comes out."""
    count = QUICK_CLIPS if exam.quick else CLIPS
    total = count * len(GIVEN)
    exam.on_progress(0, total)
    columns: dict[str, list[Measures]] = {"truth": [], "codec": [], "frozen": [], "model": []}
    families, strips = list[str](), list[tuple[float, Strip]]()
    heights = dict[str, tuple[tuple[float, float], ...]]()
    for family, given in GIVEN.items():
        for index, clip in enumerate(examples(family, exam.worlds, count)):
            assert clip.state is not None
            prompt = short_prompt(family, clip.state)
            shown = columns_of(exam, clip, prompt, given, seed=index)
            for name, pixels_THW3 in shown.items():
                columns[name].append(measure(clip, pixels_THW3, given))
            families.append(family)
            error = columns["model"][-1]["velocity_error_mps"]
            both_THW3 = np.concatenate([clip.pixels_THW3, shown["model"]], axis=1)
            title = f"{family} {clip.source.seed}: {prompt}; {error:.2f} m/s off. Above the truth, below the model."
            strips.append((-error if np.isfinite(error) else -np.inf, Strip(title, both_THW3)))
            if family == "throw" and index == 0:
                heights = {name: _height(clip, shown[name]) for name in ("truth", "model")}
            exam.on_progress(len(families), total)
    strips.sort(key=lambda pair: pair[0])
    return SuiteResult(
        NAME,
        ABOUT,
        means(_SCORES, columns),
        tables=(_table(families, columns),),
        curves=(Curve("First throw", "time (s)", "height (m)", heights),),
        strips=tuple(strip for _, strip in strips[:STRIPS]),
    )


def examples(family: str, worlds: WorldsConfig, count: int) -> tuple[Clip, ...]:
    """The first clips of a family whose motion can be read."""
    return unseen(family, worlds, count, is_legible, _may_be_legible)


def _may_be_legible(scene: Scene) -> bool:
    """Refuses most of the scenes that would not be legible; of collisions those that surely come too early."""
    if len(scene.bodies) > MOST_BODIES or not may_be_judged(scene):
        return False
    if scene.family != "collide":
        return True
    first, second = scene.bodies
    apart_m = (
        abs(first.position_m[0] - second.position_m[0]) - min(first.info.half_size_m) - min(second.info.half_size_m)
    )
    return apart_m / max(abs(first.velocity_mps[0] - second.velocity_mps[0]), 1e-9) > EARLIEST_S


def is_legible(clip: Clip) -> bool:
    """Whether motion can be read off the true rendering: one or two bodies, in their planes and mostly seen whole."""
    if not can_be_judged(clip) or clip.state is None or len(clip.state.bodies) > MOST_BODIES:
        return False
    if clip.source.family == "collide" and _first_contact_s(clip.state) <= (GIVEN["collide"] - 1) / clip.fps:
        return False  # the given frames would tell what comes of it
    depth_TB = clip.state.position_TB3[:, :, 1]
    if np.abs(depth_TB - depth_TB[0]).max() > PLANE_M:
        return False
    after_BT2 = Motion.read(clip, clip.pixels_THW3).position_BT2[:, GIVEN[clip.source.family] - 1 :]
    return bool(np.isfinite(after_BT2[..., 0]).all(axis=0).mean() >= LEAST_WHOLE)


def _first_contact_s(state: WorldState) -> float:
    """When two bodies first touch; infinity if they never do."""
    return min((e.time_s for e in state.events if e.kind == "contact" and -1 not in e.bodies), default=np.inf)


def measure(clip: Clip, pixels_THW3: Pixels, given: int) -> Measures:
    """How far these pixels are from the motion of a true clip, after its first ``given`` frames."""
    assert clip.state is not None
    family, true = clip.source.family, Motion.exact(clip)
    read, rendered = Motion.read(clip, pixels_THW3), Motion.read(clip, clip.pixels_THW3)
    after = slice(given - 1, None)  # the step from the last given frame to the first that is the model's own counts
    step_BS2, true_BS2, whole_BS2 = (
        np.stack([velocities(position_T2, clip.fps)[after] for position_T2 in motion.position_BT2])
        for motion in (read, true, rendered)
    )
    must_BS = np.isfinite(whole_BS2[..., 0])
    gravity = gravities(read, true, clip.fps, given)
    mass_B = np.array([body.mass_kg for body in clip.state.bodies])
    energy, momentum = (
        [of(motion, mass_B, clip.fps)[given - 1 :] for motion in (read, true)] for of in (_energy, _momentum)
    )
    found = {
        "velocity_error_mps": finite_mean(np.linalg.norm(step_BS2 - true_BS2, axis=-1).ravel().tolist()),
        "tracked_share": finite_mean(np.isfinite(step_BS2[..., 0])[must_BS].tolist()),
        "gravity_mps2": finite_mean(gravity),
        "gravity_error_mps2": finite_mean([abs(g - GRAVITY_MPS2) for g in gravity]),
        "energy_drift": _drift(*energy),
        "momentum_drift": _drift(*momentum),
    }
    return found | {name: np.nan for name, where in _CONSERVED.items() if family not in where}


def gravities(read: Motion, true: Motion, fps: float, given: int) -> list[float]:
    """g of a least-squares parabola through the heights of every free flight in truth, m/s², downwards positive.

    A flight begins at the last given frame at the earliest; at least ``LEAST_FLIGHT`` of its frames must be seen.
    """
    estimates = []
    for read_T2, true_T2 in zip(read.position_BT2, true.position_BT2, strict=True):
        for start, stop in flights(true_T2[:, 1], fps):
            frames = np.arange(max(start, given - 1), stop)
            frames = frames[np.isfinite(read_T2[frames, 1])]
            if len(frames) >= LEAST_FLIGHT:
                estimates.append(float(-2 * np.polyfit(frames / fps, read_T2[frames, 1], 2)[0]))
    return estimates


def flights(height_T: Floats, fps: float) -> list[tuple[int, int]]:
    """Frames (start, stop) between which nothing but gravity acts: second differences are −g/fps²."""
    bend_T = np.diff(height_T, 2) * fps**2
    free_T = np.concatenate([[False], np.abs(bend_T + GRAVITY_MPS2) < 0.05 * GRAVITY_MPS2, [False]])
    edges = np.flatnonzero(np.diff(free_T.astype(int)))  # a frame before the first free one, and the last free one
    return [(int(a), int(b) + 2) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _energy(motion: Motion, mass_B: Floats, fps: float) -> Floats:
    """Height and motion of all bodies at every step between frames, joule; nan where one is not seen."""
    velocity_BS2 = np.diff(motion.position_BT2, axis=1) * fps
    height_BS = (motion.position_BT2[:, 1:, 1] + motion.position_BT2[:, :-1, 1]) / 2
    energy_BS = 0.5 * (velocity_BS2**2).sum(axis=-1) + GRAVITY_MPS2 * height_BS
    total_S: Floats = (mass_B[:, None] * energy_BS).sum(axis=0)
    return total_S


def _momentum(motion: Motion, mass_B: Floats, fps: float) -> Floats:
    """Of all bodies along x at every step between frames, kg·m/s."""
    total_S: Floats = (mass_B[:, None] * np.diff(motion.position_BT2[..., 0], axis=1) * fps).sum(axis=0)
    return total_S


def _drift(read_S: Floats, true_S: Floats) -> float:
    """Mean distance to the truth by the truth's largest size."""
    return finite_mean((np.abs(read_S - true_S) / np.abs(true_S).max()).tolist())


def _height(clip: Clip, pixels_THW3: Pixels) -> tuple[tuple[float, float], ...]:
    height_T = Motion.read(clip, pixels_THW3).position_BT2[0, :, 1]
    return tuple((frame / clip.fps, float(height)) for frame, height in enumerate(height_T) if np.isfinite(height))


def _table(families: Sequence[str], columns: Mapping[str, Sequence[Measures]]) -> Table:
    """A row for each family and column."""
    names = [*_SCORES, "gravity_mps2"]
    rows = list[tuple[str | float, ...]]()
    for family in dict.fromkeys(families):
        chosen = [index for index, name in enumerate(families) if name == family]
        for column, measures in columns.items():
            cells = [finite_mean([measures[index][name] for index in chosen]) for name in names]
            rows.append((family, column, *cells))
    return Table("Families", ("family", "pixels", *names), tuple(rows))

"""How well the extractor reads bodies off pixels: the floors below which no score of a model can be told from noise.

Nothing is generated here. The floor ``truth`` is the extractor on true renderings; the value beside it is the extractor
on what the model's codec keeps of them.

Array suffixes: T frames, B bodies, 2 (row, column) or (x, z).
"""

from __future__ import annotations

import numpy as np

from kinema.data import Clip
from kinema.evaluate.adherence import can_be_judged, may_be_judged
from kinema.evaluate.bodies import Floats, Sighting, metres, observe, places_of, velocities
from kinema.evaluate.examples import unseen
from kinema.evaluate.statistics import finite_mean, score_of
from kinema.evaluate.suite import Exam, Pixels, Score, SuiteResult, Table

NAME = "state"
ABOUT = (
    "State from pixels: the extractor against exact state, on true renderings (truth) and on codec reconstructions "
    "(the value). No model is asked. Errors of the other suites are to be read against these."
)
FAMILIES = ("fall", "throw", "collide", "ramp", "pendulum", "occlude")
CLIPS, QUICK_CLIPS = 12, 1  # of each family
VISIBLE, HIDDEN = 0.008, 0.0005  # shares of the picture from which a body must be found, and until which not

_ABOUT = {
    "place_error_px": "distance of a silhouette's centre from the projected centre of mass, pixels",
    "position_error_m": "the same in the plane of motion, metres",
    "velocity_error_mps": "error of finite differences between frames, metres per second",
    "found_share": "bodies and frames that are clearly visible and found, or clearly hidden and not found",
    "one_piece_share": "frames of found bodies in which the colour is one piece, as it is in truth",
}


def run(exam: Exam) -> SuiteResult:
    """Measures the extractor on true clips of every judged family whose bodies move."""
    count = QUICK_CLIPS if exam.quick else CLIPS
    total = count * len(FAMILIES)
    exam.on_progress(0, total)
    families, truth, codec = list[str](), list[dict[str, float]](), list[dict[str, float]]()
    for family in FAMILIES:
        for clip in unseen(family, exam.worlds, count, can_be_judged, may_be_judged):
            families.append(family)
            truth.append(errors(clip, clip.pixels_THW3))
            codec.append(errors(clip, exam.cache.coded(clip.pixels_THW3)))
            exam.on_progress(len(families), total)
    rows = []
    for family in FAMILIES:
        chosen = [index for index, name in enumerate(families) if name == family]
        means = ([finite_mean([column[i][key] for i in chosen]) for column in (truth, codec)] for key in _ABOUT)
        rows.append((family, *(f"{true:.3g} / {kept:.3g}" for true, kept in means)))
    table = Table("Families: truth / codec", ("family", *_ABOUT), tuple(rows))
    return SuiteResult(NAME, ABOUT, _scores(truth, codec), tables=(table,))


def _scores(truth: list[dict[str, float]], codec: list[dict[str, float]]) -> tuple[Score, ...]:
    def score(name: str) -> Score:
        kept, true = ([found[name] for found in column] for column in (codec, truth))
        return score_of(
            name, _ABOUT[name], "higher" if name.endswith("share") else "lower", kept, {"truth": true, "codec": kept}
        )

    return tuple(score(name) for name in _ABOUT)


def errors(clip: Clip, pixels_THW3: Pixels) -> dict[str, float]:
    """What the extractor gets wrong about a clip of the worlds, from these pixels of it; means over bodies and frames.

    Returns:
        One number for each name of the suite's scores.
    """
    state = clip.state
    assert state is not None, "only clips of the worlds know their state"
    seen = observe(pixels_THW3)
    height, width = pixels_THW3.shape[1:3]
    place, position, velocity, found, pieces = (list[float]() for _ in range(5))
    for index, body in enumerate(state.bodies):
        sighting = seen.get(body.color)
        visible_T = state.visible_TB[:, index]
        must_T, must_not_T = visible_T > VISIBLE, visible_T < HIDDEN
        seen_T = np.zeros(len(visible_T), dtype=bool) if sighting is None else sighting.seen_T
        found += (seen_T[must_T].tolist()) + (~seen_T[must_not_T]).tolist()
        if sighting is None:
            continue
        pieces += (sighting.pieces_T[seen_T] == 1).tolist()
        off_T2 = (sighting.place_T2 - places_of(state, index, width / height)) * (height, width)
        place += np.linalg.norm(off_T2, axis=1).tolist()
        read_T2 = read_metres(sighting, clip, index)
        true_T2 = state.position_TB3[:, index][:, [0, 2]]
        position += np.linalg.norm(read_T2 - true_T2, axis=1).tolist()
        gap_T2 = velocities(read_T2, clip.fps) - velocities(true_T2, clip.fps)
        velocity += np.linalg.norm(gap_T2, axis=1).tolist()
    return dict(zip(_ABOUT, map(finite_mean, (place, position, velocity, found, pieces)), strict=True))


def read_metres(sighting: Sighting, clip: Clip, index: int) -> Floats:
    """A body's (x, z) at every frame, in the plane in which it is at the first; nan where it is not seen whole."""
    assert clip.state is not None
    height, width = clip.pixels_THW3.shape[1:3]
    return metres(sighting.place_T2, clip.state, float(clip.state.position_TB3[0, index, 1]), width / height)

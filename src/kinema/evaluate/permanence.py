"""What is hidden goes on existing: bodies that pass behind a wall come out as what, when and how fast they should.

Clips of the occlude family are continued from five frames, before anything is hidden. Whether a body is hidden, and
when it should come out, is known exactly. In the clips of :mod:`.laws`, in which nothing hides anything, bodies that
appear from nowhere or vanish are counted.

Array suffixes: T frames, B bodies.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema.data import Clip, WorldState
from kinema.evaluate import laws
from kinema.evaluate.adherence import can_be_judged, may_be_judged
from kinema.evaluate.bodies import Mask, observe
from kinema.evaluate.examples import columns_of, means, runs_of, unseen
from kinema.evaluate.judge import Track
from kinema.evaluate.silhouette import shape_of
from kinema.evaluate.state import HIDDEN, VISIBLE, read_metres
from kinema.evaluate.statistics import finite_mean
from kinema.evaluate.suite import Better, Exam, Pixels, Strip, SuiteResult
from kinema.worlds.narration.narrate import short_prompt

NAME = "permanence"
ABOUT = (
    "Permanence: what passes behind a wall comes out with the right colour, shape, speed and time, what stops there "
    "stays there, and nothing appears from nowhere or vanishes."
)
GIVEN = 5
CLIPS, QUICK_CLIPS = 24, 3
STRIPS = 6
LEAST_FRAMES = 3  # of a body that comes out, appears or vanishes; less is a flicker
SPEED_FRAMES = 5  # after it has come out, over which its speed is taken

_SCORES: dict[str, tuple[str, Better]] = {
    "hides_share": ("frames in which a body is hidden in truth and not seen", "higher"),
    "comes_out_share": ("bodies whose colour is seen again once they are out in truth", "higher"),
    "shape_after_share": ("bodies that come out and have their shape then", "higher"),
    "time_error_s": ("when a body is first seen again, against truth, seconds; of those that hid and came", "lower"),
    "speed_error_mps": ("its speed along the wall just after, against truth, m/s", "lower"),
    "stays_hidden_share": (
        "frames in which a body that stops behind the wall is not seen, after it went there",
        "higher",
    ),
}
_COUNTS: dict[str, tuple[str, Better]] = {
    "spontaneous_per_min": (
        "bodies that appear from nowhere or split in two, per minute of the clips of laws",
        "lower",
    ),
    "vanished_per_min": ("bodies that vanish while nothing hides them, per minute of the clips of laws", "lower"),
}
Measures = Mapping[str, float]


def run(exam: Exam) -> SuiteResult:
    """Continues clips with walls; counts bodies in the continued clips of the laws suite."""
    count = QUICK_CLIPS if exam.quick else CLIPS
    each = laws.QUICK_CLIPS if exam.quick else laws.CLIPS
    total = count + each * len(laws.GIVEN)
    exam.on_progress(0, total)
    hidden: dict[str, list[Measures]] = {"truth": [], "codec": [], "frozen": [], "model": []}
    counted: dict[str, list[Measures]] = {"truth": [], "codec": [], "frozen": [], "model": []}
    strips = list[tuple[float, Strip]]()
    for index, clip in enumerate(unseen("occlude", exam.worlds, count, hides_something, may_be_judged)):
        assert clip.state is not None
        prompt = short_prompt("occlude", clip.state)
        shown = columns_of(exam, clip, prompt, GIVEN, seed=index)
        for name, pixels_THW3 in shown.items():
            hidden[name].append(measure(clip, pixels_THW3))
        found = hidden["model"][-1]
        right = finite_mean([found[name] for name in _SCORES if name.endswith("share")])
        title = f"{prompt} ({clip.source.seed}); {right:.0%} right. Above the truth, below the model."
        strips.append((right, Strip(title, np.concatenate([clip.pixels_THW3, shown["model"]], axis=1))))
        exam.on_progress(index + 1, total)
    for family, given in laws.GIVEN.items():
        for index, clip in enumerate(laws.examples(family, exam.worlds, each)):
            assert clip.state is not None
            shown = columns_of(exam, clip, short_prompt(family, clip.state), given, seed=index)
            for name, pixels_THW3 in shown.items():
                counted[name].append(count_wonders(clip, pixels_THW3, given))
            exam.on_progress(count + len(counted["model"]), total)
    strips.sort(key=lambda pair: pair[0])
    return SuiteResult(
        NAME,
        ABOUT,
        (*means(_SCORES, hidden), *means(_COUNTS, counted)),
        strips=tuple(strip for _, strip in strips[:STRIPS]),
    )


def hides_something(clip: Clip) -> bool:
    """Whether a judged body goes behind the wall after the given frames, and before that all are seen."""
    if not can_be_judged(clip) or clip.state is None:
        return False
    seen_TB = clip.state.visible_TB[:GIVEN] > VISIBLE
    return bool(seen_TB.all() and any(_hidden(clip.state, body) for body in range(len(clip.state.bodies))))


def _hidden(state: WorldState, body: int) -> tuple[int, int] | None:
    """Frames from which and before which a body is hidden in truth; the end of the clip if it does not come out."""
    visible_T = state.visible_TB[:, body]
    gone = np.flatnonzero(visible_T[GIVEN:] < HIDDEN)
    if not len(gone):
        return None
    start = GIVEN + int(gone[0])
    back = np.flatnonzero(visible_T[start:] > VISIBLE)
    stop = start + int(back[0]) if len(back) else len(visible_T)
    long_out = stop == len(visible_T) or len(visible_T) - stop >= LEAST_FRAMES
    return (start, stop) if stop - start >= LEAST_FRAMES and long_out else None


def measure(clip: Clip, pixels_THW3: Pixels) -> Measures:
    """What happens in these pixels to the bodies that a true clip hides; means over them, nan of none."""
    state = clip.state
    assert state is not None
    found: dict[str, list[float]] = {name: [] for name in _SCORES}
    seen = observe(pixels_THW3)
    tracks = [sighting.track for sighting in seen.values()]
    for index, body in enumerate(state.bodies):
        hidden = _hidden(state, index)
        if hidden is None:
            continue
        start, stop = hidden
        sighting = seen.get(body.color)
        seen_T = np.zeros(len(pixels_THW3), dtype=bool) if sighting is None else sighting.seen_T
        if stop == len(seen_T):
            found["stays_hidden_share"].append(float((~seen_T[start:]).mean()))
            continue
        found["hides_share"].append(float((~seen_T[start:stop]).mean()))
        out = np.count_nonzero(seen_T[stop:]) >= LEAST_FRAMES
        found["comes_out_share"].append(float(out))
        if sighting is None or not out:
            found["shape_after_share"].append(0.0)
            continue
        after = [_from(track, stop) for track in tracks if track.seen_T[stop:].any()]
        own = next(track for track in after if track.color == body.color)
        found["shape_after_share"].append(float(shape_of(own, after, pixels_THW3[stop:]) == body.shape))
        back = _comes_back(seen_T)
        if back is not None:
            found["time_error_s"].append(abs(back - stop) / clip.fps)
            x_T, true_T = read_metres(sighting, clip, index)[:, 0], state.position_TB3[:, index, 0]
            speed, true = (
                finite_mean((np.diff(way[begin : begin + SPEED_FRAMES + 2]) * clip.fps).tolist())
                for way, begin in ((x_T, back), (true_T, stop))
            )
            found["speed_error_mps"].append(abs(speed - true))
    return {name: finite_mean(values) for name, values in found.items()}


def _comes_back(seen_T: Mask) -> int | None:
    """The frame in which what was not seen for a while is seen again, for a while."""
    for frame in range(GIVEN + LEAST_FRAMES, len(seen_T) - LEAST_FRAMES + 1):
        if not seen_T[frame - LEAST_FRAMES : frame].any() and seen_T[frame : frame + LEAST_FRAMES].all():
            return frame
    return None


def _from(track: Track, frame: int) -> Track:
    """The rest of a track."""
    return Track(
        track.color,
        track.mask_THW[frame:],
        track.area_T[frame:],
        track.centre_T2[frame:],
        track.pieces_T[frame:],
    )


def count_wonders(clip: Clip, pixels_THW3: Pixels, given: int) -> Measures:
    """Bodies that appear from nowhere and that vanish, per minute after the given frames."""
    assert clip.state is not None
    seen = observe(pixels_THW3)
    known = {body.color: index for index, body in enumerate(clip.state.bodies)}
    minutes = (len(pixels_THW3) - given) / clip.fps / 60
    appeared = sum(runs_of(s.seen_T[given:], LEAST_FRAMES) > 0 for color, s in seen.items() if color not in known)
    vanished = 0
    for color, index in known.items():
        must_T = clip.state.visible_TB[given:, index] > VISIBLE
        if color in seen:
            appeared += runs_of(seen[color].pieces_T[given:] > 1, LEAST_FRAMES)
            vanished += runs_of(must_T & ~seen[color].seen_T[given:], LEAST_FRAMES)
        else:
            vanished += int(must_T.any())
    return {"spontaneous_per_min": appeared / minutes, "vanished_per_min": vanished / minutes}

"""When things happen: does an event come when its beat says so?

True clips are told to the model as they were told in training: a summary, and beats that each hold for a time. The same
lines, each holding all the time, are the control: what the times add is the difference. Events are read off the
pixels, in true clips, their reconstructions and the model's videos alike, and compared with the simulator's.

Array suffixes: T frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema.data import Clip
from kinema.evaluate.adherence import can_be_judged, may_be_judged
from kinema.evaluate.examples import TEST_SEED, unseen
from kinema.evaluate.judge import Track, segment
from kinema.evaluate.statistics import finite_mean, score_of
from kinema.evaluate.suite import Exam, Pixels, Score, Strip, SuiteResult, Table

NAME = "timing"
ABOUT = (
    "Timing: seconds between when the beats say that a body lands, strikes or is hidden and when it does in the video, "
    "beside the same lines without times."
)
FAMILIES = ("fall", "throw", "collide", "occlude")
CLIPS, QUICK_CLIPS = 10, 2  # of each family
QUICK_FAMILIES = ("throw",)
ONLY_HERE = 20_000  # scenes of its own
STRIPS = 4
LEAST_PLACE = 0.015  # share of the picture by which a body must move to have moved: a pixel of 64
HIDDEN = 0.08  # share of a body's largest area from which on it is seen, as in the worlds' events


@dataclass(frozen=True)
class Timed:
    """A true clip whose event can be read: what is told, and when it happens."""

    clip: Clip
    event_s: float
    seed: int

    def storyboard(self, timed: bool) -> dict[str, Any]:
        """Summary and beats; without times every line holds from the beginning to the end."""
        seconds = len(self.clip.pixels_THW3) / self.clip.fps
        beats = [
            {"at": beat.start_s, "until": min(beat.end_s, seconds), "text": beat.text}
            if timed
            else {"at": 0.0, "until": seconds, "text": beat.text}
            for beat in self.clip.caption.beats
        ]
        return {"summary": self.clip.caption.summary, "seconds": seconds, "beat": beats}


def run(exam: Exam) -> SuiteResult:
    """Makes every clip with and without times."""
    each = QUICK_CLIPS if exam.quick else CLIPS
    families = QUICK_FAMILIES if exam.quick else FAMILIES
    total = len(families) * each
    exam.on_progress(0, total)
    clips: list[Timed] = []
    errors: dict[str, list[float]] = {"model": [], "without times": [], "truth": [], "codec": []}
    videos: list[Pixels] = []
    for family in families:
        for clip in unseen(family, exam.worlds, each, _can_be_timed, may_be_judged, TEST_SEED + ONLY_HERE):
            timed = Timed(clip, _event_s(clip), clip.source.seed % 2**20)
            shown = {"truth": clip.pixels_THW3, "codec": exam.cache.coded(clip.pixels_THW3)}
            for column, with_times in (("model", True), ("without times", False)):
                shown[column] = exam.cache.make("", seed=timed.seed, storyboard=timed.storyboard(with_times))
            for column, pixels_THW3 in shown.items():
                errors[column].append(abs(event_time_s(clip, pixels_THW3) - timed.event_s))
            clips.append(timed)
            videos.append(shown["model"])
            exam.on_progress(len(clips), total)
    errors["family mean"] = mean_errors(clips)
    order = np.argsort([-np.nan_to_num(error, nan=np.inf) for error in errors["model"]], kind="stable")
    strips = [Strip(f"{_told(clips[index])}: due at {clips[index].event_s:.2f} s", videos[index]) for index in order]
    return SuiteResult(NAME, ABOUT, scores(errors), (_table(families, clips, errors),), strips=tuple(strips[:STRIPS]))


def scores(errors: Mapping[str, Sequence[float]]) -> tuple[Score, ...]:
    """How late or early, what times add, and how often the event is seen at all.

    Args:
        errors: of the columns ``model``, ``without times``, ``truth``, ``codec`` and ``family mean``, nan where the
            event was not seen.
    """
    floors = {key: errors[key] for key in ("truth", "codec", "without times", "family mean")}
    gain = np.subtract(errors["without times"], errors["model"])
    return (
        score_of(
            "timing_error_s", "|when it happens − when its beat says so|, seconds", "lower", errors["model"], floors
        ),
        score_of(
            "gain_by_times_s",
            "error without times minus error with times, same clip and noise, seconds; 0 is no gain",
            "higher",
            gain.tolist(),
        ),
        score_of(
            "event_seen",
            "share of videos in which the event is seen at all",
            "higher",
            np.isfinite(errors["model"]).astype(float).tolist(),
            {key: np.isfinite(errors[key]).astype(float).tolist() for key in ("truth", "codec", "without times")},
        ),
    )


def mean_errors(clips: Sequence[Timed]) -> list[float]:
    """The error of one who does not read, and always takes the mean of the family's other clips."""
    errors = []
    for clip in clips:
        others = [o.event_s for o in clips if o is not clip and o.clip.source.family == clip.clip.source.family]
        errors.append(abs(clip.event_s - float(np.mean(others))) if others else float("nan"))
    return errors


def event_time_s(clip: Clip, pixels_THW3: Pixels) -> float:
    """When the family's event happens in a video of a true clip's bodies, seconds; nan if it does not.

    Landing is the first lowest place after going down, a strike the moment at which the second body sets off, hiding
    the first frame in which the first body is not seen any more.
    """
    assert clip.state is not None
    family, colors = clip.source.family, [body.color for body in clip.state.bodies]
    by_color = {track.color: track for track in segment(pixels_THW3)}
    track = by_color.get(colors[1 if family == "collide" else 0])
    if track is None:
        return float("nan")
    frame = {"collide": _sets_off, "occlude": _hides}.get(family, _lands)(track)
    return frame / clip.fps


def _lands(track: Track) -> float:
    """Frames until the middle first stops going down, having gone down."""
    row_T = track.centre_T2[:, 0]
    highest = row_T[0]
    for frame in range(1, len(row_T) - 1):
        highest = np.nanmin([highest, row_T[frame]])
        down = row_T[frame] - highest
        if down > 2 * LEAST_PLACE and row_T[frame + 1] - row_T[frame] < LEAST_PLACE / 2:
            return frame + _beyond(row_T, frame)
    return float("nan")


def _beyond(row_T: np.ndarray[Any, np.dtype[np.float64]], frame: int) -> float:
    """How far after a frame the lowest place lies, if the body goes on as fast as before: −0.5 to 0.5 frames."""
    before, after = row_T[frame] - row_T[frame - 1], row_T[frame] - row_T[frame + 1]
    if not np.isfinite([before, after]).all() or before + max(after, 0.0) <= 0:
        return 0.0
    return float(np.clip((before - max(after, 0.0)) / (2 * max(before, after, 1e-9)), -0.5, 0.5))


def _sets_off(track: Track) -> float:
    """Frames until the body has left the place where it was at first."""
    place_T2 = track.centre_T2
    start_2 = np.nanmedian(place_T2[:3], axis=0)
    moved = np.flatnonzero(np.linalg.norm(place_T2 - start_2, axis=1) > LEAST_PLACE)
    return float(moved[0]) - 0.5 if len(moved) and moved[0] > 0 else float("nan")


def _hides(track: Track) -> float:
    """Frames until a body that was seen is not seen any more."""
    seen_T = track.area_T > HIDDEN * track.area_T.max()
    gone = np.flatnonzero(seen_T[:-1] & ~seen_T[1:])
    return float(gone[0]) + 1 if len(gone) else float("nan")


def _event_s(clip: Clip) -> float:
    """When the simulator's event happens; nan if it does not."""
    assert clip.state is not None
    kind = "hidden" if clip.source.family == "occlude" else "contact"
    with_scenery = clip.source.family in ("fall", "throw")
    times_s = [
        event.time_s
        for event in clip.state.events
        if event.kind == kind and 0 in event.bodies and (not with_scenery or -1 in event.bodies)
    ]
    if clip.source.family == "collide":
        times_s = [event.time_s for event in clip.state.events if event.kind == "contact" and event.bodies == (0, 1)]
    return min(times_s, default=float("nan"))


def _can_be_timed(clip: Clip) -> bool:
    """Whether pixels can tell: judged bodies, one alone or one that strikes a resting one, and beats."""
    assert clip.state is not None
    if not can_be_judged(clip) or not clip.caption.beats or not 0.2 < _event_s(clip) < 2.2:
        return False
    whole = [body for body in clip.state.bodies if body.part_of < 0]
    if clip.source.family != "collide":
        return len(whole) == 1
    resting = np.linalg.norm(clip.state.velocity_TB3[0, 1]) < 0.1
    return len(whole) == 2 and bool(resting)


def _told(timed: Timed) -> str:
    """The beat that begins or ends nearest to the event."""
    near = min(
        timed.clip.caption.beats,
        key=lambda beat: min(abs(beat.start_s - timed.event_s), abs(beat.end_s - timed.event_s)),
    )
    return near.text


def _table(families: Sequence[str], clips: Sequence[Timed], errors: Mapping[str, Sequence[float]]) -> Table:
    columns = ("model", "without times", "truth", "codec", "family mean")
    rows: list[tuple[str | int | float | None, ...]] = []
    for family in families:
        own = [index for index, timed in enumerate(clips) if timed.clip.source.family == family]
        means = (finite_mean([errors[column][index] for index in own]) for column in columns)
        rows.append((family, len(own), *means))
    return Table("Error in seconds by family", ("family", "clips", *columns), tuple(rows))

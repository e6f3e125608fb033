"""Cause and effect: what is hit moves, and not before; dominoes fall in order up to a gap; speed breaks glass.

Clips are continued from five true frames; collisions, those of :mod:`.laws` in which the second body waits, from one:
they touch so soon after the fifth that nothing could move too early.

Array suffixes: T frames, I dominoes, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kinema.data import Clip
from kinema.evaluate import dominoes, laws, panes
from kinema.evaluate.bodies import Mask, observe
from kinema.evaluate.examples import columns_of, frozen, means, unseen
from kinema.evaluate.silhouette import grown
from kinema.evaluate.statistics import finite_mean
from kinema.evaluate.suite import Better, Curve, Exam, Pixels, Strip, SuiteResult
from kinema.worlds.narration.narrate import short_prompt

NAME = "causes"
ABOUT = (
    "Cause and effect: nothing moves before it is touched, dominoes fall in order and a gap stops them, panes break "
    "above the speed at which the simulator breaks them, and what is broken stays broken."
)
GIVEN = 5
CONTACT_GIVEN = 1  # frames of a collision
ROWS, QUICK_ROWS = 14, 2  # clips of dominoes
PANES, QUICK_PANES = 5, 1
SPEEDS_MPS = (1.5, 2.5, 3.0, 3.5, 4.5, 6.0)
QUICK_SPEEDS_MPS = (2.0, 3.5, 5.5)
STIRS = 0.025  # share of the picture by which a resting body's middle moves when it moves
NEAR = 16  # silhouettes touch within the picture's width by this: between two frames balls come and part so far
LATE_FRAMES = 6  # after a touch, within which what is hit must move

_CONTACT: dict[str, tuple[str, Better]] = {
    "waits_share": ("resting bodies that do not move before something touches them", "higher"),
    "reacts_share": ("resting bodies that move soon after they are touched", "higher"),
}
_DOMINOES: dict[str, tuple[str, Better]] = {
    "order_share": ("neighbours that both fall, the nearer to the push first", "higher"),
    "falls_share": ("dominoes that fall, of those that do in truth", "higher"),
    "gap_stops_share": ("dominoes that stand at the end, of those that do in truth", "higher"),
    "fall_time_error_s": ("when a domino has fallen, against truth, seconds", "lower"),
}
_PANES: dict[str, tuple[str, Better]] = {
    "fate_share": ("panes that break where the simulator breaks them and stand where it does not", "higher"),
    "mended_share": ("frames after a break in which the pane looks whole again", "lower"),
}
Measures = Mapping[str, float]
Columns = dict[str, list[Measures]]


def run(exam: Exam) -> SuiteResult:
    """Collisions, rows of dominoes, and panes struck at several speeds."""
    each = laws.QUICK_CLIPS if exam.quick else laws.CLIPS
    rows = QUICK_ROWS if exam.quick else ROWS
    speeds = QUICK_SPEEDS_MPS if exam.quick else SPEEDS_MPS
    struck = QUICK_PANES if exam.quick else PANES
    total, done = each + rows + struck * len(speeds), 0
    exam.on_progress(0, total)

    def step() -> None:
        nonlocal done
        done += 1
        exam.on_progress(done, total)

    strips = list[Strip]()
    touched = _continue(exam, laws.examples("collide", exam.worlds, each), contact, strips, step, CONTACT_GIVEN)
    fallen = _continue(exam, unseen("dominoes", exam.worlds, rows - rows // 2, dominoes.has_gap), topple, strips, step)
    whole = _continue(exam, unseen("dominoes", exam.worlds, rows // 2, dominoes.has_no_gap), topple, strips, step)
    fallen = {name: [*fallen[name], *whole[name]] for name in fallen}
    broken: Columns = {"truth": [], "codec": [], "frozen": [], "model": []}
    curve: dict[str, list[list[float]]] = {name: [[] for _ in speeds] for name in ("simulator", *broken)}
    for index, clip in enumerate(unseen("shatter", exam.worlds, struck, panes.has_pane, panes.is_of_pane)):
        for place, speed in enumerate(speeds):
            hit = panes.strike(clip, speed, exam.worlds)
            shown = {
                "truth": hit.pixels_THW3,
                "codec": exam.cache.coded(hit.pixels_THW3),
                "frozen": frozen(hit.pixels_THW3, GIVEN),
                "model": _struck(exam, hit, index),
            }
            curve["simulator"][place].append(float(hit.breaks))
            for name, pixels_THW3 in shown.items():
                change_T = panes.change(pixels_THW3, hit)
                is_broken = panes.breaks(change_T)
                curve[name][place].append(float(is_broken))
                fate = {"fate_share": float(is_broken == hit.breaks), "mended_share": panes.mends(change_T)}
                broken[name].append(fate)
            if index == 0:
                strips.append(_pair(f"pane at {speed:g} m/s", hit.pixels_THW3, shown["model"]))
            step()
    scores = (*means(_CONTACT, touched), *means(_DOMINOES, fallen), *means(_PANES, broken))
    series = {
        name: tuple(zip(speeds, map(finite_mean, shares), strict=True))
        for name, shares in curve.items()
        if name != "frozen"
    }
    shatter = Curve("Shatter curve", "speed of the ball (m/s)", "share of panes broken", series)
    note = "Above about 6 m/s the given frames hold one step of the ball's flight, so its speed is hardly visible."
    return SuiteResult(NAME, ABOUT, scores, curves=(shatter,), strips=tuple(strips), notes=(note,))


def _continue(
    exam: Exam,
    clips: Sequence[Clip],
    measure: Callable[[Clip, Pixels], Measures],
    strips: list[Strip],
    step: Callable[[], None],
    given: int = GIVEN,
) -> Columns:
    """What is measured in the columns of clips; two of them are shown."""
    columns: Columns = {"truth": [], "codec": [], "frozen": [], "model": []}
    for index, clip in enumerate(clips):
        assert clip.state is not None
        prompt = short_prompt(clip.source.family, clip.state)
        shown = columns_of(exam, clip, prompt, given, seed=index)
        for name, pixels_THW3 in shown.items():
            columns[name].append(measure(clip, pixels_THW3))
        if index < 2:
            strips.append(_pair(f"{prompt} ({clip.source.seed})", clip.pixels_THW3, shown["model"]))
        step()
    return columns


def contact(clip: Clip, pixels_THW3: Pixels) -> Measures:
    """Does what rests wait until it is touched, and then move? nan where nothing rests or nothing is touched."""
    state = clip.state
    assert state is not None
    nothing = {name: math.nan for name in _CONTACT}
    if len(state.bodies) != 2 or np.linalg.norm(state.velocity_TB3[0, 1]) > 0.05:
        return nothing
    seen = observe(pixels_THW3)
    mover, target = (seen.get(body.color) for body in state.bodies)
    if target is None or not target.seen_T[:CONTACT_GIVEN].any():
        return nothing
    centre_T2 = target.track.centre_T2
    start_2 = np.nanmean(centre_T2[:CONTACT_GIVEN], axis=0)
    stirs_T = np.nan_to_num(np.abs(centre_T2 - start_2).max(axis=1)) > STIRS
    near_T = np.zeros(len(stirs_T), dtype=bool) if mover is None else _near(mover.track.mask_THW, target.track.mask_THW)
    touch, stir = (int(mask_T.argmax()) if mask_T.any() else math.inf for mask_T in (near_T, stirs_T))
    reacts = math.nan if math.isinf(touch) or touch > len(stirs_T) - LATE_FRAMES else float(stir <= touch + LATE_FRAMES)
    return {"waits_share": float(stir >= touch - 1), "reacts_share": reacts}


def topple(clip: Clip, pixels_THW3: Pixels) -> Measures:
    """Which dominoes fall, in what order, and which stand, against truth."""
    assert clip.state is not None
    time_I, true_I = dominoes.fallen(clip, pixels_THW3), dominoes.fallen(clip, clip.pixels_THW3)
    truly = dominoes.true_falls(clip)
    falls_I = np.array([index in truly for index in range(len(time_I))])
    down_I = np.isfinite(time_I)
    both = down_I[1:] & down_I[:-1]
    known_I = falls_I & down_I & np.isfinite(true_I)
    gap_I = np.abs(time_I[known_I] - true_I[known_I])
    return {
        "order_share": finite_mean((time_I[1:] >= time_I[:-1])[both].tolist()),
        "falls_share": finite_mean(down_I[falls_I].tolist()),
        "gap_stops_share": finite_mean((~down_I)[~falls_I].tolist()),
        "fall_time_error_s": finite_mean(gap_I.tolist()),
    }


def _near(first_THW: Mask, second_THW: Mask) -> Mask:
    """Frames in which two silhouettes are so near each other that they may have touched just before or after."""
    for _ in range(first_THW.shape[2] // NEAR):
        first_THW = grown(first_THW)
    both_THW: Mask = first_THW & second_THW
    near_T: Mask = np.any(both_THW, axis=(1, 2))
    return near_T


def _struck(exam: Exam, hit: panes.Strike, seed: int) -> Pixels:
    """The model's continuation of a strike; the same noise for all speeds."""
    seconds = (len(hit.pixels_THW3) - GIVEN) / exam.worlds.fps
    return exam.cache.make(hit.prompt, seed=seed, extend=hit.pixels_THW3[:GIVEN], seconds=seconds)


def _pair(title: str, true_THW3: Pixels, model_THW3: Pixels) -> Strip:
    return Strip(f"{title}. Above the truth, below the model.", np.concatenate([true_THW3, model_THW3], axis=1))

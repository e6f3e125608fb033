"""Which dominoes of a row have fallen, and when, from pixels.

All have one colour and lie on each other, so they cannot be told apart as bodies. But a standing one has its upper
third where nothing else of that colour is: once that part of the picture loses the colour for good, it has fallen.

Array suffixes: T frames, I dominoes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinema.data import Clip
from kinema.evaluate.bodies import Floats
from kinema.evaluate.judge import COLORS, classify, is_judged
from kinema.evaluate.suite import Pixels
from kinema.worlds.render.tracer import project

GIVEN = 5
UPPER = (1.35, 2.0)  # from where to where on a standing domino, in half heights
REACH = 1  # pixels to both sides of its middle
STANDS = 0.5  # of the colour that was there at first


def has_gap(clip: Clip) -> bool:
    """Whether a clip is of a clear row in which a gap stops the fall."""
    return has_clear_row(clip) and clip.state is not None and clip.state.facts["gap_after"] is not None


def has_no_gap(clip: Clip) -> bool:
    """Whether a clip is of a clear row that falls to its end."""
    return has_clear_row(clip) and not has_gap(clip)


def has_clear_row(clip: Clip) -> bool:
    """Whether a clip's dominoes have a colour to be found by, seen by a fixed camera, and all stand at first."""
    assert clip.state is not None
    domino = clip.state.bodies[0]
    return (
        is_judged(domino)
        and domino.color not in ("brown", "orange")
        and clip.state.facts["camera_move"] == "fixed"
        and all(time_s > GIVEN / clip.fps for time_s in true_falls(clip).values())
    )


def true_falls(clip: Clip) -> dict[int, float]:
    """When each domino that falls has fallen over in truth, seconds."""
    assert clip.state is not None
    count = clip.state.facts["count"]
    return {e.bodies[0]: e.time_s for e in clip.state.events if e.kind == "topples" and e.bodies[0] < count}


def fallen(clip: Clip, pixels_THW3: Pixels) -> Floats:
    """When each domino's upper part is gone for good, (I,) seconds; inf for what stands at the end."""
    state = clip.state
    assert state is not None
    height, width = pixels_THW3.shape[1:3]
    colored_THW = classify(pixels_THW3)[0] == COLORS.index(state.bodies[0].color)
    times = []
    for index in range(state.facts["count"]):
        half = state.bodies[index].half_size_m[0]
        x, y, _ = state.position_TB3[0, index]
        low_3, high_3 = project(state.camera, np.array([[x, y, part * half] for part in UPPER]), height, width)
        top, column = round(high_3[1]), int((low_3[0] + high_3[0]) / 2)
        rows = slice(max(top, 0), max(round(low_3[1]), top + 2))
        columns = slice(max(column - REACH, 0), column + REACH + 1)
        times.append(_gone_s(colored_THW[:, rows, columns].max(axis=2).mean(axis=1), clip.fps))
    return np.array(times)


def _gone_s(share_T: NDArray[np.float64], fps: float) -> float:
    standing_T = share_T >= STANDS * share_T[:GIVEN].mean()
    last = np.flatnonzero(standing_T)
    after = int(last[-1]) + 1 if len(last) else 0
    return after / fps if after < len(share_T) else np.inf

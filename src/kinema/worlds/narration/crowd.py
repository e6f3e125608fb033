"""What takes more than one body's time line: rows and towers, broken things, water, paint, and who hides whom.

Like deeds, all of it is read off the state. Legend: T frames, B bodies, X, Y grid points of the water.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kinema.worlds.narration.deeds import LINGER_S, MOMENT_S, Deed, Observer

OFF_SHARE = 0.5  # of its height, by which a body of a tower must sink to count as fallen
ONE_FALL_S = 2.0  # what a tower loses later, it loses for another reason
STIR_MPS = 0.15  # a domino that is faster has begun to fall
ALONE = ("kicked", "jumps", "flies", "falls")  # worth a word of one body among many
DRIP_S = 1.6  # drops further apart than this are told one by one
RING_M = 0.004  # height of waves that is worth a word


def all_deeds(observer: Observer) -> list[Deed]:
    """Everything that happens in a clip, in order of time."""
    row, stack = row_of(observer), stack_of(observer)
    prizes = {body for event in observer.state.events if event.kind == "scores" for body in event.bodies[1:]}
    prizes |= {b for b in observer.bodies for prize in prizes if _same(observer, b, prize)}
    deeds = [deed for body in observer.bodies if body not in prizes for deed in observer.timeline(body)]
    together = _chain(observer, row) + _fate_of_stack(observer, stack)
    if row or stack:  # a crowd is told as one until its fate is known, then its bodies one by one
        crowd = {*row, *stack}
        over_s = max((deed.end_s for deed in together if deed.kind not in ("keeps_standing", "stands")), default=0.0)
        deeds = [d for d in deeds if not set(d.bodies) & crowd or (d.start_s > over_s and d.kind in ALONE)]
    deeds = _without_floor_contacts_in_water(observer, deeds) + together
    deeds += [d for d in _sights(observer) if d.prop >= 0 or not (row or stack or prizes)]
    for look in (_through_glass, _drips, _breaks, _rings, _strokes, _scores):
        deeds += look(observer)
    deeds = [deed for deed in deeds if deed.start_s < deed.end_s and not _breaking(deed, deeds)]
    return sorted(deeds, key=lambda deed: (deed.start_s, deed.end_s, deed.bodies))


def _same(observer: Observer, first: int, second: int) -> bool:
    """Whether two bodies look the same."""
    one, two = observer.state.bodies[first], observer.state.bodies[second]
    return (one.shape, one.color, one.material) == (two.shape, two.color, two.material)


# --- rows and towers ------------------------------------------------------------------------------------------


def row_of(observer: Observer) -> tuple[int, ...]:
    """Three or more slabs that stand upright on the floor in a line, from one end to the other."""
    if observer.family != "dominoes":
        return ()
    row = [body for body in observer.bodies if observer.state.bodies[body].shape == "slab"]
    start_B3 = observer.state.position_TB3[0]
    row.sort(key=lambda body: float(start_B3[body, 0]))
    stirs = [np.flatnonzero(observer.stir_TB[:, end] > STIR_MPS) for end in (row[0], row[-1])] if row else []
    if row and len(stirs[1]) and (not len(stirs[0]) or stirs[1][0] < stirs[0][0]):
        row.reverse()  # the row is counted from where it begins to fall
    return tuple(row) if len(row) >= 3 else ()


def stack_of(observer: Observer) -> tuple[int, ...]:
    """Bodies that stand on one another at the start, from the lowest to the highest."""
    if observer.family != "tower":
        return ()
    start_B3 = observer.state.position_TB3[0]
    bodies = sorted(observer.bodies, key=lambda body: float(start_B3[body, 2]))
    best: list[int] = []
    for base in bodies:
        stack = [base]
        for body in bodies:
            apart_m = float(np.hypot(*(start_B3[body, :2] - start_B3[stack[-1], :2])))
            wide_m = max(observer.state.bodies[stack[-1]].half_size_m[:2])
            gap_m = observer.low_m(body) - (2 * start_B3[stack[-1], 2] - observer.low_m(stack[-1]))
            if abs(gap_m) < 0.08 and apart_m < 1.5 * wide_m:
                stack.append(body)
        best = stack if len(stack) > len(best) else best
    return tuple(best) if len(best) >= 2 else ()


def _chain(observer: Observer, row: tuple[int, ...]) -> list[Deed]:
    if not row:
        return []
    falls = {e.bodies[0]: e.time_s for e in observer.state.events if e.kind == "topples" and e.bodies[0] in row}
    deeds: list[Deed] = []
    fallen = tuple(body for body in row if body in falls)
    standing = tuple(body for body in row if body not in falls)
    if len(fallen) == 1:
        deeds.append(_moment(observer, falls[fallen[0]], "topples", fallen))
    elif fallen:
        end_s = min(max(falls.values()) + MOMENT_S, observer.duration_s)
        deeds.append(Deed(min(falls.values()), end_s, "chain", fallen))
    if standing and _upright(observer, standing):
        since_s = max(falls.values(), default=0.0)
        deeds.append(Deed(since_s, observer.duration_s, "keeps_standing", standing))
    return deeds


def _upright(observer: Observer, bodies: tuple[int, ...]) -> bool:
    """Whether bodies end nearly as they began and are not falling."""
    last_B4, first_B4 = observer.state.orientation_TB4[-1], observer.state.orientation_TB4[0]
    turned = [2 * math.acos(min(1.0, abs(float(last_B4[body] @ first_B4[body])))) for body in bodies]
    return max(turned) < 0.3 and float(observer.speed_TB[-1, list(bodies)].max()) < 0.5


def _fate_of_stack(observer: Observer, stack: tuple[int, ...]) -> list[Deed]:
    """A tower stands, loses some bodies, or falls over."""
    if not stack or observer.frames < 2:
        return []
    z_TB = observer.state.position_TB3[:, :, 2]
    lost: dict[int, float] = {}
    for body in stack:
        height_m = 2 * min(observer.state.bodies[body].half_size_m)
        low_T = np.flatnonzero(z_TB[:, body] < z_TB[0, body] - OFF_SHARE * height_m)
        if len(low_T):
            lost[body] = float(low_T[0]) / observer.fps
    if not lost:
        calm = all(observer.travel_m(body, 0, observer.frames - 1) < 0.12 for body in stack)
        return [Deed(0.0, observer.duration_s, "stands", stack)] if calm else []
    begins_s = min(lost.values())
    lost = {body: time_s for body, time_s in lost.items() if time_s < begins_s + ONE_FALL_S}
    ends_s = min(max(lost.values()) + 2 * MOMENT_S, observer.duration_s)
    if len(lost) >= len(stack) - 1 and len(lost) > 1 or len(stack) == 2:
        return [Deed(begins_s, ends_s, "collapses", stack)]
    fallen = tuple(body for body in stack if body in lost)
    rest = tuple(body for body in stack if body not in lost)
    deeds = [Deed(begins_s, ends_s, "falls_off", fallen)]
    if _upright(observer, rest):
        deeds.append(Deed(begins_s, observer.duration_s, "keeps_standing", rest))
    return deeds


# --- out of sight ---------------------------------------------------------------------------------------------


def _sights(observer: Observer) -> list[Deed]:
    """Bodies that go behind something and come out, where it can be said behind what."""
    deeds = []
    for body in observer.bodies:
        hidden_by: tuple[int, int] | None = None
        events = [e for e in observer.state.events if e.bodies[:1] == (body,)]
        for event in events:
            if event.kind == "hidden":
                hidden_by = occluder(observer, body, observer.span(event.time_s, event.time_s)[0])
                if hidden_by is not None:
                    other, prop = hidden_by
                    others = (other,) if other >= 0 else ()
                    deeds.append(replace(_moment(observer, event.time_s, "hides", (body,)), others=others, prop=prop))
            elif event.kind == "reappears" and hidden_by is not None:
                frame = observer.span(event.time_s, event.time_s)[0]
                way = observer.way(body, max(frame - 2, 0), min(frame + 4, observer.frames - 1))
                deed = _moment(observer, event.time_s, "comes_out", (body,))
                deeds.append(replace(deed, way=way, prop=hidden_by[1]))
                hidden_by = None
            elif event.kind == "leaves_view":
                deeds.append(_moment(observer, event.time_s, "leaves", (body,)))
            elif event.kind == "enters_view":
                deeds.append(_moment(observer, event.time_s, "enters", (body,)))
        sights = [event for event in events if event.kind in ("hidden", "reappears")]
        if hidden_by is not None and sights[-1].kind == "hidden":
            since_s = sights[-1].time_s + MOMENT_S
            if observer.duration_s - since_s > 2 * MOMENT_S:
                deeds.append(Deed(since_s, observer.duration_s, "stays_hidden", (body,), prop=hidden_by[1]))
    return deeds


def _through_glass(observer: Observer) -> list[Deed]:
    """Bodies whose middle is seen through a clear body, as long as it is."""
    deeds = []
    for glass in observer.lenses:
        half_3 = np.array(observer.state.bodies[glass].half_size_m)
        for body in observer.bodies:
            if body == glass:
                continue
            behind_T = np.zeros(observer.frames, dtype=np.bool_)
            for frame in range(observer.frames):
                eye_3 = observer.state.camera_eye_T3[frame]
                turn_33 = _rotation(observer.state.orientation_TB4[frame, glass])
                start_3 = (eye_3 - observer.state.position_TB3[frame, glass]) @ turn_33
                step_3 = (observer.state.position_TB3[frame, body] - eye_3) @ turn_33
                behind_T[frame] = _crosses_box(start_3, step_3, 0.8 * half_3)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], behind_T.astype(np.int8), [0]])))
            for first, past in zip(edges[::2], edges[1::2], strict=True):
                start_s, end_s = float(first) / observer.fps, float(past) / observer.fps
                if end_s - start_s > 0.25:
                    deeds.append(Deed(start_s, min(end_s, observer.duration_s), "seen_through", (body,), (glass,)))
    return deeds


def occluder(observer: Observer, body: int, frame: int) -> tuple[int, int] | None:
    """(body, −1) or (−1, prop) that stands on the straight line from the camera to a body, if one does."""
    eye_3 = observer.state.camera_eye_T3[frame]
    ray_3 = observer.state.position_TB3[frame, body] - eye_3
    for index, prop in enumerate(observer.state.facts.get("props", ())):
        turn_33 = _rotation(np.asarray(prop["orientation"], dtype=np.float64))
        start_3, step_3 = (eye_3 - np.asarray(prop["position_m"])) @ turn_33, ray_3 @ turn_33
        if not prop.get("mirror") and _crosses_box(start_3, step_3, np.asarray(prop["half_size_m"]) + 0.05):
            return -1, index
    for other in observer.bodies:
        if other == body:
            continue
        offset_3 = observer.state.position_TB3[frame, other] - eye_3
        along = float(offset_3 @ ray_3 / (ray_3 @ ray_3))
        miss_m = float(np.linalg.norm(offset_3 - along * ray_3))
        if 0 < along < 1 and miss_m < max(observer.state.bodies[other].half_size_m):
            return other, -1
    return None


def _crosses_box(start_3: NDArray[np.float64], step_3: NDArray[np.float64], half_3: NDArray[np.float64]) -> bool:
    """Whether the segment from ``start`` to ``start + step`` meets a box about the origin (slab method)."""
    step_3 = np.where(np.abs(step_3) < 1e-12, 1e-12, step_3)
    low_3, high_3 = (-half_3 - start_3) / step_3, (half_3 - start_3) / step_3
    enters, leaves = np.minimum(low_3, high_3).max(), np.maximum(low_3, high_3).min()
    return bool(enters <= leaves and leaves >= 0 and enters <= 1)


def _rotation(quaternion_4: NDArray[np.float64]) -> NDArray[np.float64]:
    w, x, y, z = quaternion_4
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


# --- broken, wet, painted -------------------------------------------------------------------------------------


def _breaks(observer: Observer) -> list[Deed]:
    """What shatters, and what is hit and stays whole."""
    deeds = []
    broken = [event for event in observer.state.events if event.kind == "shatters"]
    for event in broken:
        whole, hitters = event.bodies[0], tuple(body for body in event.bodies[1:] if body >= 0)
        deeds.append(replace(_moment(observer, event.time_s, "shatters", (whole,)), others=hitters))
        since_s = event.time_s + MOMENT_S
        if observer.duration_s - since_s > MOMENT_S:
            deeds.append(Deed(since_s, min(since_s + 3 * MOMENT_S, observer.duration_s), "pieces", (whole,)))
    wholes = {body.part_of for body in observer.state.bodies if body.part_of >= 0}
    for whole in wholes - {event.bodies[0] for event in broken}:
        hit_s = hit_at(observer, whole)
        if hit_s is not None:
            deeds.append(Deed(hit_s, observer.duration_s, "survives", (whole,)))
    return deeds


def _breaking(hit: Deed, deeds: list[Deed]) -> bool:
    """Whether a hit is the one that breaks something, which says it already."""
    return hit.kind == "hits" and any(
        deed.kind == "shatters" and deed.bodies == hit.others and abs(deed.start_s - hit.start_s) < 0.15
        for deed in deeds
    )


def hit_at(observer: Observer, whole: int) -> float | None:
    """When a body or one of its pieces is first hit hard by another body."""
    parts = {whole, *(i for i, body in enumerate(observer.state.bodies) if body.part_of == whole)}
    for event in observer.state.events:
        outside = [body for body in event.bodies if body not in parts]
        if event.kind == "contact" and len(outside) == 1 and outside[0] >= 0:
            if event.value / observer.state.bodies[outside[0]].mass_kg > 0.35:
                return event.time_s
    return None


def _without_floor_contacts_in_water(observer: Observer, deeds: list[Deed]) -> list[Deed]:
    """A body in the water neither lands nor bounces nor slides: what it does there are its splash and its fate."""
    wet_s: dict[int, float] = {}
    for event in observer.state.events:
        if event.kind in ("splash", "floats", "sinks"):
            wet_s.setdefault(event.bodies[0], event.time_s)
    dry = ("splashes", "floats", "sinks", "rests", "hits", "collide", "lands_on")
    return [d for d in deeds if d.kind in dry or all(d.start_s < wet_s.get(b, math.inf) for b in d.bodies)]


def _rings(observer: Observer) -> list[Deed]:
    """Waves that run over the water after a splash, as long as they can be seen."""
    water = observer.state.water
    if water is None:
        return []
    wave_T = np.abs(water.height_TXY - water.level_m).max(axis=(1, 2))
    splashes = _spaced([event.time_s for event in observer.state.events if event.kind == "splash"])
    deeds: list[Deed] = []
    for start_s, next_s in pairwise([*splashes, observer.duration_s]):
        first, last = observer.span(start_s + 0.1, next_s)
        high_T = np.flatnonzero(wave_T[first : last + 1] > RING_M)
        if len(high_T) and next_s - start_s > 2 * MOMENT_S:
            end_s = min((first + int(high_T[-1]) + 1) / observer.fps, next_s)
            deeds.append(Deed(start_s + 0.1, end_s, "rings", ()))
    return deeds


def _spaced(times_s: list[float]) -> list[float]:
    """Moments without those that follow another one closely."""
    kept: list[float] = []
    for time_s in times_s:
        if not kept or time_s - kept[-1] > 2 * MOMENT_S:
            kept.append(time_s)
    return kept


def _drips(observer: Observer) -> list[Deed]:
    """Drops that fall into the water, told together as long as they keep coming."""
    times_s = [e.time_s for e in observer.state.events if e.kind == "splash" and e.bodies[0] in observer.drops]
    deeds: list[Deed] = []
    for time_s in times_s:
        last = deeds[-1] if deeds else None
        if last is not None and time_s - last.end_s < DRIP_S and time_s - last.start_s < LINGER_S:
            deeds[-1] = replace(last, end_s=time_s, times=last.times + 1)
        else:
            deeds.append(Deed(time_s - 0.05, time_s + 0.05, "drips", ()))
    return [replace(deed, end_s=min(deed.end_s + 0.2, observer.duration_s)) for deed in deeds]


def _strokes(observer: Observer) -> list[Deed]:
    deeds = []
    ends = [event for event in observer.state.events if event.kind == "stroke_ends"]
    for event in observer.state.events:
        if event.kind == "stroke_begins":
            until = [e.time_s for e in ends if e.bodies == event.bodies and e.time_s > event.time_s]
            end_s = min(until, default=observer.duration_s)
            deeds.append(Deed(event.time_s, end_s, "paints", event.bodies[:1]))
            if observer.duration_s - end_s > 2 * MOMENT_S:
                deeds.append(Deed(end_s, observer.duration_s, "stays_painted", ()))
    return deeds


def _scores(observer: Observer) -> list[Deed]:
    events = [event for event in observer.state.events if event.kind == "scores"]
    return [replace(_moment(observer, e.time_s, "scores", e.bodies[:1]), others=e.bodies[1:2]) for e in events]


def _moment(observer: Observer, time_s: float, kind: str, bodies: tuple[int, ...]) -> Deed:
    return Deed(time_s, min(time_s + MOMENT_S, observer.duration_s), kind, bodies)

"""What happens in a clip, without words: events and motion become deeds, each with its span of time.

Nothing here knows what a family meant to show. A body's time line is cut at its events (contacts that change its
speed, splashes, kicks, the turns of a swing) and where it stops; what it does in between is read off its velocity.

Legend: T frames, B bodies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinema.data import Event, WorldState

HARD_KICK_MPS = 0.35  # a change of speed that is worth a word
STILL_MPS = 0.12  # slower than this, a body stands
TRAVEL_M = 0.25  # a way that is worth a direction
MOMENT_S = 0.4  # how long we speak of what happens in an instant
LINGER_S = 5.0  # what goes on for longer is said again
LEAST_S = 0.3  # a shorter span of motion is not worth a line
SLOW_MPS, FAST_MPS = 0.8, 2.2
RISE_M = 0.12  # a lower jump or drop is not worth a word
BOUNCE_MPS = 0.8  # upward speed after a contact with the floor that counts as a bounce
GRAVITY_MPS2 = 9.81

WEIGHTS = {
    **dict.fromkeys(("shatters", "chain", "collapses", "scores", "splashes", "paints", "drips", "seen_through"), 9.0),
    **dict.fromkeys(("hits", "collide", "topples", "lands_on", "falls_off", "survives", "sinks", "floats"), 7.0),
    **dict.fromkeys(("thrown", "falls", "hides", "comes_out", "keeps_standing", "stands", "stays_hidden"), 6.0),
    **dict.fromkeys(("bounces", "down_ramp", "slides_down_ramp", "swings", "rolls", "slides", "pieces", "hops"), 5.0),
    **dict.fromkeys(
        ("flies", "keeps_bouncing", "keeps_swinging", "swings_back", "kicked", "jumps", "turns_back", "rings"), 4.0
    ),
    **dict.fromkeys(("bounces_again", "lands", "tumbles", "moves", "up_ramp", "leaves", "enters"), 3.0),
    **dict.fromkeys(("rests", "stays_painted"), 2.5),
    "waits": 1.0,
}
"""How much each kind of deed deserves to be told when there is not room for all."""
GOING = ("hops", "rolls", "slides", "tumbles", "moves", "down_ramp", "slides_down_ramp", "up_ramp")


@dataclass(frozen=True)
class Deed:
    """Something that bodies do between two moments."""

    start_s: float
    end_s: float
    kind: str  # a key of phrases.PHRASES
    bodies: tuple[int, ...]  # who does it
    others: tuple[int, ...] = ()  # to whom
    way: str = ""  # left, right, back, front
    how: str = ""  # slow, fast
    prop: int = -1  # the piece of scenery that it has to do with
    times: int = 1

    @property
    def weight(self) -> float:
        if self.kind in ("hides", "comes_out", "stays_hidden") and self.prop < 0:
            return 3.0  # behind one another bodies come and go by chance
        return WEIGHTS[self.kind]


class Observer:
    """Looks at a clip's state and says what every body does when."""

    def __init__(self, family: str, state: WorldState, fps: float) -> None:
        self.family, self.state, self.fps = family, state, fps
        self.frames = len(state.position_TB3)
        self.duration_s = self.frames / fps
        self.drops = [index for index, body in enumerate(state.bodies) if body.material == "water"]
        self.bodies = [i for i, body in enumerate(state.bodies) if body.part_of < 0 and body.material != "water"]
        clear = [b for b in self.bodies if (state.bodies[b].material, state.bodies[b].color) == ("glass", "white")]
        self.lenses = clear if family == "lens" else []  # what one looks through
        self.present = [body for body in self.bodies if state.shown_TB[0, body]]  # from the start
        self.speed_TB: NDArray[np.float64] = np.linalg.norm(state.velocity_TB3, axis=-1)
        smallest_B = np.array([min(info.half_size_m) for info in state.bodies])
        spin_TB = np.linalg.norm(state.angular_velocity_TB3, axis=-1) * smallest_B
        self.stir_TB: NDArray[np.float64] = np.maximum(self.speed_TB, spin_TB)  # a spinning body does not rest
        ahead_T3 = state.camera_target_T3 - state.camera_eye_T3
        ahead_T2 = ahead_T3[:, :2] / np.linalg.norm(ahead_T3[:, :2], axis=-1, keepdims=True)
        self.ahead_T2: NDArray[np.float64] = ahead_T2  # horizontal, away from the viewer
        self.right_T2: NDArray[np.float64] = np.stack([ahead_T2[:, 1], -ahead_T2[:, 0]], axis=-1)

    # --- reading the state ------------------------------------------------------------------------------------

    def before(self, time_s: float) -> int:
        """The last frame before a moment."""
        return min(max(math.ceil(time_s * self.fps - 1e-6) - 1, 0), self.frames - 1)

    def after(self, time_s: float) -> int:
        """The first frame after a moment."""
        return min(math.floor(time_s * self.fps + 1e-6) + 1, self.frames - 1)

    def span(self, start_s: float, end_s: float) -> tuple[int, int]:
        """First and last frame of a span; at least two frames where the clip has them."""
        first = min(math.ceil(start_s * self.fps - 1e-6), self.frames - 1)
        last = min(max(math.floor(end_s * self.fps + 1e-6), first), self.frames - 1)
        return first, last

    def way(self, body: int, first: int, last: int) -> str:
        """Where a body goes between two frames, seen by the camera; nothing if it stays about where it is."""
        shift_2 = (self.state.position_TB3[last, body] - self.state.position_TB3[first, body])[:2]
        middle = (first + last) // 2
        across, deep = float(self.right_T2[middle] @ shift_2), float(self.ahead_T2[middle] @ shift_2)
        if abs(across) >= TRAVEL_M and abs(across) > 0.5 * abs(deep):
            return "right" if across > 0 else "left"
        if abs(deep) >= 2 * TRAVEL_M:
            return "back" if deep > 0 else "front"
        return ""

    def side_m(self, body: int, frame: int = 0) -> float:
        """How far right of the picture's middle line a body is, metres at its place."""
        offset_2 = (self.state.position_TB3[frame, body] - self.state.camera_eye_T3[frame])[:2]
        return float(self.right_T2[frame] @ offset_2)

    def depth_m(self, body: int, frame: int = 0) -> float:
        """How far from the camera a body is, along the view."""
        offset_2 = (self.state.position_TB3[frame, body] - self.state.camera_eye_T3[frame])[:2]
        return float(self.ahead_T2[frame] @ offset_2)

    def low_m(self, body: int, frame: int = 0) -> float:
        """Height of the lowest point of a body (of its box, for what is neither ball nor box)."""
        info, (w, x, y, z) = self.state.bodies[body], self.state.orientation_TB4[frame, body]
        row_3 = np.array([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])  # of the rotation
        half_m = info.half_size_m[0] if info.shape == "sphere" else float(np.abs(row_3) @ np.array(info.half_size_m))
        return float(self.state.position_TB3[frame, body, 2]) - half_m

    def hard(self, event: Event) -> bool:
        """Whether a contact changes the speed of one who takes part by what can be seen."""
        masses = [self.state.bodies[body].mass_kg for body in event.bodies if body >= 0]
        return event.kind == "contact" and event.value / min(masses) > HARD_KICK_MPS

    def falls_over(self, event: Event) -> bool:
        """Whether a body that topples comes to lie lower, as what rolls about its length does not; boxes may tip."""
        body = event.bodies[0]
        if self.state.bodies[body].shape in ("cube", "slab"):
            return True
        first, last = self.span(max(event.time_s - 1.0, 0.0), event.time_s + 0.5)
        z_T = self.state.position_TB3[first : last + 1, body, 2]
        return self.state.bodies[body].shape != "sphere" and float(z_T.max() - z_T.min()) > 0.06

    # --- motion between events --------------------------------------------------------------------------------

    def motion(self, body: int, start_s: float, end_s: float) -> Deed | None:
        """What a body does while nothing happens to it; None where it cannot be said."""
        first, last = self.span(start_s, end_s)
        if last - first < 1:
            return None
        frames = slice(first, last + 1)
        velocity_T3, speed_T = self.state.velocity_TB3[frames, body], self.speed_TB[frames, body]
        deed = Deed(start_s, end_s, "waits", (body,))
        if self.stir_TB[frames, body].max() < STILL_MPS:
            return deed
        way = self.way(body, first, last)
        pull_T = np.diff(velocity_T3[:, 2]) * self.fps
        if np.median(np.abs(pull_T + GRAVITY_MPS2)) < 2.0:
            shift_3 = self.state.position_TB3[last, body] - self.state.position_TB3[first, body]
            if velocity_T3[0, 2] < 0.5 and np.hypot(*shift_3[:2]) < max(TRAVEL_M, -0.35 * shift_3[2]):
                return replace(deed, kind="falls") if shift_3[2] < -0.15 else None
            thrown = start_s == 0 and self.speed_TB[0, body] > 1.0
            return replace(deed, kind="thrown" if thrown else "flies", way=way)
        mean = float(speed_T.mean())
        how = "slow" if speed_T.max() < SLOW_MPS else "fast" if mean > FAST_MPS else ""
        if self.travel_m(body, first, last) < 0.12:
            return None
        kind = "hops" if self.family == "blocks" else self._gait(body, frames, mean)
        climb_m = self.state.position_TB3[last, body, 2] - self.state.position_TB3[first, body, 2]
        if any(prop["name"] == "ramp" for prop in self.state.facts.get("props", ())) and abs(climb_m) > 0.15:
            kind = "up_ramp" if climb_m > 0 else "down_ramp" if kind == "rolls" else "slides_down_ramp"
            if kind == "up_ramp" and way == "":
                return None
        elif abs(climb_m) > 0.15:
            return None  # neither free flight nor travel along the floor
        return replace(deed, kind=kind, way=way, how=how)

    def travel_m(self, body: int, first: int, last: int) -> float:
        """Straight distance between the places at two frames."""
        place_T3 = self.state.position_TB3[:, body]
        return float(np.linalg.norm(place_T3[last] - place_T3[first]))

    def _gait(self, body: int, frames: slice, speed_mps: float) -> str:
        """Rolling, sliding or tumbling, by how fast it turns about a level axis for its speed."""
        info = self.state.bodies[body]
        turning_mps = float(np.linalg.norm(self.state.angular_velocity_TB3[frames, body, :2], axis=-1).mean())
        share = turning_mps * min(info.half_size_m) / max(speed_mps, 1e-6)
        if info.shape in ("sphere", "cylinder", "capsule") and share > 0.5:
            return "rolls"
        if share > 0.5:
            return "tumbles"
        return "slides" if share < 0.25 else "moves"

    # --- one body's time line ---------------------------------------------------------------------------------

    def timeline(self, body: int) -> list[Deed]:
        """All deeds of one body in order, from one mark to the next."""
        broken_s = [e.time_s for e in self.state.events if e.kind == "shatters" and e.bodies[0] == body]
        gone_s = min(broken_s, default=self.duration_s)
        marks = [Deed(0.0, 0.0, "motion", (body,))]
        for event in self.state.events:
            if body in event.bodies and 0.04 < event.time_s < gone_s - 0.04:
                marks += [mark for mark in (self._mark(body, event),) if mark is not None]
        if not self.state.shown_TB[0, body]:
            marks[0] = replace(marks[0], start_s=self._appears_s(body))
        deeds: list[Deed] = []
        for mark, following in zip(marks, [*marks[1:], Deed(gone_s, 0.0, "motion", ())], strict=True):
            deeds += self._told(body, mark, following.start_s)
        deeds = [replace(d, kind="rests") if d.kind == "waits" and d.start_s > 0 else d for d in deeds]
        return _merged(deeds)

    def _appears_s(self, body: int) -> float:
        """When a body that was not there at the start comes to be."""
        shown = np.flatnonzero(self.state.shown_TB[:, body])
        return float(shown[0]) / self.fps if len(shown) else self.duration_s

    def _mark(self, body: int, event: Event) -> Deed | None:
        """What an event is for this body; ``motion`` where only its motion changes."""
        mark = Deed(event.time_s, event.time_s, "motion", (body,))
        if event.kind == "contact":
            return self._contact(body, event, mark) if self.hard(event) else None
        if event.kind == "launch" and self.state.velocity_TB3[self.after(event.time_s), body, 2] > BOUNCE_MPS:
            return replace(mark, kind="jumps")
        if event.kind == "launch":
            return replace(mark, kind="kicked")
        if event.kind == "splash":
            return replace(mark, kind="splashes")
        if event.kind == "topples" and not self.falls_over(event):
            return None
        if event.kind in ("floats", "sinks", "topples"):
            return replace(mark, kind=event.kind)
        return replace(mark, kind="swings") if event.kind == "turns" else None

    def _contact(self, body: int, event: Event, mark: Deed) -> Deed | None:
        first, second = event.bodies[0], event.bodies[-1]
        before, after = self.before(event.time_s), self.after(event.time_s)
        if min(first, second) < 0:
            return self._scenery_contact(body, mark, before, after)
        if first not in self.bodies or second not in self.bodies:  # pieces and drops are not spoken of one by one
            return mark
        other = second if body == first else first
        own, their = self.speed_TB[before, body], self.speed_TB[before, other]
        if min(own, their) > 0.6 and min(own, their) > 0.4 * max(own, their):
            return replace(mark, kind="collide", bodies=(first, second)) if body == first else mark
        if own < their or own < HARD_KICK_MPS:
            return mark
        drop_mps = -float(self.state.velocity_TB3[before, body, 2])
        above = self.state.position_TB3[before, body, 2] > self.state.position_TB3[before, other, 2]
        kind = "lands_on" if drop_mps > 0.8 * own and above else "hits"
        return replace(mark, kind=kind, others=(other,))

    def _scenery_contact(self, body: int, mark: Deed, before: int, after: int) -> Deed | None:
        """Floor or wall, told apart by which part of the velocity changes sign."""
        was_3, is_3 = self.state.velocity_TB3[before, body], self.state.velocity_TB3[after, body]
        if was_3[2] < -0.5:
            z_T = self.state.position_TB3[:, body, 2]
            later_T = z_T[after : after + math.ceil(0.5 * self.fps)]
            if is_3[2] > BOUNCE_MPS and later_T.max() - z_T[before] > RISE_M:
                return replace(mark, kind="bounces")
            sooner_T = z_T[max(before - math.ceil(0.3 * self.fps), 0) : before + 1]
            return replace(mark, kind="lands") if sooner_T.max() - z_T[after] > RISE_M else None
        across, back = float(self.right_T2[before] @ was_3[:2]), float(self.right_T2[after] @ is_3[:2])
        if abs(across) > 0.4 and abs(back) > 0.2 and across * back < 0:
            return replace(mark, kind="turns_back", way="right" if back > 0 else "left")
        return None

    def _told(self, body: int, mark: Deed, end_s: float) -> list[Deed]:
        """The deed of a mark, and what the body does from then until the next mark."""
        if mark.kind == "turns_back" and not self._comes_back(body, mark, min(mark.start_s + MOMENT_S, end_s)):
            mark = replace(mark, kind="motion")
        if mark.kind == "motion":
            return self._moves(body, mark.start_s, end_s)
        if mark.kind == "bounces":
            return [replace(mark, end_s=self._down_s(body, mark.start_s, end_s))]
        if mark.kind == "swings":
            first, last = self.span(mark.start_s, end_s)
            return [replace(mark, end_s=end_s, way=self.way(body, first, last), kind="swings_back")]
        if mark.kind == "sinks":  # the event is its arrival at the bottom
            return [replace(mark, start_s=self._wet_s(body, mark.start_s), end_s=min(mark.start_s + 0.2, end_s))]
        if mark.kind == "floats":
            return [replace(mark, end_s=min(mark.start_s + 2 * MOMENT_S, end_s))]
        shown_s = min(mark.start_s + MOMENT_S, end_s)
        if mark.kind in ("kicked", "jumps"):
            mark = replace(mark, way=self.way(body, *self.span(mark.start_s, shown_s)))
        deeds = [replace(mark, end_s=shown_s)]
        if end_s - shown_s > LEAST_S and mark.kind != "splashes":
            deeds += self._moves(body, shown_s, end_s, mark.kind)
        return deeds

    def _comes_back(self, body: int, mark: Deed, end_s: float) -> bool:
        """Whether a body that was thrown back goes there by what can be seen."""
        first, last = self.span(mark.start_s, end_s)
        shift_2 = (self.state.position_TB3[last, body] - self.state.position_TB3[first, body])[:2]
        return float(self.right_T2[first] @ shift_2) * (1 if mark.way == "right" else -1) > 0.6 * TRAVEL_M

    def _wet_s(self, body: int, until_s: float) -> float:
        """A little after a body last came into the water."""
        splashes_s = [e.time_s for e in self.state.events if e.kind == "splash" and e.bodies[0] == body]
        return min(max((t for t in splashes_s if t < until_s), default=until_s - LEAST_S) + 0.15, until_s - 0.1)

    def _down_s(self, body: int, start_s: float, end_s: float) -> float:
        """When a bouncing body has stopped going up and down."""
        first, last = self.span(start_s, end_s)
        up_T = np.flatnonzero(np.abs(self.state.velocity_TB3[first : last + 1, body, 2]) > 0.3)
        return min(end_s, (first + int(up_T[-1]) + 1) / self.fps) if len(up_T) else end_s

    def _moves(self, body: int, start_s: float, end_s: float, after: str = "") -> list[Deed]:
        """Motion in a span, cut where the body stops for good."""
        if end_s - start_s < LEAST_S:
            return []
        first, last = self.span(start_s, end_s)
        moving = np.flatnonzero(self.stir_TB[first : last + 1, body] > STILL_MPS)
        if not len(moving):
            if after == "":
                return [Deed(start_s, end_s, "waits", (body,))]
            return [Deed(start_s, end_s, "rests", (body,))]
        stop = first + int(moving[-1]) + 1
        if last - stop < max(2, round(LEAST_S * self.fps)) or self._swinging(body):
            stop_s = end_s
        else:
            stop_s = stop / self.fps
        deed = self._swing(body, start_s, end_s) if self._swinging(body) else self.motion(body, start_s, stop_s)
        deeds = [deed] if deed is not None and deed.kind != "waits" else []
        if stop_s < end_s:
            deeds.append(Deed(stop_s, end_s, "rests", (body,)))
        return deeds

    def _swinging(self, body: int) -> bool:
        return any(event.kind == "turns" and event.bodies == (body,) for event in self.state.events)

    def _swing(self, body: int, start_s: float, end_s: float) -> Deed | None:
        way = self.way(body, *self.span(start_s, end_s))
        return Deed(start_s, end_s, "swings", (body,), way=way) if way else None


def _merged(deeds: list[Deed]) -> list[Deed]:
    """Repetitions become one deed: motion goes on, bounces and swings are counted."""
    merged: list[Deed] = []
    again = ("swings_back", "keeps_swinging")
    for deed in deeds:
        last = merged[-1] if merged else None
        lasted_s = last.end_s - last.start_s if last else 0.0
        if last is None:
            merged.append(deed)
        elif deed.kind == last.kind and deed.kind in GOING and deed.way == last.way:
            how = deed.how if deed.how == last.how else ""
            merged[-1] = replace(last, end_s=deed.end_s, how=how)
        elif deed.kind == "bounces" and last.kind in ("bounces", "bounces_again", "keeps_bouncing"):
            if last.kind == "bounces":
                merged.append(replace(deed, kind="bounces_again"))
            else:
                merged[-1] = replace(last, kind="keeps_bouncing", end_s=deed.end_s, times=last.times + 1)
        elif deed.kind == "swings_back" and last.kind in again and len(merged) > 2 and lasted_s < LINGER_S:
            merged[-1] = replace(last, kind="keeps_swinging", end_s=deed.end_s, way="", times=last.times + 1)
        elif deed.kind == last.kind == "hits" and deed.others == last.others and lasted_s < MOMENT_S + LEAST_S:
            continue  # two touches of one push
        elif deed.kind == last.kind == "lands":
            merged[-1] = replace(last, end_s=deed.end_s)
        elif deed.kind in ("waits", "rests") and last.kind in ("waits", "rests"):
            merged[-1] = replace(last, end_s=deed.end_s)
        else:
            merged.append(deed)
    return merged

"""Words for a clip, derived from its exact state: a long summary, a short prompt, and timed beats.

A small grammar: every phrase has several wordings, every attribute can be said or left out, and what is said is read
off the state (who moves where, what touches what, what bounces), never off the intentions of the family.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema.data import Beat, BodyInfo, Caption, Event, WorldState

COLOR_WORDS = {"purple": ("purple", "violet"), "cyan": ("cyan", "turquoise"), "pink": ("pink", "magenta")}
SHAPE_WORDS = {
    "sphere": ("ball", "ball", "sphere"),
    "cube": ("cube", "cube", "box"),
    "cylinder": ("cylinder", "cylinder", "can"),
    "cone": ("cone",),
    "capsule": ("capsule", "pill"),
    "slab": ("slab", "block", "brick"),
}
SIZE_WORDS = {"small": ("small", "little"), "medium": ("medium-sized",), "large": ("large", "big")}
MATERIAL_WORDS = {"rubber": ("rubber", "matte"), "metal": ("metal", "shiny", "steel"), "matte": ("matte",), "glass": ("glass",), "wood": ("wooden",)}
FLOOR_WORDS = {
    "grey": ("grey", "gray"),
    "white": ("white",),
    "dark": ("dark", "black"),
    "beige": ("beige", "sandy"),
}
SKY_WORDS = {
    "pale blue": ("under a pale blue sky", "in daylight", "on a clear day"),
    "light grey": ("against a light grey backdrop", "in soft light", "in a bright studio"),
    "dusk": ("at dusk", "at sunset"),
    "dim": ("in dim light", "against a dark backdrop", "at dusk"),
}
COUNT_WORDS = {1: "one", 2: "two", 3: "three"}
HARD_KICK_MPS = 0.35  # a change of speed that is worth a word


class Narrator:
    """Says what a clip shows. One narrator, one clip: a body keeps its noun from the first word to the last."""

    def __init__(self, family: str, state: WorldState, fps: float, rng: np.random.Generator) -> None:
        self.family, self.state, self.fps, self.rng = family, state, fps, rng
        self.duration_s = len(state.position_TB3) / fps
        self._color = [self.pick(COLOR_WORDS.get(body.color, (body.color,))) for body in state.bodies]
        self._shape = [self.pick(SHAPE_WORDS[body.shape]) for body in state.bodies]

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def caption(self) -> Caption:
        return Caption(self._summary(), self._short(), self._beats())

    # --- phrases --------------------------------------------------------------------------------------------

    def _name(self, body: int, article: str = "the", *, size: bool = False, material: bool = False) -> str:
        info = self.state.bodies[body]
        words = [self._color[body], self._shape[body]]
        if material:
            words.insert(self.pick("01") == "1", self.pick(MATERIAL_WORDS[info.material]))
        if size:
            words.insert(0, self.pick(SIZE_WORDS[info.size]))
        return f"{_article(words[0]) if article == 'a' else article} {' '.join(words)}"

    def _floor(self, article: str = "a") -> str:
        noun = self.pick(("floor", "floor", "floor", "ground", "surface"))
        word = self.pick(FLOOR_WORDS[str(self.state.facts["floor"])])
        return f"{article} {word} {noun}"

    def _side(self, body: int, frame: int = 0) -> str:
        x = self.state.position_TB3[frame, body, 0]
        if abs(x) < 0.5:
            return self.pick(("in the middle", "in the centre"))
        side = "right" if x > 0 else "left"
        return self.pick((f"on the {side}", f"at the {side}"))

    def _prop(self, article: str = "a") -> str:
        prop = self.state.facts["props"][0]
        return f"{article} {prop['color']} {prop['name']}"

    def _direction(self, body: int) -> str:
        """Where a body goes overall, seen by the camera: left or right, or nothing if it stays."""
        shift = self._shift_m(body)
        return "" if abs(shift) < 0.3 else ("right" if shift > 0 else "left")

    def _shift_m(self, body: int) -> float:
        x_T = self.state.position_TB3[:, body, 0]
        return float(x_T[np.abs(x_T - x_T[0]).argmax()] - x_T[0])

    def _goes(self, body: int) -> str:
        """How it travels along a surface."""
        return "rolls" if self.state.bodies[body].shape == "sphere" else "slides"

    def _movers(self) -> list[int]:
        return [event.bodies[0] for event in self.state.events if event.kind == "launch"]

    def _contacts(self, body: int, other: int | None = None) -> list[Event]:
        """Contacts of a body hard enough to see, with one partner or with any."""
        mass_kg = self.state.bodies[body].mass_kg
        return [
            event
            for event in self.state.events
            if event.kind == "contact"
            and body in event.bodies
            and (other is None or other in event.bodies)
            and event.value / mass_kg > HARD_KICK_MPS
        ]

    def _bounce_m(self, body: int) -> float:
        """How high a body rises again above its lowest point after its first hard contact."""
        contacts = self._contacts(body, -1)
        if not contacts:
            return 0.0
        z_T = self.state.position_TB3[:, body, 2]
        after_T = z_T[min(int(np.ceil(contacts[0].time_s * self.fps)), len(z_T) - 1) :]
        return float(after_T.max() - min(after_T[0], z_T[-1], after_T.min()))

    # --- the short form -------------------------------------------------------------------------------------

    def _short(self) -> str:
        bodies = range(len(self.state.bodies))
        size, material = self.chance(0.25), self.chance(0.2)
        names = [self._name(b, "a", size=size, material=material) for b in bodies]
        text = {"fall": self._short_fall, "throw": self._short_throw, "collide": self._short_collide}.get(self.family)
        if text is not None:
            line = text(names)
        elif self.family == "ramp":
            line = f"{names[0]} {self._goes(0)} down {self.pick(('a ramp', self._prop(), 'a slope'))}"
            if len(names) > 1:
                line += self._towards_waiting(names[1])
        else:
            line = self._short_occlude(names)
        if self.chance(0.6):
            line += f" {self.pick(('on', 'on', 'onto')) if self.family == 'fall' else 'on'} {self._floor()}"
        if self.chance(0.25):
            line += f" {self.pick(SKY_WORDS[str(self.state.facts['sky'])])}"
        return line

    def _short_fall(self, names: list[str]) -> str:
        single = len(names) == 1
        subject = _join(names)
        falls = self.pick(("falls", "drops", "falls down") if single else ("fall", "drop", "fall down"))
        bounces = max(self._bounce_m(b) for b in range(len(names))) > 0.25
        tails = (" and bounces", " and bounces up again") if single else (" and bounce", "")
        return f"{subject} {falls}{self.pick(tails) if bounces else ''}"

    def _short_throw(self, names: list[str]) -> str:
        if len(names) == 1:
            way = self._direction(0)
            where = self.pick((f" to the {way}", "", " through the air")) if way else ""
            return f"{names[0]} {self.pick(('is thrown', 'flies', 'is tossed'))}{where}"
        return f"{_join(names)} {self.pick(('are thrown', 'fly through the air', 'fly past each other'))}"

    def _short_collide(self, names: list[str]) -> str:
        mover, others = names[0], _join(names[1:])
        hit = self.pick(("hits", "bumps into", "collides with", "knocks into"))
        if self._contacts(0, 1):
            return f"{mover} {self.pick((f'{self._goes(0)} and ', ''))}{hit} {others}"
        return f"{mover} {self._goes(0)} towards {others}"

    def _towards_waiting(self, other: str) -> str:
        if self._contacts(0, 1):
            return self.pick((f" and hits {other}", f" into {other}"))
        return f" towards {other}"

    def _short_occlude(self, names: list[str]) -> str:
        wall = self.pick(("a wall", self._prop()))
        if len(names) > 1:
            return f"{_join(names)} {self.pick(('pass', 'move', 'go'))} behind {wall}"
        passes = self.pick((self._goes(0), "passes", "moves"))
        seen = [e.kind for e in self.state.events if e.kind in ("hidden", "reappears")]
        tail = self.pick((" and comes out again", " and reappears", "")) if seen[-1:] == ["reappears"] else ""
        if seen[-1:] == ["hidden"]:
            tail = self.pick((" and stays hidden", " and does not come out", ""))
        return f"{names[0]} {passes} behind {wall}{tail}"

    # --- the long form --------------------------------------------------------------------------------------

    def _summary(self) -> str:
        count = len(self.state.bodies)
        floor, sky = self._floor(), self.pick(SKY_WORDS[str(self.state.facts["sky"])])
        names = [f"{self._name(b, 'a', size=True, material=True)} {self._side(b)}" for b in range(count)]
        opening = self.pick(
            (
                f"{_join(names)}, {'above' if self.family == 'fall' else 'with'} {floor} {sky}",
                f"a scene with {floor} {sky}: {_join(names)}",
                f"{sky}, {floor}; {COUNT_WORDS[count]} {'body' if count == 1 else 'bodies'}: {_join(names)}",
            )
        )
        if self.state.facts["props"]:
            opening += self.pick((f", and {self._prop()}", f". there is {self._prop()}"))
        return f"{opening}. {'. '.join(self._deeds(b) for b in range(count))}."

    def _deeds(self, body: int) -> str:
        """One sentence on what a body does in the whole clip."""
        name = self._name(body)
        way = self._direction(body)
        bounces = self._bounce_m(body) > 0.25
        if self.family == "fall":
            ends = ("bounces", "bounces back up", "jumps up again") if bounces else ("hardly bounces", "stays there")
            end = self.pick(ends)
            return f"{name} {self.pick(('falls', 'drops', 'falls straight down'))}, hits the floor and {end}"
        if self.family == "throw":
            arc = self.pick(("flies in an arc", "goes up and comes down again", "flies through the air"))
            end = self.pick(("lands and bounces", "bounces off the floor")) if bounces else "lands on the floor"
            return f"{name} {arc}{f' to the {way}' if way else ''} and {end}"
        if self.family == "ramp" and body == 0:
            return f"{name} {self._goes(0)} down the ramp{f' to the {way}' if way else ''}"
        if body in self._movers():
            goes = f"{name} {self._goes(body)}{f' to the {way}' if way else ''}"
            hits = [b for b in range(len(self.state.bodies)) if b != body and self._contacts(body, b)]
            if self.family == "occlude":
                return f"{goes} behind the wall{self._comes_out(body)}"
            return goes + (f" and hits {_join([self._name(b) for b in hits])}" if hits else "")
        if self._contacts(body) and way:
            return f"{name} {self.pick(('is pushed', 'is knocked', 'is hit and moves'))} to the {way}"
        return f"{name} {f'moves to the {way}' if way else self.pick(('stands still', 'waits', 'does not move'))}"

    def _comes_out(self, body: int) -> str:
        kinds = [e.kind for e in self.state.events if e.bodies == (body,) and e.kind in ("hidden", "reappears")]
        if not kinds:
            return ""
        return " and comes out on the other side" if kinds[-1] == "reappears" else " and stays there"

    # --- beats ----------------------------------------------------------------------------------------------

    def _beats(self) -> tuple[Beat, ...]:
        """What happens when: one line per body and phase, each from one event to the next."""
        beats = [beat for body in range(len(self.state.bodies)) for beat in self._body_beats(body)]
        return tuple(sorted(beats, key=lambda beat: (beat.start_s, beat.end_s)))[:8]

    def _body_beats(self, body: int) -> list[Beat]:
        name, way = self._name(body), self._direction(body)
        to_way = f" to the {way}" if way else ""
        rests_s = (event.time_s for event in self.state.events if event.kind == "rests" and event.bodies == (body,))
        rest_s = next(rests_s, self.duration_s)
        marks: list[tuple[float, str]] = []
        first = {
            "fall": self.pick(("falls", "drops", "is falling")),
            "throw": self.pick((f"flies{to_way}", "is in the air")),
            "ramp": f"{self._goes(body)} down the ramp",
        }.get(self.family, f"{self._goes(body)}{to_way}")
        still = self.family in ("ramp", "collide") and body > 0
        marks.append((0.0, self.pick(("waits", "stands still")) if still else first))
        floor_hits = 0
        for event in self.state.events:
            if body not in event.bodies or event.time_s < 0.1 or event.time_s > rest_s:
                continue
            partner = [other for other in event.bodies if other != body]
            if event.kind == "contact" and event.value / self.state.bodies[body].mass_kg > HARD_KICK_MPS:
                if partner[0] >= 0:
                    verb = "hits" if body == event.bodies[0] else "is hit by"
                    marks.append((event.time_s, f"{verb} {self._name(partner[0])}"))
                elif self.family in ("fall", "throw") and floor_hits < 2:
                    up = self._speed_up(body, event.time_s) > 0.8
                    again = ("bounces again", "bounces once more")
                    words = again if floor_hits else ("bounces", "bounces off the floor")
                    lands = ("lands", "lands on the floor", "hits the floor")
                    marks.append((event.time_s, self.pick(words if up else lands)))
                    floor_hits += 1
            elif event.kind == "hidden":
                marks.append((event.time_s, "is behind the wall"))
            elif event.kind == "reappears":
                marks.append((event.time_s, f"comes out{f' on the {way}' if way else ''}"))
        if rest_s < self.duration_s and not still:
            marks.append((rest_s, self.pick(("comes to rest", "lies still", "has stopped"))))
        ends = [start for start, _ in marks[1:]] + [self.duration_s]
        return [
            Beat(round(start, 2), round(end, 2), f"{name} {text}")
            for (start, text), end in zip(marks, ends, strict=True)
            if end - start > 0.08
        ]

    def _speed_up(self, body: int, time_s: float) -> float:
        """Upward speed in m/s at the frame after a moment."""
        frame = min(int(time_s * self.fps) + 1, len(self.state.velocity_TB3) - 1)
        return float(self.state.velocity_TB3[frame, body, 2])


def narrate(family: str, state: WorldState, fps: float, rng: np.random.Generator) -> Caption:
    """The caption of a clip; the same random numbers give the same words."""
    return Narrator(family, state, fps, rng).caption()


def short_prompt(family: str, bodies: Sequence[BodyInfo], floor: str) -> str:
    """The plainest prompt for a scene, the same for every clip with these bodies: what the adherence test types."""
    nouns = ["ball" if body.shape == "sphere" else body.shape for body in bodies]
    names = [f"{_article(body.color)} {body.color} {noun}" for body, noun in zip(bodies, nouns, strict=True)]
    goes = "rolls" if bodies[0].shape == "sphere" else "slides"
    one, others = len(bodies) == 1, _join(names[1:])
    deed = {
        "fall": f"{_join(names)} {'falls' if one else 'fall'} and {'bounces' if one else 'bounce'}",
        "throw": f"{_join(names)} {'is' if one else 'are'} thrown",
        "collide": f"{names[0]} hits {others}",
        "ramp": f"{names[0]} {goes} down a ramp" + (f" towards {others}" if others else ""),
        "occlude": f"{_join(names)} {'moves' if one else 'move'} behind a wall",
    }[family]
    return f"{deed} on a {floor} floor"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _join(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)

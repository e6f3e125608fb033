"""Words for a clip, derived from its exact state: a long summary, a short prompt, and timed beats.

deeds.py and crowd.py read off the state what happens; cast.py, setting.py and tell.py word it with the lists of
words.py and phrases.py. What is said never depends on what a family meant to show, so captions are true by their
making. Summaries are sentences with capitals and full stops; short prompts and beats are lower case without, as
people type. (The tokenizer reads all text in lower case.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema.data import Beat, Caption, WorldState
from kinema.worlds.narration.cast import Cast, Voice
from kinema.worlds.narration.crowd import all_deeds
from kinema.worlds.narration.deeds import LEAST_S, Observer
from kinema.worlds.narration.setting import Setting
from kinema.worlds.narration.tell import BARE, Teller, Telling, together
from kinema.worlds.narration.words import agree, article, count_word, join, plural, sentence

MOST_WORDS = 115  # of a summary
BEATS = 8  # of a clip of a few seconds; longer clips have more
MOST_BEATS = 20
BEAT_S = 0.1  # how far beats that are told as one may differ in their ends
CONNECTED_S = 0.25  # what begins so much later may be told with "then"


class Narrator:
    """Says what a clip shows. One narrator, one clip: a body keeps its noun from the first word to the last."""

    def __init__(self, family: str, state: WorldState, fps: float, rng: np.random.Generator, held_out: bool) -> None:
        self.observer = Observer(family, state, fps)
        self.voice = Voice(rng, held_out)
        self.cast = Cast(self.observer, self.voice)
        self.setting = Setting(self.observer, self.voice, self.cast)
        self.deeds = all_deeds(self.observer) if self.observer.frames > 1 else []

    def caption(self) -> Caption:
        return Caption(self.summary(), self.short(), self.beats())

    def _teller(self) -> Teller:
        return Teller(self.observer, self.voice, self.cast, self.setting)

    # --- the long form ----------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Who is where in what light, what the camera does, and what happens in order."""
        opening = self._opening()
        camera = self.setting.camera() if self._camera_moves() or self.voice.chance(0.35) else ""
        camera_first = self.voice.chance(0.4)
        teller = self._teller()
        teller.mentioned.update(self.observer.present)
        teller.props_mentioned = True
        story = teller.story(self.deeds, most=3 + min(len(self.observer.bodies), 4))
        late = [body for body in self.observer.bodies if body not in teller.mentioned]
        later = [f"{self.cast.listed(late)} {agree('come* later', len(late) > 1)}"] if late else []
        while True:
            told = self._connected(story)
            parts = [*opening, *([camera] if camera and camera_first else []), *told, *later]
            parts += [camera] if camera and not camera_first else []
            text = " ".join(sentence(part) for part in parts)
            if len(text.split()) <= MOST_WORDS or len(story) <= 1:
                return text
            story = [part for part in story if part is not min(story, key=lambda part: part.weight)]

    def _camera_moves(self) -> bool:
        return self.observer.state.facts.get("camera_move", "fixed") != "fixed" and self.observer.frames > 1

    def _opening(self) -> list[str]:
        """Clauses on what is there before anything happens."""
        floor, light = self.setting.floor(), self.setting.light()
        cast, place = self._tableau(), self._place_word()
        scenery = self.setting.scenery(ramps=" ramp" not in cast)
        if not cast:
            cast, scenery = join(scenery) or "an empty scene", []
        there = join(scenery)
        beside = self.voice.pick(("beside", "with", "together with"))
        form = int(self.voice.rng.integers(5))
        if form == 0:
            clauses = [f"{cast} {place} {floor} {light}"]
        elif form == 1:
            clauses = [f"a scene with {floor} {light}: {cast}"]
        elif form == 2:
            clauses = [f"{light}, {floor}", f"{'there are' if self._many() else 'there is'} {cast}"]
        elif form == 3:
            clauses = [f"{light} we see {cast} {place} {floor}"]
        else:
            shown = self.voice.pick(("the scene is shown", "it is all"))
            clauses = [f"{cast} {place} {floor}", *([f"{shown} {light}"] if self.voice.chance(0.7) else [])]
        if there and self.voice.chance(0.5):
            clauses[-1 if form < 2 else 0] += f", {beside} {there}"
        elif there:
            verb = "are" if len(scenery) > 1 or scenery[0].endswith("walls") else "is"
            clauses.append(self.voice.pick((f"there {verb} {there}", f"we also see {there}")))
        return clauses + self._relations()

    def _many(self) -> bool:
        return len(self.observer.present) > 1 and not self.cast.stack and not self.cast.row

    def _tableau(self) -> str:
        """All bodies at their first mention, with sides or as a row or a stack."""
        voice, cast, bodies = self.voice, self.cast, self.observer.present
        crowd = cast.row or cast.stack
        size, material = voice.chance(0.85), voice.chance(0.85)
        groups = []
        if cast.row:
            groups.append(cast.lined_up(size, material))
        elif cast.stack:
            groups.append(cast.stacked(size, material))
        others = [body for body in bodies if body not in crowd]
        if crowd or len(others) > 4 or any(len(cast.alike(body)) > 1 for body in others):
            groups += [cast.listed(others, size, material)] if others else []
            return join(groups)
        sides = voice.chance(0.75)
        named = [cast.full(body, size, material) for body in others]
        places = [f" {self.setting.place(body)}" if sides else "" for body in others]
        return join([name + place for name, place in zip(named, places, strict=True)])

    def _place_word(self) -> str:
        """How the bodies are to the floor at the start."""
        state, bodies = self.observer.state, self.observer.present
        if not bodies:
            return "on"
        if self.observer.family == "blocks":
            return f"{self.voice.pick(('in', 'on'))} {self.setting.blocks()} on"
        low_m = [self.observer.low_m(body) for body in bodies]
        hang = any(self.setting.hangs(body) for body in bodies)
        on_something = hang or self.setting.ramps() or self.cast.stack or state.water is not None
        if min(low_m) > 0.2 and not on_something:
            return self.voice.pick(("above", "high above", "over"))
        return "on" if on_something or min(low_m) < 0.1 else "with"

    def _relations(self) -> list[str]:
        """Sometimes a sentence on how two bodies stand to each other, or on what a mirror or a lens shows."""
        bodies = self.observer.present
        told = []
        if "score" in self.setting.facts:
            score = count_word(int(self.setting.facts["score"]))
            told.append(self.voice.pick(("a board shows the score", f"the score is {score} at first", "")))
        if any(prop.get("mirror") for prop in self.setting.props):
            told.append(self.voice.pick(("the mirror shows it all again", "the mirror reflects the scene", "")))
        if len(bodies) > 1 and not self.cast.row and not self.cast.stack and self.voice.chance(0.35):
            first, second = (int(body) for body in self.voice.rng.choice(bodies, 2, replace=False))
            relation = self.setting.relation(first, second)
            if relation and len(self.cast.alike(first)) == len(self.cast.alike(second)) == 1:
                told.append(f"{self.cast.the(first)} is {relation} {self.cast.the(second)}")
        return [clause for clause in told if clause]

    def _connected(self, story: Sequence[Telling]) -> list[str]:
        """Sentences of the story, some begun with a word on their order in time."""
        told = []
        for index, part in enumerate(story):
            before = story[index - 1] if index else None
            text, lead = part.text, ""
            if before is None:
                lead = self.voice.pick(("", "", "", "first, ", "at first ")) if len(story) > 1 else ""
            elif part.start_s > before.start_s + CONNECTED_S:
                last = index == len(story) - 1 and all(part.start_s >= d.start_s for p in story[:-1] for d in p.deeds)
                leads = ("", "", "then ", "after that ", *(("finally, ", "in the end ") if last else ()))
                lead = self.voice.pick(leads)
            elif part.start_s < before.deeds[0].end_s and part.deeds[0].bodies != before.deeds[0].bodies:
                lead = self.voice.pick(("", "", "meanwhile ", "at the same time "))
            told.append(lead + text)
        return told

    # --- the short form ---------------------------------------------------------------------------------------

    def short(self) -> str:
        """One line as a person would type it: who does what, sometimes where and in what light."""
        teller = self._teller()
        deeds = [deed for deed in self.deeds if deed.kind != "waits"]
        story = teller.story(deeds, most=1, chain=2, taste=0.3)
        text = story[0].text if story else ""
        other = [d for d in deeds if not set(d.bodies) & teller.mentioned and d.kind not in BARE] if story else []
        if other and self.voice.chance(0.6):
            second = teller.story(other, most=1, chain=1)[0]
            text += self.voice.pick((" and ", " while ")) + second.text
        unsaid = [body for body in self.observer.bodies if body not in teller.mentioned]
        if unsaid:
            rest = self._crowd_words(unsaid)
            text = f"{text}, {self.voice.pick(('with', 'beside', 'next to'))} {rest}" if text else rest
        told = any(deed.prop >= 0 for part in story for deed in part.deeds)
        if self.setting.props and not told and self.voice.chance(0.9 if self.observer.family == "mirror" else 0.5):
            scenery = self.setting.scenery()
            text += f", {self.voice.pick(('with', 'near'))} {join(scenery)}" if scenery else ""
        if not text:
            text = "an empty scene"
        if " the floor" in text:
            text = text.replace("the floor", self.setting.floor(plain=self.voice.chance(0.6)), 1)
        elif self.voice.chance(0.55) or not story:
            text += f" {self._short_place(story)} {self.setting.floor(plain=self.voice.chance(0.6))}"
        if self.voice.chance(0.22):
            text += f" {self.setting.light()}"
        if self._camera_moves() and self.voice.chance(0.85 if self.observer.family == "orbit" else 0.4):
            text += f", {self.voice.pick(('', 'while '))}{self.setting.camera()}"
        return text

    def _short_place(self, story: Sequence[Telling]) -> str:
        if story and story[0].deeds[-1].kind == "falls":
            return self.voice.pick(("onto", "on", "towards"))
        if self.observer.family == "blocks":
            return self._place_word()
        return "on" if story else self._place_word()

    def _crowd_words(self, bodies: Sequence[int]) -> str:
        if self.cast.row and set(self.cast.row) <= set(bodies):
            return join([self.cast.lined_up(), *self._listed_rest(bodies, self.cast.row)])
        if self.cast.stack and set(self.cast.stack) <= set(bodies):
            return join([self.cast.stacked(), *self._listed_rest(bodies, self.cast.stack)])
        return self.cast.listed(bodies, size=self.voice.chance(0.25), material=self.voice.chance(0.2))

    def _listed_rest(self, bodies: Sequence[int], crowd: Sequence[int]) -> list[str]:
        rest = [body for body in bodies if body not in crowd]
        return [self.cast.listed(rest, False, False)] if rest else []

    # --- beats ------------------------------------------------------------------------------------------------

    def beats(self) -> tuple[Beat, ...]:
        """What happens when: one line per deed, the least important left out where there are too many."""
        deeds = [deed for deed in together(self.deeds, BEAT_S) if deed.end_s - deed.start_s > 0.06]
        most = min(MOST_BEATS, BEATS + int(max(self.observer.duration_s - 4.0, 0.0) / 4))
        while len(deeds) > most:
            starts = [0.0, *(deed.start_s for deed in deeds), self.observer.duration_s]
            worth = [deed.weight * (starts[i + 2] - starts[i] + LEAST_S) for i, deed in enumerate(deeds)]
            deeds.pop(int(np.argmin(worth)))
        teller = self._teller()
        teller.mentioned.update(self.observer.present)
        teller.props_mentioned = True
        beats = [Beat(round(d.start_s, 2), round(d.end_s, 2), teller.clause(d)) for d in deeds]
        if self._camera_moves() and self.voice.chance(0.5):
            beats.insert(0, Beat(0.0, round(self.observer.duration_s, 2), self.setting.camera()))
        return tuple(beats)


def narrate(
    family: str, state: WorldState, fps: float, rng: np.random.Generator, phrasing: str = "training"
) -> Caption:
    """The caption of a clip; the same random numbers give the same words.

    Args:
        family: name of the clip's family.
        state: its exact truth.
        fps: frames per second.
        rng: the clip's random numbers.
        phrasing: "training", or "held-out" for the wordings that no training caption contains.
    """
    assert phrasing in ("training", "held-out"), phrasing
    return Narrator(family, state, fps, rng, phrasing == "held-out").caption()


def short_prompt(family: str, state: WorldState) -> str:
    """The plainest prompt for a scene, the same for all clips with these bodies and floor: what an evaluation types."""
    bodies = [body for body in state.bodies if body.part_of < 0]
    nouns = ["ball" if body.shape == "sphere" else body.shape for body in bodies]
    names = [article(f"{body.color} {noun}") for body, noun in zip(bodies, nouns, strict=True)]
    everyone, first, others = _counted(names), names[0], _counted(names[1:])
    one = len(bodies) == 1
    goes = "rolls" if bodies[0].shape == "sphere" else "slides"
    deed = {
        "fall": agree(f"{everyone} fall* and bounce*", not one),
        "throw": agree(f"{everyone} be* thrown", not one),
        "collide": f"{first} hits {others}",
        "ramp": f"{first} {goes} down a ramp" + (f" towards {others}" if others else ""),
        "pendulum": agree(f"{everyone} swing*", not one),
        "dominoes": f"{everyone} in a row fall over",
        "tower": f"a tower of {everyone}",
        "occlude": agree(f"{everyone} move* behind a wall", not one),
        "shatter": f"{first} breaks" if one else f"{first} hits {others}",
        "ripple": agree(f"{everyone} fall* into water", not one),
        "float": agree(f"{everyone} fall* into water", not one),
        "lens": everyone if one else f"{first} behind {others}",
        "mirror": f"{everyone} in front of a mirror",
        "orbit": f"the camera moves around {everyone}",
        "paint": f"{first} leaves a stroke of paint" + (f" beside {others}" if others else ""),
        "blocks": agree(f"{everyone} move* in a world of blocks", not one),
    }[family]
    return f"{deed} on a {state.facts['floor']} floor"


def _counted(names: Sequence[str]) -> str:
    """An enumeration in which names that come more than once are counted: "three blue cubes and a red ball"."""
    parts = []
    for name in dict.fromkeys(names):
        many = names.count(name)
        described, noun = name.split(" ", 1)[1].rsplit(" ", 1)
        parts.append(name if many == 1 else f"{count_word(many)} {described} {plural(noun)}")
    return join(parts)

"""Who is who: names of bodies and groups of bodies, which stay the same through a caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema.data import BodyInfo
from kinema.worlds.narration import words
from kinema.worlds.narration.crowd import row_of, stack_of
from kinema.worlds.narration.deeds import Observer
from kinema.worlds.narration.phrases import HELD_OUT_PHRASES, PHRASES
from kinema.worlds.narration.words import article, count_word, join, plural


class Voice:
    """Random choices of wording; ``held_out`` takes the wordings that training captions never contain."""

    def __init__(self, rng: np.random.Generator, held_out: bool) -> None:
        self.rng, self.held_out = rng, held_out

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def plain(self, options: Sequence[str], share: float = 0.6) -> str:
        """The first option with this probability, else any of the others."""
        return options[0] if len(options) == 1 or self.chance(share) else self.pick(options[1:])

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def phrase(self, kind: str) -> str:
        """A wording for a deed."""
        table = HELD_OUT_PHRASES if self.held_out and kind in HELD_OUT_PHRASES else PHRASES
        return self.pick(table[kind])


class Cast:
    """The bodies of a clip and their names."""

    def __init__(self, observer: Observer, voice: Voice) -> None:
        self.observer, self.voice = observer, voice
        self.infos = observer.state.bodies
        self.row, self.stack = row_of(observer), stack_of(observer)
        colors = {info.color for info in self.infos}
        kinds = {self._kind(body) for body in observer.bodies}
        self._color_word = {color: voice.plain(words.COLOR_WORDS[color], 0.75) for color in sorted(colors)}
        self._noun = {kind: voice.plain(self._nouns(kind), 0.65) for kind in sorted(kinds)}

    def _kind(self, body: int) -> str:
        """What a body is called after: its shape, or what it is in its family."""
        if body in self.row:
            return "domino"
        if body in self.observer.lenses and self.observer.state.facts.get("thing") == "water":
            return "glass of water"
        thing = str(self.observer.state.facts.get("thing", ""))
        broken = any(info.part_of == body for info in self.infos)
        return thing if broken and thing in ("pane", "vase") else self.infos[body].shape

    def _nouns(self, kind: str) -> tuple[str, ...]:
        return words.SHAPE_WORDS.get(kind, (kind,))

    def noun(self, body: int) -> str:
        return self._noun[self._kind(body)]

    def alike(self, body: int) -> list[int]:
        """All bodies that have the same colour and the same noun, this one too."""
        key = (self.infos[body].color, self._kind(body))
        return [b for b in self.observer.bodies if (self.infos[b].color, self._kind(b)) == key]

    # --- one body ---------------------------------------------------------------------------------------------

    def full(self, body: int, size: bool = True, material: bool = True) -> str:
        """A body at its first mention, with article: "a large red rubber ball"."""
        return article(self._described(body, self.noun(body), size, material))

    def _described(self, body: int, noun: str, size: bool, material: bool) -> str:
        info = self.infos[body]
        parts = [self._color_word[info.color], noun]
        if body in self.observer.lenses:
            return (
                noun if noun == "glass of water" else f"{self.voice.pick(('clear glass', 'transparent glass'))} {noun}"
            )
        if material and info.material == "glass" and self._kind(body) == "pane":
            parts.insert(1, "glass")
        elif material and self.voice.chance(0.12):
            parts.append(f"made of {words.MATERIAL_NOUNS[info.material]}")
        elif material:
            parts.insert(1, self.voice.plain(words.MATERIAL_WORDS[info.material], 0.75))
        if size and (info.size != "medium" or self.voice.chance(0.2)):
            parts.insert(0, self.voice.plain(words.SIZE_WORDS[info.size], 0.7))
        return " ".join(parts)

    def the(self, body: int) -> str:
        """A body that was named before: "the red ball", or "the ball" if there is no other."""
        if body in self.row:
            return f"the {self._rank(self.row.index(body), len(self.row))} {self.noun(body)}"
        if body in self.stack and len(self.alike(body)) > 1:
            place = self.stack.index(body)
            rank = {0: "bottom", len(self.stack) - 1: "top"}.get(place, words.ORDINALS[place])
            return f"the {rank} {self._color_word[self.infos[body].color]} {self.noun(body)}"
        if body in self.observer.lenses:
            return f"the {self.noun(body)}" if self._kind(body) == "glass of water" else f"the glass {self.noun(body)}"
        if len(self.alike(body)) > 1:
            return f"one of the {self._color_word[self.infos[body].color]} {plural(self.noun(body))}"
        same_noun = [other for other in self.observer.bodies if self._kind(other) == self._kind(body)]
        if len(same_noun) == 1 and self.voice.chance(0.35):
            return f"the {self.noun(body)}"
        return f"the {self._color_word[self.infos[body].color]} {self.noun(body)}"

    @staticmethod
    def _rank(place: int, count: int) -> str:
        return "last" if place == count - 1 else words.ORDINALS[place]

    # --- several bodies ---------------------------------------------------------------------------------------

    def subject(self, bodies: Sequence[int]) -> tuple[str, bool]:
        """Bodies that do something together, and whether the verb is plural."""
        if len(bodies) == 1:
            return self.the(bodies[0]), False
        if set(bodies) == set(self.stack):
            return self.voice.pick(("the tower", "the tower", "the stack")), False
        if set(bodies) == set(self.row):
            return self.voice.pick(
                (f"the {plural(self.noun(self.row[0]))}", f"all {count_word(len(bodies))} of them")
            ), True
        if set(bodies) < set(self.row):
            return self._part_of_row(bodies), True
        if len(bodies) == len(self.observer.bodies):
            return self.everybody(), True
        return join([self.the(body) for body in bodies]), True

    def _part_of_row(self, bodies: Sequence[int]) -> str:
        places = sorted(self.row.index(body) for body in bodies)
        noun, count = plural(self.noun(bodies[0])), count_word(len(bodies))
        if places == list(range(len(places))):
            return f"the first {count} {noun}"
        if places == list(range(len(self.row) - len(places), len(self.row))):
            return f"the last {count} {noun}"
        return f"{count} of the {noun}"

    def everybody(self) -> str:
        """All bodies of the clip, of which there are at least two."""
        bodies = self.observer.bodies
        count = len(bodies)
        nouns = {self.noun(body) for body in bodies}
        noun = plural(nouns.pop()) if len(nouns) == 1 else self.voice.pick(("bodies", "objects", "things"))
        options = [
            f"the {count_word(count)} {noun}",
            f"both {noun}" if count == 2 else f"all {count_word(count)} {noun}",
        ]
        if count == 2:
            options.append(join([self.the(body) for body in bodies]))
        return self.voice.pick(options)

    def stacked(self, size: bool = False, material: bool = False) -> str:
        """The stack at its first mention: "a tower of four cubes", "a red ball on top of a blue cube"."""
        stack = self.stack
        if len(self.alike(stack[0])) == len(stack):
            counted = self.counted(stack, size, material)
            return self.voice.pick((f"a stack of {counted}", f"a tower of {counted}"))
        if len(stack) <= 3 and all(len(self.alike(body)) == 1 for body in stack) and self.voice.chance(0.6):
            return " on top of ".join(self.full(body, size, material) for body in reversed(stack))
        nouns = {self.noun(body) for body in stack}
        noun = plural(nouns.pop()) if len(nouns) == 1 else "bodies"
        listed = join([self.full(body, False, False) for body in reversed(stack)])
        return self.voice.pick(
            (
                f"a tower of {count_word(len(stack))} {noun}, from top to bottom {listed},",
                f"a stack of {count_word(len(stack))} {noun} ({listed}, from the top)",
            )
        )

    def lined_up(self, size: bool = False, material: bool = False) -> str:
        """The row at its first mention: "five blue dominoes in a row"."""
        if len(self.alike(self.row[0])) == len(self.row):
            counted = self.counted(self.row, size, material)
        else:
            counted = f"{count_word(len(self.row))} {plural(self.noun(self.row[0]))}"
        return self.voice.pick((f"a row of {counted}", f"{counted} in a row", f"a line of {counted}"))

    def introduced(self, bodies: Sequence[int], size: bool, material: bool) -> tuple[str, bool]:
        """Bodies at their first mention as the subject of a sentence, and whether the verb is plural."""
        if self.stack and set(bodies) == set(self.stack):
            return self.stacked(), False
        if self.row and set(bodies) <= set(self.row) and len(self.alike(self.row[0])) == len(self.row):
            counted = self.counted(self.row, size, material)
            part = "" if len(bodies) == len(self.row) else f"{count_word(len(bodies))} of "
            return part + counted, len(bodies) > 1
        return self.listed(bodies, size, material), len(bodies) > 1

    def listed(self, bodies: Sequence[int], size: bool = True, material: bool = True) -> str:
        """Bodies at their first mention; alike ones are counted, not repeated: "three blue cubes and a red ball"."""
        parts, seen = [], set()
        for body in bodies:
            if body in seen:
                continue
            group = [other for other in self.alike(body) if other in bodies]
            seen.update(group)
            parts.append(self.counted(group, size, material) if len(group) > 1 else self.full(body, size, material))
        by_noun = {self._kind(body) for body in bodies}
        same = [other for other in self.observer.bodies if self._kind(other) in by_noun]
        plain = len(by_noun) == 1 and len(parts) == len(bodies) == len(same) and 2 <= len(bodies) <= 3
        if plain and not size and not material and self.voice.chance(0.5):
            return self._by_color(bodies)
        return join(parts)

    def _by_color(self, bodies: Sequence[int]) -> str:
        """Bodies that differ in colour alone: "a red and a blue ball", "two balls, one red and one blue,"."""
        colors = [self._color_word[self.infos[body].color] for body in bodies]
        noun = self.noun(bodies[0])
        if len(bodies) == 2 and self.voice.chance(0.6):
            return f"{article(colors[0])} and {article(colors[1])} {noun}"
        if self.voice.chance(0.5):
            return f"{count_word(len(bodies))} {plural(noun)}, {join([f'one {color}' for color in colors])},"
        return f"{count_word(len(bodies))} {plural(noun)} ({join(colors)})"

    def counted(self, group: Sequence[int], size: bool = True, material: bool = True) -> str:
        """Alike bodies at their first mention: "five blue wooden dominoes"."""
        infos: list[BodyInfo] = [self.infos[body] for body in group]
        size = size and len({info.size for info in infos}) == 1
        material = material and len({info.material for info in infos}) == 1
        described = self._described(group[0], plural(self.noun(group[0])), size, material)
        return f"{count_word(len(group))} {described}"

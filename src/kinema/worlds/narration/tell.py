"""Deeds in words: one clause for a beat, a sentence for what a body does in a row, a story for the whole clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinema.worlds.narration import words
from kinema.worlds.narration.cast import Cast, Voice
from kinema.worlds.narration.deeds import GOING, Deed, Observer
from kinema.worlds.narration.phrases import ADVERBS, PASSIVE, WAYS
from kinema.worlds.narration.setting import Setting
from kinema.worlds.narration.words import agree, article, join

TOGETHER_S = 0.2  # deeds of one kind that begin so close to each other are one deed of many
SHARED = (*GOING, "falls", "waits", "bounces", "lands", "rests", "floats", "sinks", "splashes", "swings")
BARE = ("drips", "rings", "pieces", "stays_painted")  # their wordings are whole clauses


@dataclass(frozen=True)
class Telling:
    """A part of the story: one who does a few things in a row."""

    deeds: tuple[Deed, ...]
    text: str  # a clause without capital and full stop

    @property
    def start_s(self) -> float:
        return self.deeds[0].start_s

    @property
    def weight(self) -> float:
        return max(deed.weight for deed in self.deeds)


class Teller:
    """Words for deeds. A body that has not been ``mentioned`` is introduced with "a", later it is "the"."""

    def __init__(self, observer: Observer, voice: Voice, cast: Cast, setting: Setting) -> None:
        self.observer, self.voice, self.cast, self.setting = observer, voice, cast, setting
        self.mentioned: set[int] = set()
        self.props_mentioned = False

    # --- one clause -------------------------------------------------------------------------------------------

    def clause(self, deed: Deed) -> str:
        """Subject and verb: "the red ball rolls to the right"."""
        if deed.kind in BARE:
            return self.voice.phrase("drop" if deed.kind == "drips" and deed.times == 1 else deed.kind)
        if deed.kind in PASSIVE and len(deed.others) == len(deed.bodies) == 1 and self.voice.chance(0.2):
            deed = replace(deed, kind=PASSIVE[deed.kind], bodies=deed.others, others=deed.bodies)
        if deed.kind == "shatters" and deed.others and self.voice.chance(0.4):
            deed = replace(deed, kind="shatters_by")
        elif deed.kind == "shatters" and deed.others and self.voice.chance(0.6):
            deed = replace(deed, kind="breaks", bodies=deed.others, others=deed.bodies)
        subject, many = self.subject(deed.bodies)
        return f"{subject} {agree(self.predicate(deed), many)}"

    def subject(self, bodies: Sequence[int]) -> tuple[str, bool]:
        """Who does it, and whether the verb is plural."""
        new = [body for body in bodies if body not in self.mentioned]
        self.mentioned.update(self.cast.row if set(bodies) <= set(self.cast.row) else bodies)
        if len(new) < len(bodies):
            return self.cast.subject(bodies)
        return self.cast.introduced(bodies, size=self.voice.chance(0.25), material=self.voice.chance(0.2))

    def predicate(self, deed: Deed) -> str:
        """The verb phrase with its starred verbs: "roll* slowly to the right"."""
        phrase = self.voice.phrase(deed.kind)
        return phrase.format(
            other=self._other(deed) if "{other}" in phrase else "",
            way=f" {self.voice.pick(WAYS[deed.way])}" if deed.way and self.voice.chance(0.9) else "",
            side=f" on the {deed.way}" if deed.way in ("left", "right") and self.voice.chance(0.6) else "",
            how=f" {self.voice.pick(ADVERBS[deed.how])}" if deed.how and self.voice.chance(0.45) else "",
        )

    def _other(self, deed: Deed) -> str:
        if deed.prop >= 0:
            first, self.props_mentioned = not self.props_mentioned, True
            return self.setting.prop(deed.prop, first)
        if deed.kind == "paints":
            return self.stroke()
        if deed.kind == "scores" and not deed.others:
            return "a point"
        return join([self.name(body) for body in deed.others])

    def name(self, body: int) -> str:
        """A body that something is done to."""
        if body in self.mentioned:
            return self.cast.the(body)
        self.mentioned.add(body)
        if body in self.cast.row:
            self.mentioned.update(self.cast.row)
            return self.cast.lined_up()
        if len(self.cast.alike(body)) > 1:
            self.mentioned.update(self.cast.alike(body))
            return f"one of {self.cast.counted(self.cast.alike(body), False, False)}"
        return self.cast.full(body, size=self.voice.chance(0.25), material=self.voice.chance(0.2))

    def stroke(self) -> str:
        """The trace of wet paint."""
        color = str(self.observer.state.facts.get("color", ""))
        tint = words.COLOR_WORDS.get(color, (color,))[0]
        noun = self.voice.pick(("stroke", "stripe", "trail"))
        return self.voice.pick(
            (article(f"{tint} {noun} on the floor"), article(f"wet {tint} {noun}"), article(f"{tint} {noun}"))
        )

    # --- the story --------------------------------------------------------------------------------------------

    def story(self, deeds: Sequence[Deed], most: int, chain: int = 3, taste: float = 0.0) -> list[Telling]:
        """At most ``most`` sentences in order of time, each about one subject with up to ``chain`` deeds.

        What is told is chosen by weight, blurred by ``taste``; a chain ends where another subject's deed comes in.
        """
        joined = together(deeds)
        liking = {deed: 1.0 + taste * float(self.voice.rng.uniform(-1, 1)) for deed in joined}
        chosen = sorted(joined, key=lambda deed: (-deed.weight * liking[deed], deed.start_s))[: 2 * most]
        chosen = sorted(chosen, key=lambda deed: (deed.start_s, deed.end_s))
        runs: list[list[Deed]] = []
        for deed in chosen:
            mine = next((run for run in reversed(runs[-3:]) if run[-1].bodies == deed.bodies != ()), None)
            fits = mine is not None and len(mine) < chain and deed.kind not in BARE
            if fits and mine is not None and not self._interrupted(runs, mine, deed):
                mine.append(deed)
            else:
                runs.append([deed])
        runs = sorted(sorted(runs, key=lambda run: -sum(d.weight for d in run))[:most], key=lambda run: run[0].start_s)
        return [Telling(tuple(run), self._run(run)) for run in runs]

    @staticmethod
    def _interrupted(runs: list[list[Deed]], mine: list[Deed], deed: Deed) -> bool:
        """Whether another run that involves this subject has begun since."""
        later = runs[runs.index(mine) + 1 :]
        involved = set(deed.bodies)
        return any(involved & {*d.bodies, *d.others} for run in later for d in run)

    def _run(self, run: Sequence[Deed]) -> str:
        """One subject, a few verbs."""
        first = self.clause(run[0]) if len(run) == 1 else ""
        if first:
            return first
        subject, many = self.subject(run[0].bodies)
        verbs: list[str] = []
        for index, deed in enumerate(run):
            if deed.kind == "scores" and any(d.kind == "scores" for d in run[:index]):
                continue
            again = any((d.kind, d.others) == (deed.kind, deed.others) for d in run[:index])
            if not again or deed.others:
                verbs.append(agree(self.predicate(deed), many) + (" again" if again else ""))
        if len(verbs) == 2 and self.voice.chance(0.4):
            return f"{subject} {verbs[0]}{self.voice.pick((' and then ', ', then '))}{verbs[1]}"
        return f"{subject} {join(verbs)}"


def together(deeds: Sequence[Deed], end_s: float = math.inf) -> list[Deed]:
    """Joins deeds of one kind and way that begin at about the same time, and end at most ``end_s`` apart."""
    joined: list[Deed] = []
    for deed in deeds:
        twin = next(
            (
                i
                for i, other in enumerate(joined)
                if (other.kind, other.way, other.others, other.prop) == (deed.kind, deed.way, (), deed.prop)
                and not set(other.bodies) & set(deed.bodies)
                and abs(other.start_s - deed.start_s) < TOGETHER_S
                and abs(other.end_s - deed.end_s) < end_s
                and deed.kind
                in ("falls", "waits", "bounces", "lands", "rests", "floats", "sinks", "splashes", "swings", *GOING)
            ),
            None,
        )
        if twin is None:
            joined.append(deed)
        else:
            other = joined[twin]
            joined[twin] = replace(
                other,
                bodies=tuple(sorted({*other.bodies, *deed.bodies})),
                end_s=min(other.end_s, deed.end_s),
                how=other.how if other.how == deed.how else "",
            )
    return joined

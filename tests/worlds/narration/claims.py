"""Reads captions back: finds what they claim and checks it against a clip's state, with its own words and thresholds.

Shares no code with the narrator, so that neither can excuse the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kinema.data import Caption, WorldState

COLORS = {
    **{color: color for color in "red orange yellow lime green cyan blue purple pink brown white black".split()},
    **{"crimson": "red", "scarlet": "red", "tangerine": "orange", "golden": "yellow", "chartreuse": "lime"},
    **{"emerald": "green", "turquoise": "cyan", "teal": "cyan", "sapphire": "blue", "violet": "purple"},
    **{"magenta": "pink", "rose": "pink", "chestnut": "brown", "ivory": "white", "jet-black": "black"},
}
SHAPES = {
    **{"ball": "sphere", "sphere": "sphere", "cube": "cube", "box": "cube", "cylinder": "cylinder", "can": "cylinder"},
    **{"cone": "cone", "capsule": "capsule", "pill": "capsule", "slab": "slab", "brick": "slab", "plank": "slab"},
    **{"domino": "slab", "pane": "slab", "vase": "vase", "glass of water": "cylinder"},
}
PLURALS = {**{noun + "s": shape for noun, shape in SHAPES.items()}, "boxes": "cube", "dominoes": "slab"}
ANY = ("bodies", "objects", "things")
NUMBERS = {
    word: n for n, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
MATERIALS = {"matte": "matte", "clay": "matte", "rubber": "rubber", "metal": "metal", "steel": "metal"}
MATERIALS |= {"glass": "glass", "wooden": "wood", "wood": "wood"}
SIZES = {"small": "small", "little": "small", "medium-sized": "medium", "large": "large", "big": "large"}
LIGHT = {
    "pale blue": r"pale blue sky|daylight|clear day",
    "light grey": r"soft light|bright studio|light grey backdrop",
    "dusk": r"at dusk|sunset|evening light",
    "dim": r"dim light|dark room|dark backdrop",
}
FLOORS = {"grey": "grey|gray", "white": "white", "dark": "dark|black", "beige": "beige|sandy"}
PATTERNS = {"checkered": "checkered", "striped": "stripe", "tiled": "tile", "planked": "boards"}
_NOUN = "|".join(sorted((*SHAPES, *PLURALS, *ANY), key=len, reverse=True))
_FLOOR = r"(?:floor|ground|surface)"
_ADJECTIVE = "|".join(
    sorted((*COLORS, *MATERIALS, *SIZES, *NUMBERS, "transparent", "shiny", "clear"), key=len, reverse=True)
)
_BETWEEN = rf"(?:(?!(?:on|is|{_NOUN})\b)[\w-]+ )*?"
MENTION = re.compile(
    rf"(?P<words>(?:\b(?:{_ADJECTIVE})\b (?:and an? (?=(?:{_ADJECTIVE})\b))?)*)"
    rf"\b(?P<noun>{_NOUN})\b(?: made of (?P<of>\w+))?"
)

Claim = tuple[str, Callable[["Reader", set[int], str, float, float], bool]]


class Reader:
    """One clip's state, and questions about it."""

    def __init__(self, family: str, state: WorldState, fps: float) -> None:
        self.family, self.state, self.fps = family, state, fps
        self.wholes = {i for i, body in enumerate(state.bodies) if body.part_of < 0 and body.material != "water"}
        self.drops = {i for i, body in enumerate(state.bodies) if body.material == "water"}
        self.frame_s = 1 / fps + 0.011  # a frame, and the rounding of times in captions
        self.end_s = len(state.position_TB3) / fps

    # --- who ------------------------------------------------------------------------------------------------

    def bodies(self, mention: re.Match[str]) -> set[int]:
        """All bodies that a mention can mean."""
        words, noun = mention["words"].split(), mention["noun"]
        shape = SHAPES.get(noun) or PLURALS.get(noun)
        colors = {COLORS[word] for word in words if word in COLORS}
        materials = {MATERIALS[word] for word in (*words, mention["of"] or "") if word in MATERIALS}
        sizes = {SIZES[word] for word in words if word in SIZES}
        broken = {body.part_of for body in self.state.bodies}
        return {
            i
            for i in self.wholes
            for body in (self.state.bodies[i],)
            if (noun in ANY or body.shape == shape or (noun in ("pane", "vase") and i in broken))
            and (not colors or body.color in colors)
            and (not materials or body.material in materials)
            and (not sizes or body.size in sizes)
        }

    def who(self, text: str) -> list[set[int]]:
        """The bodies that each noun phrase of a text can mean."""
        if re.search(r"\b(tower|stack)\b", text):
            return [self.wholes]
        return [self.bodies(mention) for mention in MENTION.finditer(text)]

    # --- what -----------------------------------------------------------------------------------------------

    def frames(self, start_s: float, end_s: float) -> range:
        last = len(self.state.position_TB3) - 1
        return range(max(0, int(np.floor(start_s * self.fps))), min(last, int(np.ceil(end_s * self.fps))) + 1)

    def across(self, body: int) -> NDArray[np.float64]:
        """Metres to the right in each frame, by the camera's direction in the middle of the clip's span so far."""
        ahead_T2 = (self.state.camera_target_T3 - self.state.camera_eye_T3)[:, :2]
        right_T2 = np.stack([ahead_T2[:, 1], -ahead_T2[:, 0]], -1) / np.linalg.norm(ahead_T2, axis=-1, keepdims=True)
        moved_T2 = np.diff(self.state.position_TB3[:, body, :2], axis=0, prepend=self.state.position_TB3[:1, body, :2])
        return np.cumsum((moved_T2 * right_T2).sum(axis=-1))

    def goes(self, body: int, side: str, start_s: float, end_s: float) -> bool:
        """Whether a body moves to a side by a hand's breadth at some time in the span."""
        across_F = self.across(body)[list(self.frames(start_s, end_s))] * (1 if side == "right" else -1)
        return bool((across_F - np.minimum.accumulate(across_F)).max() > 0.1)

    def happens(self, kind: str, bodies: set[int], start_s: float, end_s: float) -> bool:
        return any(
            event.kind == kind
            and set(event.bodies[: 2 if kind == "shatters" else 1]) & bodies
            and start_s <= event.time_s <= end_s
            for event in self.state.events
        )

    def touch(self, first: set[int], second: set[int], start_s: float, end_s: float) -> bool:
        """Whether two bodies touch; pieces stand for their whole."""
        parts = lambda bodies: bodies | {i for i, b in enumerate(self.state.bodies) if b.part_of in bodies}  # noqa: E731
        return any(
            event.kind in ("contact", "shatters")
            and len(event.bodies) > 1
            and (
                (event.bodies[0] in parts(first) and event.bodies[1] in parts(second))
                or (event.bodies[1] in parts(first) and event.bodies[0] in parts(second))
            )
            and start_s <= event.time_s <= end_s
            for event in self.state.events
        )

    def speed(self, body: int, start_s: float, end_s: float) -> NDArray[np.float64]:
        return np.linalg.norm(self.state.velocity_TB3[list(self.frames(start_s, end_s)), body], axis=-1)

    def height(self, body: int, start_s: float, end_s: float) -> NDArray[np.float64]:
        return self.state.position_TB3[list(self.frames(start_s, end_s)), body, 2]

    def rolls(self, body: int, start_s: float, end_s: float) -> bool:
        """Whether at some time most of the speed is rolling."""
        frames = list(self.frames(start_s, end_s))
        spin_F = np.linalg.norm(self.state.angular_velocity_TB3[frames, body, :2], axis=-1)
        rim_F, speed_F = spin_F * min(self.state.bodies[body].half_size_m), self.speed(body, start_s, end_s)
        return bool(((rim_F > 0.4 * speed_F) & (speed_F > 0.08)).any())


def _event(kind: str) -> Callable[[Reader, set[int], str, float, float], bool]:
    return lambda r, who, rest, start, end: r.happens(kind, who, start - r.frame_s, end + r.frame_s)


def _some(test: Callable[[Reader, int, float, float], bool]) -> Callable[[Reader, set[int], str, float, float], bool]:
    return lambda r, who, rest, start, end: any(test(r, body, start, end) for body in who)


def _hits(r: Reader, who: set[int], rest: str, start: float, end: float) -> bool:
    first = next(iter(r.who(rest)), set())
    return r.touch(who, first - who if len(who) == 1 else first, start - r.frame_s, end + r.frame_s)


def _rises(r: Reader, body: int, start: float, end: float) -> bool:
    up_F = r.state.velocity_TB3[list(r.frames(start - r.frame_s, end + r.frame_s)), body, 2]
    return bool(((np.minimum.accumulate(up_F) < -0.3) & (up_F > 0.3)).any())


def _sinks(r: Reader, body: int, start: float, end: float) -> bool:
    height_F = r.height(body, start, end + r.frame_s)
    return bool((np.maximum.accumulate(height_F) - height_F).max() > 0.08)


def _waves(r: Reader, who: set[int], rest: str, start: float, end: float) -> bool:
    water = r.state.water
    return water is not None and bool(
        np.abs(water.height_TXY[list(r.frames(start, end))] - water.level_m).max() > 0.002
    )


def _stays_off(r: Reader, body: int, start: float, end: float) -> bool:
    """Hidden to the end."""
    share_T = r.state.visible_TB[:, body]
    return bool(share_T[-1] < 0.15 * share_T.max())


def _meets_floor(r: Reader, who: set[int], rest: str, start: float, end: float) -> bool:
    times = [e.time_s for e in r.state.events if e.kind == "contact" and e.bodies[0] in who and e.bodies[-1] == -1]
    return any(start - r.frame_s <= time_s <= end + r.frame_s for time_s in times)


def _through(r: Reader, who: set[int], rest: str, start: float, end: float) -> bool:
    """At the middle of some frame, a body of ``who`` and the glass are in one direction from the camera."""
    glass = set.union(*r.who(rest))
    for frame in r.frames(start + r.frame_s, end - r.frame_s):
        from_eye = r.state.position_TB3[frame] - r.state.camera_eye_T3[frame]
        heading = np.arctan2(from_eye[:, 0], from_eye[:, 1])
        for body in who:
            for lens in glass - {body}:
                wide = max(r.state.bodies[lens].half_size_m[:2]) * 1.2 / np.linalg.norm(from_eye[lens])
                if abs(heading[body] - heading[lens]) < wide and from_eye[body, 1] > from_eye[lens, 1]:
                    return True
    return False


CLAIMS: tuple[Claim, ...] = (
    (
        rf"(?:hits?|reach|reaches|lands? on) (?:the|a|an) {_BETWEEN}{_FLOOR}|lands?$|touch(?:es)? down|arrives? on",
        _meets_floor,
    ),
    (r"is (?:hit|struck|shattered|broken) by|takes a hit from", _hits),
    (
        rf"(?:hit|bump|knock|run|strike|crash|slam)\w* (?:into )?(?=(?:the|a|an|one) (?!{_BETWEEN}{_FLOOR})(?!water))",
        _hits,
    ),
    (rf"(?:lands? on|falls? onto|drops? onto) (?=(?:the|a|an) {_BETWEEN}(?:{_NOUN})\b)", _hits),
    (r"(?<!not )\b(?:shatters?|breaks?|smash\w*|bursts?)\b", _event("shatters")),
    (
        r"stays? (?:whole|in one piece)|do(?:es)? not break|undamaged|withstand",
        lambda r, who, *a: any(not r.happens("shatters", {b}, 0, r.end_s) for b in who),
    ),
    (r"(?<!water )(?:into|hits?) the water", _event("splash")),
    (r"\bfloat|drifts? at", _event("floats")),
    (r"\bsinks?\b|the bottom|to the bed", _event("sinks")),
    (
        r"(?:go|goes|disappears?|disappear|vanish\w*) behind|is hidden by|are hidden by|out of sight behind",
        _event("hidden"),
    ),
    (r"(?<!not )comes? out\b|reappear|emerge|(?<!never )shows? up again", _event("reappears")),
    (r"(?:is|are) seen through|(?:looks?|shows?) (?:bent|through)", _through),
    (r"stays? hidden|(?:does|do) not come out|stays? out of sight|never", _some(_stays_off)),
    (
        r"topple|falls? over|tips? over|tumbles? down|keels?",
        lambda r, who, *a: r.family == "tower" or _event("topples")(r, who, *a),
    ),
    (r"bounces?\b(?! (?:back (?:to|towards|left|right)|apart))|rebound|springs? up", _some(_rises)),
    (r"pieces (?:fall|fly|lie)", lambda r, who, rest, start, end: r.happens("shatters", r.wholes, 0, end)),
    (
        r"(?<!not )(?<!pieces )(?<!of water )(?<!a )\b(?:falls?|drops?)\b(?! (?:over|into|onto|off|apart))"
        r"|comes? down|is falling|plummet|let go",
        _some(_sinks),
    ),
    (
        r"lies? still|comes? to (?:rest|a stop)|(?<!not )\bstops?\b|halts?|settles?",
        _some(lambda r, b, s, e: r.speed(b, s, e).min() < 0.2),
    ),
    (
        r"\bwaits?\b|stands? still|does not move|do not move|stays? still|remains? in",
        _some(lambda r, b, s, e: r.speed(b, s + r.frame_s, e).min() < 0.15),
    ),
    (r"(?<!the camera )\broll(?:s|ing)?\b(?! over)|trundle", _some(Reader.rolls)),
    (r"\bslid(?:es?|ing)\b|glides?|skids?", _some(lambda r, b, s, e: r.speed(b, s, e).max() > 0.12)),
    (r"spread over the water|spread on the water|run outwards|ripples", _waves),
    (r"\bscores\b|gets? a point|picks? up|collects?|\btakes?\b(?! a hit)|earns?", _event("scores")),
    (
        r"(?:leaves?|draws?|paints?|trails?|leaves? behind) an? (?=(?:\w+ )+(?:stroke|stripe|trail))",
        _event("stroke_begins"),
    ),
)
SIDE = re.compile(r"(?:(?:to|towards) the (left|right)|(left|right)wards)")


_MOMENT = re.compile(
    r"bounce|hit|bump|knock|run|strike|land|touch|reach|topple|break|shatter|behind|out\b|fall\w* over"
)


def _clauses(text: str) -> list[str]:
    """Sentences without a lead; the camera's are left out."""
    sentences = re.split(r"(?<=\w)\.(?: |$)", text.strip().lower())
    return [s for s in sentences if s and not re.match(r"the camera", s)]


def lies(text: str, reader: Reader, start_s: float, end_s: float) -> list[str]:
    """Claims of a clause, a sentence or a prompt that are not true of the clip between two moments."""
    wrong = []
    for clause in _clauses(text):
        clause = re.split(r",? (?:while )?the camera", clause)[0]
        for mention in MENTION.finditer(clause):
            if not reader.bodies(mention):
                wrong.append(f"{mention.group()!r} is not there: {clause}")
        for pattern, true in CLAIMS:
            for found in re.finditer(pattern, clause):
                who = reader.who(clause[: found.start()])
                who = who or ([reader.drops] if re.search(r"\bdrops?\b|drips", clause) else [])
                who = who or ([reader.wholes] if found.start() == 0 or pattern.startswith("spread") else [])
                subjects = set.union(*who) if who else reader.wholes
                sharp = _MOMENT.search(found.group()) and not re.search(r"again|keep|go(es)? on", clause)
                until_s = min(end_s, start_s + reader.frame_s) if sharp and start_s > 0 else end_s
                if not true(reader, subjects, clause[found.end() :], start_s, until_s):
                    wrong.append(f"{found.group()!r} is not true: {clause}")
        for found in SIDE.finditer(clause):
            who = reader.who(clause[: found.start()])
            side = found[1] or found[2]
            if clause[found.end() :].startswith(" of") or " is to the " in clause:
                continue
            if who and not any(reader.goes(body, side, start_s, end_s) for body in set.union(*who)):
                wrong.append(f"nobody moves to the {side}: {clause}")
    return wrong


def caption_lies(caption: Caption, family: str, state: WorldState, fps: float) -> list[str]:
    """Everything in a caption that is not true, with beats against their own times."""
    reader = Reader(family, state, fps)
    wrong = [*lies(caption.summary, reader, 0.0, reader.end_s), *lies(caption.short, reader, 0.0, reader.end_s)]
    for beat in caption.beats:
        wrong += [f"{beat.start_s}–{beat.end_s} {lie}" for lie in lies(beat.text, reader, beat.start_s, beat.end_s)]
    return [*wrong, *setting_lies(caption, reader), *counting_lies(caption, reader)]


def setting_lies(caption: Caption, reader: Reader) -> list[str]:
    """Wrong words on light, floor, camera, sides and relations."""
    wrong, facts = [], reader.state.facts
    for text in (caption.summary.lower(), caption.short):
        wrong += [f"{sky}: {text}" for sky, words in LIGHT.items() if sky != facts["sky"] and re.search(words, text)]
        for found in re.finditer(r"\b(\w+)(?: and \w+)?(?: \w+)? (?:floor|ground|surface)\b(?! in)", text):
            if found[1] in "|".join(FLOORS.values()).split("|") and not re.fullmatch(FLOORS[facts["floor"]], found[1]):
                wrong.append(f"floor is {facts['floor']}: {text}")
        for name, word in PATTERNS.items():
            if re.search(word + r"\w* (?:floor|ground|surface)|(?:floor|ground|surface) (?:of|with) \w+ " + word, text):
                wrong += [] if facts["floor_pattern"] == name else [f"floor is {facts['floor_pattern']}: {text}"]
        for found in re.finditer(
            r"camera (does not move|is fixed|stands still|pans|turns|moves|orbits|circles)(?:[\w ]*?(left|right))?",
            text,
        ):
            fixed = found[1] in ("does not move", "is fixed", "stands still")
            agrees = fixed == (facts["camera_move"] == "fixed") and (found[2] or "") in facts["camera_move"]
            wrong += [] if agrees else [f"camera {facts['camera_move']}: {text}"]
    for found in re.finditer(rf"({MENTION.pattern}) (?:on|at) the (left|right)", caption.summary.lower()):
        mention = MENTION.search(found[1])
        assert mention is not None
        sides = [_side(reader, body) * (1 if found[5] == "right" else -1) for body in reader.bodies(mention)]
        wrong += [] if max(sides, default=0.0) > 0 else [f"{found[0]}: wrong side"]
    for found in re.finditer(
        rf"the ({MENTION.pattern}) is (?:to the )?(left|right) of the (.*?)[.]", caption.summary.lower()
    ):
        first, second = MENTION.search(found[1]), MENTION.search(found[6])
        assert first is not None and second is not None
        gap = _side(reader, min(reader.bodies(first))) - _side(reader, min(reader.bodies(second)))
        wrong += [] if gap * (1 if found[5] == "right" else -1) > 0 else [f"{found[0]}: wrong relation"]
    return wrong


def _side(reader: Reader, body: int) -> float:
    """Positive for bodies right of the first picture's middle line."""
    ahead_2 = (reader.state.camera_target_T3 - reader.state.camera_eye_T3)[0, :2]
    offset_2 = (reader.state.position_TB3[0, body] - reader.state.camera_eye_T3[0])[:2]
    return float(ahead_2[1] * offset_2[0] - ahead_2[0] * offset_2[1])


def counting_lies(caption: Caption, reader: Reader) -> list[str]:
    """Bodies that summary or prompt leave out, and counts that are wrong."""
    wrong = []
    for text in (caption.summary.lower(), caption.short):
        named: set[int] = set()
        for mention in MENTION.finditer(text):
            group = reader.bodies(mention)
            counts = [NUMBERS[word] for word in mention["words"].split() if word in NUMBERS]
            part = re.search(r"(?:first|last|(?<!row)(?<!line) of(?: the)?) $", text[: mention.start()])
            if counts and counts[0] > 1 and not part and counts[0] != len(group):
                wrong.append(f"{mention.group()!r} are {len(group)}: {text}")
            named |= group
        if reader.wholes - named:
            wrong.append(f"bodies {sorted(reader.wholes - named)} are not named: {text}")
    return wrong

"""Where it happens, in words: floor, light, camera, scenery, and where the bodies are at the start."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinema.worlds.narration import words
from kinema.worlds.narration.cast import Cast, Voice
from kinema.worlds.narration.deeds import Observer
from kinema.worlds.narration.words import article

MIDDLE_M = 0.4  # a body within this distance of the picture's middle line is in the middle
APART_M = 0.45  # distance across or in depth from which one body is beside or behind another


class Setting:
    """Phrases on everything that is not a deed."""

    def __init__(self, observer: Observer, voice: Voice, cast: Cast) -> None:
        self.observer, self.voice, self.cast = observer, voice, cast
        self.facts: dict[str, Any] = observer.state.facts
        self.props: list[dict[str, Any]] = list(self.facts.get("props", []))
        self._prop_color = [voice.plain(words.SCENERY_WORDS.get(p["color"], (p["color"],)), 0.8) for p in self.props]

    # --- floor, light, camera ---------------------------------------------------------------------------------

    def floor(self, plain: bool = False) -> str:
        """The floor with its article, and with its pattern unless ``plain``."""
        tint = self.voice.plain(words.FLOOR_WORDS[str(self.facts["floor"])], 0.75)
        noun = self.voice.plain(words.FLOOR_NOUNS, 0.65)
        pattern = str(self.facts.get("floor_pattern", "plain"))
        if pattern == "plain" or plain:
            return article(f"{tint} {noun}")
        accent = words.FLOOR_WORDS.get(str(self.facts.get("floor_accent")), ("white",))[0]
        return self.voice.pick(
            {
                "checkered": (
                    article(f"{tint} and {accent} checkered {noun}"),
                    f"a checkered {noun} in {tint} and {accent}",
                ),
                "striped": (
                    article(f"{tint} {noun} with {accent} stripes"),
                    f"a striped {noun} in {tint} and {accent}",
                ),
                "tiled": (article(f"{tint} tiled {noun}"), f"a {noun} of {tint} tiles"),
                "planked": (article(f"{tint} {noun} of boards"), f"a {noun} of {tint} boards"),
            }[pattern]
        )

    def light(self) -> str:
        return self.voice.pick(words.SKY_WORDS[str(self.facts["sky"])])

    def camera(self) -> str:
        """A clause on the camera, true for the whole clip; empty where it only moves a little."""
        move = str(self.facts.get("camera_move", "fixed"))
        if move == "fixed":
            return self.voice.pick(("the camera does not move", "the camera is fixed", "the camera stands still"))
        if self.observer.frames < 2:
            return ""
        verb, _, side = move.partition(" ")
        if self.turns_back():
            return {"pans": "the camera pans to and fro", "orbits": "the camera moves around the scene to and fro"}[
                verb
            ]
        return self.voice.pick(
            {
                "pans": (f"the camera pans to the {side}", f"the camera turns slowly to the {side}"),
                "orbits": (
                    f"the camera moves around the scene to the {side}",
                    f"the camera orbits to the {side}",
                    f"the camera circles slowly to the {side}",
                ),
            }[verb]
        )

    def turns_back(self) -> bool:
        """Whether the camera changes its sense of turning."""
        heading_T = np.unwrap(np.arctan2(self.observer.ahead_T2[:, 1], self.observer.ahead_T2[:, 0]))
        turn_T = np.diff(heading_T)
        return bool(turn_T.max(initial=0.0) > 1e-4 and turn_T.min(initial=0.0) < -1e-4)

    # --- scenery ----------------------------------------------------------------------------------------------

    def prop(self, index: int, first: bool = False) -> str:
        """A piece of scenery: "a black checkered wall" at first, "the wall" or "the black wall" later."""
        prop, color = self.props[index], self._prop_color[index]
        alike = [i for i, other in enumerate(self.props) if other["name"] == prop["name"]]
        noun = str(prop["name"]).rstrip("0123456789_ ")
        mirrors = [other for other in self.props if other.get("mirror")]
        if prop.get("mirror") or (noun == "frame" and mirrors):
            return "a mirror" if first else "the mirror"
        if not first:
            colors = {self._prop_color[i] for i in alike}
            distinct = len(alike) == 1 or len(colors) == len(alike)
            if not distinct:
                return f"a {noun}"
            return f"the {noun}" if len(alike) == 1 and self.voice.chance(0.7) else f"the {color} {noun}"
        pattern = str(prop.get("pattern", "plain"))
        return article(f"{color} {'' if pattern == 'plain' else pattern + ' '}{noun}")

    def scenery(self, ramps: bool = True) -> list[str]:
        """What stands there beside bodies, each with its article; ramps only where they are not told already."""
        named = [i for i, prop in enumerate(self.props) if _worth_a_word(prop) and (ramps or i not in self.ramps())]
        walls = [i for i in named if str(self.props[i]["name"]).startswith("wall")]
        things = [self.prop(i, first=True) for i in named if i not in walls]
        colors = {self._prop_color[i] for i in walls}
        if len(walls) > 1 and len(colors) == 1:
            things.append(f"{words.count_word(len(walls))} {colors.pop()} walls")
        else:
            things += [self.prop(i, first=True) for i in walls]
        if self.observer.state.water is not None:
            things.append(self.water())
        return things

    def water(self) -> str:
        tint = self.voice.plain(words.WATER_WORDS.get(str(self.facts.get("water", "clear")), ("clear",)), 0.8)
        basin = str(self.facts.get("basin", ""))
        if basin == "glass":
            return self.voice.pick((f"a glass tank of {tint} water", f"a glass basin filled with {tint} water"))
        wall = f"{words.SCENERY_WORDS[basin][0]} " if basin in words.SCENERY_WORDS and self.voice.chance(0.4) else ""
        return (
            f"{article(f'{wall}basin')} of {tint} water"
            if wall
            else self.voice.pick((f"a basin of {tint} water", f"a pool of {tint} water"))
        )

    def blocks(self) -> str:
        """The landscape of a world of blocks."""
        ground = str(self.facts.get("ground", "stone"))
        return self.voice.pick((f"a landscape of {ground} blocks", f"a world of blocks with {ground}"))

    # --- where bodies are -------------------------------------------------------------------------------------

    def side(self, body: int) -> str:
        """Where in the first picture a body is."""
        across_m = self.observer.side_m(body)
        if abs(across_m) < MIDDLE_M:
            return self.voice.pick(("in the middle", "in the centre"))
        side = "right" if across_m > 0 else "left"
        return self.voice.pick((f"on the {side}", f"at the {side}", f"on the {side} side"))

    def place(self, body: int) -> str:
        """Where a body is at the start: on a ramp, over the water, on a rod, or on which side."""
        x, y, z = self.observer.state.position_TB3[0, body]
        for index in self.ramps():
            middle, half = self.props[index]["position_m"], self.props[index]["half_size_m"]
            if abs(x - middle[0]) < half[0] and abs(y - middle[1]) < half[1] and z > middle[2]:
                return f"{self.voice.pick(('on', 'high on', 'at the top of'))} {self.prop(index, first=True)}"
        if self.hangs(body):
            beams = [i for i, prop in enumerate(self.props) if prop["name"] == "beam"]
            on = f"from {self.prop(beams[0], first=True)}" if beams else "on a rod"
            return self.voice.pick(("on a rod", "on the end of a rod", f"hanging {on}"))
        return self.side(body)

    def ramps(self) -> list[int]:
        """Pieces of scenery that are ramps."""
        return [index for index, prop in enumerate(self.props) if prop["name"] == "ramp"]

    def hangs(self, body: int) -> bool:
        """Whether a body hangs on a rod: it stays above the floor and never falls freely."""
        if "anchor_m" not in self.facts:
            return False
        state = self.observer.state
        return bool((state.position_TB3[:, body, 2] > 1.3 * max(state.bodies[body].half_size_m)).all())

    def relation(self, first: int, second: int) -> str:
        """How the first body stands to the second at the start; empty if no plain word fits."""
        state, observer = self.observer.state, self.observer
        across_m = observer.side_m(first) - observer.side_m(second)
        deeper_m = observer.depth_m(first) - observer.depth_m(second)
        place_B3 = state.position_TB3[0]
        if abs(across_m) < 0.2 and abs(deeper_m) < 0.2:
            return "above" if place_B3[first, 2] > place_B3[second, 2] + 0.3 else ""
        if abs(across_m) >= APART_M and abs(across_m) > abs(deeper_m):
            side = "right" if across_m > 0 else "left"
            return self.voice.pick((f"to the {side} of", f"{side} of"))
        if abs(deeper_m) >= APART_M and abs(deeper_m) > 1.5 * abs(across_m):
            return "behind" if deeper_m > 0 else "in front of"
        return ""


def _worth_a_word(prop: dict[str, Any]) -> bool:
    return str(prop["name"]).rstrip("0123456789_ ") in (
        "wall",
        "ramp",
        "mirror",
        "platform",
        "table",
        "pedestal",
        "shelf",
    )

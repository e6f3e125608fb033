"""Words for what stays the same in a clip (colours, shapes, sizes, materials, floors, light) and the grammar's tools.

Every list begins with the plainest word, which is used most. No word stands for two of our colours or shapes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"),
    "lime": ("lime", "chartreuse"),
    "green": ("green", "emerald"),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue", "sapphire"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "magenta", "rose"),
    "brown": ("brown", "chestnut"),
    "white": ("white", "ivory"),
    "black": ("black", "jet-black"),
}
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "sphere": ("ball", "sphere"),
    "cube": ("cube", "box"),
    "cylinder": ("cylinder", "can"),
    "cone": ("cone",),
    "capsule": ("capsule", "pill"),
    "slab": ("slab", "brick", "plank"),
}
SIZE_WORDS = {"small": ("small", "little"), "medium": ("medium-sized",), "large": ("large", "big")}
MATERIAL_WORDS = {
    "matte": ("matte", "clay"),
    "rubber": ("rubber",),
    "metal": ("metal", "steel", "shiny metal"),
    "glass": ("glass", "transparent glass"),
    "wood": ("wooden",),
}
MATERIAL_NOUNS = {"matte": "clay", "rubber": "rubber", "metal": "metal", "glass": "glass", "wood": "wood"}
FLOOR_WORDS = {"grey": ("grey", "gray"), "white": ("white",), "dark": ("dark", "black"), "beige": ("beige", "sandy")}
FLOOR_NOUNS = ("floor", "ground", "surface")
SCENERY_WORDS = {"white": ("white",), "black": ("black",), "brown": ("brown",), "grey": ("grey", "gray")}
WATER_WORDS = {"clear": ("clear",), "blue": ("blue", "bluish"), "green": ("green", "greenish")}
SKY_WORDS = {
    "pale blue": ("under a pale blue sky", "in daylight", "on a clear day"),
    "light grey": ("in soft light", "in a bright studio", "against a light grey backdrop"),
    "dusk": ("at dusk", "at sunset", "in warm evening light"),
    "dim": ("in dim light", "in a dark room", "against a dark backdrop"),
}
COUNT_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
SPECIAL_NOUNS = ("domino", "pane", "vase", "bob", "body", "object", "thing", "player")
"""Nouns that families use instead of shapes, or for bodies in general."""

_IRREGULAR = {"be": ("is", "are"), "have": ("has", "have"), "do": ("does", "do")}


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(noun: str) -> str:
    """The plural of a regular noun."""
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("x", "s", "ch", "o")) else "s")


def count_word(count: int) -> str:
    """The number in words, in digits beyond twelve."""
    return COUNT_WORDS[count] if count < len(COUNT_WORDS) else str(count)


def join(names: Sequence[str]) -> str:
    """An enumeration: "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def agree(phrase: str, many: bool) -> str:
    """Inflects the verbs marked with a star: "roll* and stop*" is "rolls and stops" or "roll and stop"."""

    def inflect(match: re.Match[str]) -> str:
        verb = match[1]
        if verb in _IRREGULAR:
            return _IRREGULAR[verb][many]
        if many:
            return verb
        if re.search(r"[^aeiou]y$", verb):
            return verb[:-1] + "ies"
        return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")

    return re.sub(r"([a-z]+)\*", inflect, phrase)


def sentence(words: str) -> str:
    """Words as a sentence of the summary: a capital letter, a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def _any(words: Sequence[str]) -> str:
    return "|".join(sorted((re.escape(word) for word in words), key=len, reverse=True))


def _flat(lists: dict[str, tuple[str, ...]]) -> list[str]:
    return [word for words in lists.values() for word in words]


_NOUNS = [*_flat(SHAPE_WORDS), *SPECIAL_NOUNS]
_TINTS = [*_flat(COLOR_WORDS), *_flat(FLOOR_WORDS), *_flat(SCENERY_WORDS), *_flat(WATER_WORDS)]
_COUNTS = [*COUNT_WORDS[1:], "both", r"\d+"]
_SHAPE_RULES: tuple[tuple[str, str], ...] = (
    (rf"\b({_any(_TINTS)})\b", "COLOR"),
    (rf"\b({_any(_flat(SIZE_WORDS))})\b", "SIZE"),
    (rf"\b({_any(_flat(MATERIAL_WORDS))})\b", "MATERIAL"),
    (rf"\b({_any(_NOUNS)})\b", "NOUN"),
    (rf"\b({_any([plural(noun) for noun in _NOUNS])})\b", "NOUNS"),
    (rf"\b({'|'.join(_COUNTS)})\b", "COUNT"),
    (rf"\b({_any(ORDINALS[:10])})\b(?= NOUN| COLOR)", "ORDINAL"),
    (r"\b(left|right)", "SIDE"),
    (r"\ban\b", "a"),
    (r"(SIZE |COLOR |MATERIAL )*NOUN\b", "BODY"),
    (r"(SIZE |COLOR |MATERIAL )*NOUNS\b", "BODIES"),
    (r"\b(a|the) BODY((, (a|the) BODY)* and (a|the) BODY)\b", r"\1 BODY and \1 BODY"),
)


def sentence_shape(text: str) -> str:
    """What is left of a sentence without its content: bodies, colours, counts and sides become placeholders.

    A whole noun phrase is one placeholder, and an enumeration is as long as one of two, so that two sentences have the
    same shape if they differ only in attributes or in how many bodies they list.
    """
    text = text.lower().strip(" .")
    for pattern, placeholder in _SHAPE_RULES:
        text = re.sub(pattern, placeholder, text)
    return text

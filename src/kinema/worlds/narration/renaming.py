"""The same sentences of bodies in other colours and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kinema.worlds import palette
from kinema.worlds.narration.words import COLOR_WORDS, SHAPE_WORDS, article, plural

RECOLORED = tuple(color for color in palette.COLORS if color not in palette.NEUTRAL_COLORS)
"""The colours whose words speak of bodies alone."""

_SETS: tuple[dict[str, tuple[str, ...]], ...] = (
    {color: COLOR_WORDS[color] for color in RECOLORED},
    SHAPE_WORDS,
    {shape: tuple(plural(word) for word in words) for shape, words in SHAPE_WORDS.items()},
)
_KIND_OF = {word: (kind, index) for index, kinds in enumerate(_SETS) for kind, words in kinds.items() for word in words}
_WORD = re.compile(rf"\b({'|'.join(_KIND_OF)})\b")
_ARTICLE = re.compile(r"\ban? (\w)", re.IGNORECASE)


def kinds_named(text: str) -> set[str]:
    """The colours and shapes of bodies that a text names."""
    return {_KIND_OF[word][0] for word in _WORD.findall(text)}


def renamed(text: str, turn: Mapping[str, str]) -> str:
    """The same text with the words of other kinds, plain ones for plain ones.

    Args:
        text: of bodies.
        turn: the other kind for each colour and shape that does not stay.
    """

    def other(match: re.Match[str]) -> str:
        kind, index = _KIND_OF[match[0]]
        place, words = _SETS[index][kind].index(match[0]), _SETS[index][turn.get(kind, kind)]
        return words[place % len(words)]

    def fitting(match: re.Match[str]) -> str:
        return match[0][0] + article(match[1].lower())[1:-1] + match[1]

    return _ARTICLE.sub(fitting, _WORD.sub(other, text))  # an orange

"""Which words the model has seen in training, so that the others can be reported instead of silently ignored."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

NUMBER_WORDS = dict(enumerate("zero one two three four five six seven eight nine ten eleven twelve".split()))


def words(text: str) -> list[str]:
    """The words and numbers of a text in any script, lower-cased, without punctuation, in order."""
    kept = (c if unicodedata.category(c)[0] in "LMN" or c in "'-" else " " for c in _normal(text))
    return [word for word in (piece.strip("'-").removesuffix("'s") for piece in "".join(kept).split()) if word]


class Vocabulary:
    """The words of the training captions.

    A word counts as understood if it or its plain plural or singular occurs in the captions.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = frozenset(known)

    @classmethod
    def from_captions(cls, captions: Iterable[str], min_count: int = 1) -> Vocabulary:
        """The words that occur at least ``min_count`` times in caption texts."""
        counts = Counter(word for text in captions for word in words(text))
        return cls(word for word, count in counts.items() if count >= min_count)

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads what :meth:`save` wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Writes the words as a sorted JSON list."""
        path.write_text(json.dumps(sorted(self.known), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    def __contains__(self, word: str) -> bool:
        return any(form in self.known for form in _forms(word))

    def understood(self, text: str) -> list[str]:
        """The different words of a text that training captions contain, in order."""
        return [word for word in dict.fromkeys(words(text)) if word in self]

    def unknown(self, text: str) -> list[tuple[str, list[str]]]:
        """The different words of a text that training captions lack, each with up to three known words near it."""
        return [(word, self._nearest(word)) for word in dict.fromkeys(words(text)) if word not in self]

    def _nearest(self, word: str) -> list[str]:
        if word.isdecimal() and NUMBER_WORDS.get(int(word)) in self.known:
            return [NUMBER_WORDS[int(word)]]
        return difflib.get_close_matches(word, sorted(self.known), n=3, cutoff=0.6)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


def _forms(word: str) -> list[str]:
    """A word with its possible plurals and singulars, and the parts of a hyphenated word's last piece."""
    forms = [word, word + "s", word + "es"]
    if word.endswith("y"):
        forms.append(word[:-1] + "ies")
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("s") and len(word) > 2:
        forms.append(word[:-1])
    return forms

"""Prompt help: a short prompt becomes the long form that the model was trained on.

For worlds the grammar's own knowledge does it: which words name bodies, floors and light, in which order they are told.
For anything else a chat model behind any OpenAI-compatible endpoint can be asked; without its address nothing is sent.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

from kinema.captions.vocabulary import Vocabulary, words
from kinema.errors import InputError
from kinema.worlds.narration.words import (
    COLOR_WORDS,
    FLOOR_NOUNS,
    FLOOR_WORDS,
    MATERIAL_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    SKY_WORDS,
    article,
    join,
    sentence,
)

PLAIN = {"size": ("medium-sized",), "material": ("rubber",), "floor": ("grey",), "sky": SKY_WORDS["light grey"]}
SIDES = (("in the middle",), ("on the left", "on the right"), ("on the left", "in the middle", "on the right"))

KEY_VARIABLE = "KINEMA_EXPAND_KEY"
TIMEOUT_S = 60
MAX_REPLY = 4000  # characters
TASK = (
    "Rewrite the prompt of a text-to-video model as one long, concrete description of what is seen: first the scene "
    "and its light, then every thing with size, colour and material, then what happens from first to last. "
    "Keep what the prompt says. Answer with the description alone."
)


def expand(prompt: str, vocabulary: Vocabulary) -> str:
    """The long form of a short prompt about bodies: scene, light, bodies with all attributes, then what they do.

    What the prompt leaves open gets the plainest word that the model knows. A prompt that names no body stays as it is.

    Args:
        prompt: as typed.
        vocabulary: the words of the training captions.
    """
    text = " ".join(prompt.lower().strip().rstrip(".").split())
    light, text = _cut(text, rf"\s*,?\s*\b({_any(_flat(SKY_WORDS))})\b")
    floor, text = _cut(
        text, rf"\s*,?\s*\b(?:on|onto|with|above)\s+an?\s+({_any(_flat(FLOOR_WORDS))})\s+{_NOUN_OF_FLOOR}\b"
    )
    bodies = list(re.finditer(_BODY, text))
    if not bodies:
        return prompt
    sides = SIDES[len(bodies) - 1] if len(bodies) <= len(SIDES) else ("",) * len(bodies)
    names = [_described(match[1], match[2], side, vocabulary) for match, side in zip(bodies, sides, strict=True)]
    ground = article(f"{floor or _known(PLAIN['floor'], vocabulary)} floor".strip())
    scene = f"a scene with {ground} {light or _known(PLAIN['sky'], vocabulary)}".strip()
    deeds = re.sub(rf"\ban? (?={_BODY})", "the ", text)
    return " ".join((sentence(f"{scene}: {join(names)}"), sentence(deeds)))


def expand_online(prompt: str, url: str, model: str) -> str:
    """Asks a chat model for the long form.

    Args:
        prompt: as typed.
        url: of an OpenAI-compatible service, up to and with its version, for example ``http://localhost:8000/v1``.
        model: its name there.

    Raises:
        InputError: no such service, or an answer that cannot be used. A key is taken from ``KINEMA_EXPAND_KEY``.
    """
    if not re.match(r"https?://", url):
        raise InputError(f"--expand-url {url!r} is no address: it begins with http:// or https://")
    messages = [{"role": "system", "content": TASK}, {"role": "user", "content": prompt}]
    body = json.dumps({"model": model, "messages": messages, "temperature": 0}).encode()
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            text = json.load(reply)["choices"][0]["message"]["content"]
    except (OSError, ValueError) as error:
        raise InputError(f"{url} did not answer ({str(error)[:100]}): check --expand-url and {KEY_VARIABLE}") from error
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{url} did not answer as a chat service does: check --expand-url") from error
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{url} answered with no text: check --expand-model {model}")
    return " ".join(text.split())[:MAX_REPLY]


def _described(attributes: str, noun: str, side: str, vocabulary: Vocabulary) -> str:
    """A body with size, colour, material and place, in the order of the grammar."""
    size, rest = _cut(attributes, rf"\b({_any(_flat(SIZE_WORDS))})\b")
    color, rest = _cut(rest, rf"\b({_any(_flat(COLOR_WORDS))})\b")
    material, rest = _cut(rest, rf"\b({_any(_flat(MATERIAL_WORDS))})\b")
    size, material = size or _known(PLAIN["size"], vocabulary), material or _known(PLAIN["material"], vocabulary)
    return article(" ".join(part for part in (size, color, material, noun, side) if part))


def _known(candidates: Sequence[str], vocabulary: Vocabulary) -> str:
    """The first phrase whose words the model knows, or nothing."""
    return next((phrase for phrase in candidates if all(word in vocabulary for word in words(phrase))), "")


def _cut(text: str, pattern: str) -> tuple[str, str]:
    """The first group of the first match, and the text without the match."""
    match = re.search(pattern, text)
    return (match[1], " ".join((text[: match.start()] + text[match.end() :]).split())) if match else ("", text)


def _flat(lists: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words_ in lists.values() for word in words_]


def _any(options: Iterable[str]) -> str:
    return "|".join(sorted((re.escape(option) for option in options), key=len, reverse=True))


_NOUN_OF_FLOOR = f"(?:{_any(FLOOR_NOUNS)})"
_ATTRIBUTE = _any([*_flat(SIZE_WORDS), *_flat(COLOR_WORDS), *_flat(MATERIAL_WORDS)])
_BODY = rf"((?:\b(?:{_ATTRIBUTE})\s+)*)\b({_any(_flat(SHAPE_WORDS))})\b"

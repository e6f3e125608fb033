"""A storyboard: what happens when, as a TOML file. Its lines are the timed text that the model was trained on.

    summary = "a red ball and a blue cube on a grey floor"   # optional: holds all the time
    seconds = 5                                               # optional: the length

    [[beat]]
    at = 0.0
    until = 1.5            # optional: else until the next beat, or the end
    text = "the red ball falls"
    image = "first.png"    # optional: what the frame at that moment looks like

Beats may overlap and may leave gaps. With a clip that is extended, connected or filled, seconds count from the first
new frame.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.config import nearest
from kinema.data import Beat
from kinema.errors import InputError
from kinema.shapes import MAX_SECONDS

MAX_BEATS = 240  # four a second for a minute
MAX_BYTES = 1_000_000
TOP_KEYS = ("summary", "seconds", "beat")
BEAT_KEYS = ("at", "until", "text", "image")


@dataclass(frozen=True)
class Storyboard:
    """Beats in order, the summary, and the length in seconds.

    Attributes:
        summary: holds all the time.
        seconds: length of the video.
        beats: what happens when.
        images: (seconds, file) of the frames that are given.
    """

    summary: str
    seconds: float
    beats: tuple[Beat, ...]
    images: tuple[tuple[float, str], ...] = ()

    def beats_from(self, begin_s: float) -> tuple[Beat, ...]:
        """The beats on a timeline on which the storyboard begins at ``begin_s``."""
        return tuple(Beat(beat.start_s + begin_s, beat.end_s + begin_s, beat.text) for beat in self.beats)

    def facts(self) -> dict[str, Any]:
        """As plain JSON types, with the keys of the file."""
        images = dict(self.images)
        beats = [
            {"at": beat.start_s, "until": beat.end_s, "text": beat.text}
            | ({"image": images[beat.start_s]} if beat.start_s in images else {})
            for beat in self.beats
        ]
        return {"summary": self.summary, "seconds": self.seconds, "beat": beats}


def read_storyboard(path: Path, seconds: float | None = None) -> Storyboard:
    """Reads a storyboard. Files of images are relative to its folder.

    Args:
        path: the TOML file.
        seconds: length of the video, instead of the file's.

    Raises:
        InputError: no such file, not TOML, unknown keys, or times that are not possible; names the line.
    """
    if not path.is_file():
        raise InputError(f"there is no storyboard {path}: check the name")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB: that is no storyboard")
    try:
        source = path.read_text(encoding="utf-8")
        tree = tomllib.loads(source)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: give a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {str(error)[:200]}") from error
    return parse_storyboard(tree, seconds, Lines(source, str(path)), path.parent)


class Lines:
    """Where the keys of a file stand, for messages. TOML's reader does not tell, so headers and keys are looked up."""

    def __init__(self, source: str, name: str) -> None:
        self.lines, self.name = source.splitlines(), name
        self.headers = [i for i, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*[\"']?beat[\"']?\s*\]\]", line)]

    def at(self, beat: int | None, key: str | None = None) -> str:
        """``file, line 7``: of a key of a beat, of the beat, or of a key at the top."""
        start, stop = 0, len(self.lines)
        if beat is not None and beat < len(self.headers):
            start = self.headers[beat]
            stop = next((i for i, line in enumerate(self.lines) if i > start and re.match(r"\s*\[", line)), stop)
        elif self.headers:
            stop = self.headers[0]
        key_line = rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]" if key else r"(?!)"
        found = next((i for i in range(start, stop) if re.match(key_line, self.lines[i])), start)
        return f"{self.name}, line {found + 1}"


def parse_storyboard(tree: dict[str, Any], seconds: float | None, lines: Lines, folder: Path) -> Storyboard:
    """Checks a storyboard that was read as TOML or JSON.

    Args:
        tree: the keys.
        seconds: length of the video, instead of the file's.
        lines: for messages.
        folder: where images are looked for.

    Raises:
        InputError: see :func:`read_storyboard`.
    """
    for key in tree:
        if key not in TOP_KEYS:
            raise InputError(f"{lines.at(None, key)}: unknown key {key!r}, did you mean {nearest(key, [*TOP_KEYS])}?")
    rows = tree.get("beat", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{lines.at(None, 'beat')}: write each beat as [[beat]] with at, until and text")
    if not 1 <= len(rows) <= MAX_BEATS:
        raise InputError(f"{lines.name} has {len(rows)} beats: give 1 to {MAX_BEATS}, each as [[beat]]")
    summary = _text(tree, "summary", None, lines) if "summary" in tree else ""
    length_s = _seconds(tree, "seconds", None, lines) if seconds is None and "seconds" in tree else seconds
    for place, row in enumerate(rows):
        for key in row:
            if key not in BEAT_KEYS:
                near = nearest(key, [*BEAT_KEYS])
                raise InputError(f"{lines.at(place, key)}: unknown key {key!r}, did you mean {near}?")
        for key in ("at", "text"):
            if key not in row:
                raise InputError(f"{lines.at(place)}: the beat has no {key!r}: add it")
    starts_s = [_seconds(row, "at", place, lines) for place, row in enumerate(rows)]
    for place, row in enumerate(rows):
        if "until" in row and (end_s := _seconds(row, "until", place, lines)) <= starts_s[place]:
            raise InputError(
                f"{lines.at(place, 'until')}: the beat ends at {end_s:g} s, before it begins at {starts_s[place]:g} s"
            )
    if length_s is None:
        ends_s = [_seconds(row, "until", place, lines) for place, row in enumerate(rows) if "until" in row]
        length_s = max(ends_s, default=0.0)
        if length_s <= max(starts_s):
            raise InputError(f"{lines.name} does not say how long the video is: give --seconds, or until in each beat")
    beats = [_beat(row, place, starts_s, length_s, lines) for place, row in enumerate(rows)]
    images = tuple(
        (starts_s[place], str(folder / _text(row, "image", place, lines)))
        for place, row in enumerate(rows)
        if "image" in row
    )
    order = sorted(beats, key=lambda beat: (beat.start_s, beat.end_s))
    return Storyboard(summary or derived_summary(order), length_s, tuple(order), images)


def derived_summary(beats: list[Beat]) -> str:
    """A summary from the beats: their lines in order, each once."""
    return ". ".join(dict.fromkeys(beat.text.strip().rstrip(".") for beat in beats)) + "."


def _beat(row: dict[str, Any], place: int, starts_s: list[float], length_s: float, lines: Lines) -> Beat:
    start_s = starts_s[place]
    later = [other for other in starts_s if other > start_s]
    end_s = _seconds(row, "until", place, lines) if "until" in row else min([*later, length_s])
    if start_s >= length_s:
        raise InputError(f"{lines.at(place, 'at')}: the beat begins at {start_s:g} s, the video ends at {length_s:g} s")
    if end_s > length_s:
        raise InputError(f"{lines.at(place, 'until')}: the beat ends at {end_s:g} s, the video at {length_s:g} s")
    return Beat(start_s, end_s, _text(row, "text", place, lines))


def _seconds(row: dict[str, Any], key: str, place: int | None, lines: Lines) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{lines.at(place, key)}: {key} = {value!r} is no number of seconds")
    if not 0 <= value <= MAX_SECONDS:
        raise InputError(
            f"{lines.at(place, key)}: {key} = {value:g} is not possible: give 0 to {MAX_SECONDS:g} seconds"
        )
    return float(value)


def _text(row: dict[str, Any], key: str, place: int | None, lines: Lines) -> str:
    value = row[key]
    if not isinstance(value, str) or not any(character.isalnum() for character in value):
        raise InputError(f"{lines.at(place, key)}: {key} = {value!r} is no text: describe what is seen")
    return value

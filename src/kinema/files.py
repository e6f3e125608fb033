"""Result files appear whole or not at all, in a folder that was checked before the long work began."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinema.errors import InputError, KinemaError


def check_target(path: Path) -> None:
    """Fails now, not after the long work, if a result file cannot be put at ``path``.

    Raises:
        InputError: the folder is missing or not writable, or ``path`` is a folder.
    """
    folder = path.parent
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file name in it")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: make it first (mkdir -p {folder}) or choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write in {folder} (permission denied or read-only): choose another --out")


def make_folder_of(path: Path) -> None:
    """Makes the folder of a result file, unless it is there, and checks that the file can be put into it.

    Raises:
        InputError: the folder cannot be made or not written to, or ``path`` is a folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent} ({reason(error)}): choose another --out") from error
    check_target(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path beside ``path`` to write to; renamed to ``path`` once it is on the disk, removed on any error.

    Raises:
        KinemaError: the disk is full or not writable.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        flush(part)
        part.replace(path)
    except OSError as error:
        raise KinemaError(f"cannot write {path} ({reason(error)}): make room or choose another place") from error
    finally:
        part.unlink(missing_ok=True)


def whole_text(path: Path, text: str) -> None:
    """Writes a text file that appears whole or not at all.

    Raises:
        KinemaError: the disk is full or not writable.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Waits until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """What the system said, in one short phrase."""
    return error.strerror.lower() if error.strerror else str(error).splitlines()[0]

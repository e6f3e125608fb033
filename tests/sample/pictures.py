"""Pictures that several tests give."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path


def huge_png(path: Path, side: int) -> None:
    """A picture whose header says that it is huge; nobody should look farther."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))

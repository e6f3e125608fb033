"""Measurements that a benchmark keeps as it goes, so that the same command goes on where it was stopped."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


class Kept:
    """A file of JSON lines beside the report: what was measured on what, then one line a measurement.

    Args:
        report: the report's file; the lines are kept in ``REPORT.parts``.
        made_of: what all measurements depend on. Lines of something else are thrown away.
        minutes: after which :attr:`is_late` is true.
    """

    def __init__(self, report: Path, made_of: Mapping[str, Any], minutes: float) -> None:
        self.path = report.with_suffix(report.suffix + ".parts")
        self.end_s = time.monotonic() + 60 * minutes
        head = json.dumps(made_of, sort_keys=True)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.values: dict[str, Any] = {}
        if lines and lines[0] == head:
            for line in lines[1:]:
                try:
                    self.values |= json.loads(line)
                except json.JSONDecodeError:  # the last line of a killed run
                    continue
        self.path.write_text("\n".join([head, *(json.dumps({k: v}) for k, v in self.values.items())]) + "\n")

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """The value that was measured for this key before, or now."""
        if key not in self.values:
            self.values[key] = measure()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({key: self.values[key]}) + "\n")
        return self.values[key]

    @property
    def is_late(self) -> bool:
        """Whether the time is over: what is measured is reported, and the next call goes on."""
        return time.monotonic() > self.end_s


def circumstances() -> dict[str, Any]:
    """Command, commit and machine of a report."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
        "load_average": os.getloadavg(),
    }

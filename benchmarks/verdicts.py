"""What the judge saw, as plain values that a benchmark can keep, and the scores of what was kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from kinema.evaluate.adherence import Expectation, Verdict, scores


def plain(verdict: Verdict) -> dict[str, Any]:
    """A verdict for JSON."""
    return dataclasses.asdict(verdict)


def scores_of(verdicts: Sequence[dict[str, Any]], expectations: Sequence[Expectation]) -> dict[str, float]:
    """The scores, by name, of verdicts that JSON may have turned from tuples into lists."""
    seen = [Verdict(**{key: _tuple(value) for key, value in verdict.items()}) for verdict in verdicts]
    return {score.name: round(score.value, 3) for score in scores({"generated": seen}, expectations)}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""``report.json`` for programs and ``report.html``, one self-contained page, for people: failures first.

Neither holds a date or a duration: the same weights give the same bytes. ``nan`` is written as null.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import kinema
from kinema.clips.contact_sheet import png_bytes, sheet_of
from kinema.errors import InputError
from kinema.evaluate.statistics import difference, shortfall
from kinema.evaluate.suite import Curve, Score, Strip, SuiteResult, Table

FLOORS = ("truth", "codec")  # columns of the summary; other floors stand in one more
LONG_TABLE = 12  # rows from which a table is folded away
STRIP_FRAMES = 9

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #555; --line: #ddd; --rule: #888; --bad: #a00; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --soft: #a8a8a8; --line: #3a3a3a; --rule: #777; --bad: #ff7b72; --page: #16181b }
  a { color: #8ab4f8 }
}
* { box-sizing: border-box }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 68em; padding: 0 1em;
  color: var(--ink); background: var(--page); overflow-wrap: break-word }
nav { display: flex; flex-wrap: wrap; gap: .2em .9em }
.wide { overflow-x: auto; margin: .6em 0 1.2em } table { border-collapse: collapse }
th, td { padding: .25em .7em; text-align: right; vertical-align: top; white-space: nowrap }
th { border-bottom: 2px solid var(--rule); font-weight: 600 } td { border-bottom: 1px solid var(--line) }
th:first-child, td:first-child, td.text, th.text { text-align: left } td.text, td.more { white-space: normal }
td.more { min-width: 9em; color: var(--soft) } .scores td:first-child { white-space: normal; min-width: 19em }
small { display: block; color: var(--soft); line-height: 1.3 } .bad { color: var(--bad); font-weight: 600 }
figure { margin: .4em 0 1em } figcaption { font-size: 87%; color: var(--soft) } img { max-width: 100% }
img.strip { width: 100%; min-width: 36em; max-width: 60em; image-rendering: pixelated } summary { cursor: pointer }
img.plot { width: 36em }
@media (max-width: 40em) {
  th, td { padding: .25em .45em }
  .scores th:first-child, .scores td:first-child { position: sticky; left: 0; background: var(--page) }
  .scores td:first-child { min-width: 10.5em }
}
"""


@dataclass(frozen=True)
class Subject:
    """A model as the report names it."""

    name: str
    sha256: str
    sampling: Mapping[str, Any]


def check_drawing() -> None:
    """Fails before the long work if plots cannot be drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("the report's plots need matplotlib: pip install 'kinema[eval]'") from error


def to_json(subjects: Sequence[Subject], results: Sequence[Sequence[SuiteResult]], quick: bool) -> str:
    """The whole report for programs.

    Args:
        subjects: the model and, if there is one, the other that it is compared with.
        results: of every subject, the same suites in the same order.
        quick: which size was run.
    """
    report: dict[str, Any] = {
        "kinema": kinema.__version__,
        "size": "quick" if quick else "full",
        "model": _subject(subjects[0]),
        "suites": [_suite(result) for result in results[0]],
    }
    if len(subjects) > 1:
        report["against"] = _subject(subjects[1]) | {"suites": [_suite(result) for result in results[1]]}
        report["differences"] = {
            first.name: {gap.name: _score(gap) for gap in differences(first, second)}
            for first, second in zip(*results, strict=True)
        }
    return json.dumps(_plain(report), indent=1, allow_nan=False) + "\n"


def differences(first: SuiteResult, second: SuiteResult) -> list[Score]:
    """Model minus the other, for every score."""
    others = {score.name: score for score in second.scores}
    return [difference(score, others[score.name]) for score in first.scores]


def to_html(subjects: Sequence[Subject], results: Sequence[Sequence[SuiteResult]], quick: bool) -> str:
    """The whole report for people; arguments as for :func:`to_json`."""
    title = f"Reality bench: {subjects[0].name}" + (f" against {subjects[1].name}" if len(subjects) > 1 else "")
    seconds: Sequence[SuiteResult | None] = results[1] if len(results) > 1 else [None] * len(results[0])
    pairs = list(zip(results[0], seconds, strict=True))
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for subject in subjects:
        parts.append(
            f"<p>{html.escape(subject.name)}: weights {subject.sha256[:12] or 'unknown'}, "
            f"{html.escape(', '.join(f'{key} {value}' for key, value in subject.sampling.items()))}. "
            f"Size: {'quick' if quick else 'full'}. Intervals are 95% bootstraps.</p>"
        )
    links = (f'<a href="#{result.name}">{html.escape(result.name)}</a>' for result in results[0])
    parts += [f"<nav>{''.join(links)}</nav>", "<h2>Failures first</h2>", _summary(pairs)]
    for first, second in pairs:
        parts.append(_section(first, second))
    wide = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{wide}<title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def number(value: float | None, digits: int = 3) -> str:
    """A value in a table."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def interval(low: float, high: float) -> str:
    """Both ends in a table; a dash if nothing was measured."""
    return f"{number(low)} to {number(high)}" if math.isfinite(low) and math.isfinite(high) else "–"


def _summary(pairs: Sequence[tuple[SuiteResult, SuiteResult | None]]) -> str:
    """All scores of all suites, those furthest from the truth on top."""
    rows = [
        (shortfall(score), f"{first.name}: {score.name}", score, _find(second, score.name))
        for first, second in pairs
        for score in first.scores
    ]
    rows.sort(key=lambda row: -row[0])
    return _score_table([row[1:] for row in rows])


def _section(first: SuiteResult, second: SuiteResult | None) -> str:
    parts = [f'<h2 id="{first.name}">{html.escape(first.name)}</h2><p>{html.escape(first.about)}</p>']
    ordered = sorted(first.scores, key=lambda score: -shortfall(score))
    parts.append(_score_table([(score.name, score, _find(second, score.name)) for score in ordered]))
    parts += [f"<p>{html.escape(note)}</p>" for note in first.notes]
    parts += [_curve(curve) for curve in first.curves]
    parts += [_table(table) for table in first.tables]
    parts += [_strip(strip) for strip in first.strips]
    return "\n".join(parts)


def _find(result: SuiteResult | None, name: str) -> Score | None:
    return None if result is None else next(score for score in result.scores if score.name == name)


def _score_table(rows: Sequence[tuple[str, Score, Score | None]]) -> str:
    compared = any(other is not None for _, _, other in rows)
    head = ["score", "model", *FLOORS, "95% interval", "n", "better"]
    head += ["against", "difference", "its interval"] * compared + ["other floors"]
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>"]
    for name, score, other in rows:
        more = ", ".join(f"{key} {number(value)}" for key, value in score.floors.items() if key not in FLOORS)
        bad = ' class="bad"' if shortfall(score) > 0.5 else ""
        cells = [
            f"<td>{html.escape(name)}<small>{html.escape(score.about)}</small></td>",
            f"<td{bad}>{number(score.value)}</td>",
            *(f"<td>{number(score.floors.get(floor))}</td>" for floor in FLOORS),
            f"<td>{interval(score.low, score.high)}</td><td>{score.n}</td><td>{score.better}</td>",
        ]
        if other is not None:
            gap = difference(score, other)
            cells.append(f"<td>{number(other.value)}</td><td>{number(gap.value)}</td>")
            cells.append(f"<td>{interval(gap.low, gap.high)}</td>")
        cells.append(f'<td class="more">{html.escape(more)}</td>')
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return '<div class="wide"><table class="scores">' + "\n".join(lines) + "</table></div>"


def _table(table: Table) -> str:
    def cell(value: str | int | float | None) -> str:
        if isinstance(value, str):
            return f'<td class="text">{html.escape(value)}</td>'
        return f"<td>{value if isinstance(value, int) else number(value)}</td>"

    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = "\n".join("<tr>" + "".join(cell(value) for value in row) + "</tr>" for row in table.rows)
    body = f'<div class="wide"><table><tr>{head}</tr>\n{rows}</table></div>'
    title = html.escape(table.title)
    if len(table.rows) > LONG_TABLE:
        return f"<details><summary>{title}</summary>{body}</details>"
    return f"<h3>{title}</h3>{body}"


def _curve(curve: Curve) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, (name, points) in enumerate(curve.series.items()):  # those that lie on each other all show
        width = max(1.2, 4.4 - 1.1 * place)
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", ms=width + 1.5, lw=width, label=name)
    axes.set(xlabel=curve.x_label, ylabel=curve.y_label, title=curve.title)
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f'<figure><img class="plot" alt="{html.escape(curve.title)}" src="{_data_url(buffer.getvalue())}"></figure>'


def _strip(strip: Strip) -> str:
    png = png_bytes(sheet_of([strip.pixels_THW3], columns=STRIP_FRAMES, scale=1))
    title = html.escape(strip.title)
    image = f'<img class="strip" alt="{title}" src="{_data_url(png)}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{title}</figcaption></figure>'


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _subject(subject: Subject) -> dict[str, Any]:
    return {"name": subject.name, "sha256": subject.sha256, "sampling": dict(subject.sampling)}


def _suite(result: SuiteResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "about": result.about,
        "scores": {score.name: _score(score) for score in result.scores},
        "tables": [{"title": t.title, "columns": t.columns, "rows": t.rows} for t in result.tables],
        "curves": [{"title": c.title, "x": c.x_label, "y": c.y_label, "series": dict(c.series)} for c in result.curves],
        "notes": result.notes,
    }


def _score(score: Score) -> dict[str, Any]:
    plain: dict[str, Any] = vars(score) | {"floors": dict(score.floors)}
    return {key: value for key, value in plain.items() if key != "name" and not (key == "weight" and not value)}


def _plain(value: Any) -> Any:
    """JSON types only; numbers to six significant digits, which outlast no rounding of another machine."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value

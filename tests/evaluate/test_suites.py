"""The frame: kept clips, running suites on one or two models, both forms of the report, and the command."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from evaluate.models import Painter, exam_of
from kinema.cli import main
from kinema.evaluate import report, suites, workers
from kinema.evaluate.statistics import rate, score_of
from kinema.evaluate.suite import Curve, Exam, Pixels, Strip, SuiteResult, Table
from kinema.sample.pipeline import Pipeline


def brightness(exam: Exam) -> SuiteResult:
    """A suite of two prompts: how bright are the videos?"""
    exam.on_progress(0, 2)
    clips = [exam.cache.make(prompt, seed=1) for prompt in ("a", "b")]
    exam.on_progress(2, 2)
    light = [float(clip.mean()) for clip in clips]
    return SuiteResult(
        "brightness",
        "How bright?",
        (
            score_of("light", "mean grey level", "higher", light, {"truth": 200.0}),
            rate("good", "share <of> good ones", [1, 1], floors={"truth": 1.0, "chance": 0.5}),
            score_of("nothing_m", "what is never seen", "lower", [float("nan")] * 2),
        ),
        tables=(Table("by prompt", ("prompt", "light"), (("a", light[0]), ("b", None))),),
        curves=(Curve("growth", "time (s)", "light", {"model": ((0.0, 1.0), (1.0, 2.0))}),),
        strips=(Strip("a & b", clips[0]),),
        notes=("A note.",),
    )


SUITE = cast(Any, SimpleNamespace(NAME="brightness", ABOUT="How bright?", run=brightness))


def shade(level: int) -> Painter:
    return Painter(lambda prompt, seed, **options: np.full((9, 64, 64, 3), level + len(prompt), np.uint8), str(level))


def results(tmp_path: Path, *painters: Painter) -> list[list[SuiteResult]]:
    return suites.run([cast(Pipeline, painter) for painter in painters], [SUITE], True, tmp_path)


def subjects(*painters: Painter) -> list[report.Subject]:
    return [report.Subject(f"painter {p.sha256}", p.sha256, {"steps": 30}) for p in painters]


def test_kept_clips_depend_on_everything_that_was_asked(tmp_path: Path) -> None:
    painter = Painter()
    cache = exam_of(painter, tmp_path).cache
    first_THW3 = np.zeros((5, 64, 64, 3), np.uint8)
    asked: list[tuple[str, int, dict[str, Any]]] = [
        ("a", 0, {}),
        ("b", 0, {}),
        ("a", 1, {}),
        ("a", 0, {"guidance": 1.0}),
        ("a", 0, {"extend": first_THW3}),
        ("a", 0, {"extend": first_THW3 + 1}),
        ("a", 0, {"connect": (first_THW3, first_THW3)}),
    ]
    for _ in range(2):
        for prompt, seed, options in asked:
            cache.make(prompt, seed, **options)
    assert painter.calls == len(asked)


def test_codec_copies_are_made_once_for_all_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = exam_of(Painter(), tmp_path).cache
    made: list[Any] = []
    clip_THW3 = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)

    def halved(codec: Any, pixels_THW3: Pixels) -> tuple[Pixels, float]:
        made.append(codec)
        return pixels_THW3 // 2, 0.0

    monkeypatch.setattr("kinema.evaluate.suite.reconstruct", halved)
    for asked_THW3 in (clip_THW3, clip_THW3.copy(), clip_THW3 ^ 1):
        np.testing.assert_array_equal(cache.coded(asked_THW3), asked_THW3 // 2)
    assert len(made) == 2


def test_a_quick_exam_takes_a_third_of_the_steps(tmp_path: Path) -> None:
    taken: list[int | None] = []

    def answer(prompt: str, seed: int, steps: int | None = None) -> Pixels:
        taken.append(steps)
        return np.zeros((9, 64, 64, 3), np.uint8)

    painter = Painter(answer)
    for quick, steps in ((True, painter.card.sampling.steps // 3), (False, None)):
        suites.run([cast(Pipeline, painter)], [SUITE], quick, tmp_path)
        assert taken == [steps] * 2  # kept clips of the other size are not taken for these
        taken.clear()
    assert suites.sampling_of(painter.card, quick=True).steps * 3 == painter.card.sampling.steps


def test_reports_hold_both_models_and_their_difference(tmp_path: Path) -> None:
    dark, light = shade(50), shade(80)
    seen: list[tuple[str, float]] = []
    pipelines = [cast(Pipeline, painter) for painter in (dark, light)]
    both = suites.run(pipelines, [SUITE], True, tmp_path, lambda name, share: seen.append((name, share)))
    shares = [share for _, share in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    plain = json.loads(report.to_json(subjects(dark, light), both, True), parse_constant=pytest.fail)
    assert plain["size"] == "quick" and plain["model"]["sha256"] == "50" and plain["against"]["sha256"] == "80"
    (suite,) = plain["suites"]
    assert suite["scores"]["light"]["value"] == 51 and suite["scores"]["light"]["per_unit"] == [51, 51]
    assert suite["scores"]["nothing_m"]["value"] is None and suite["scores"]["good"]["floors"]["chance"] == 0.5
    assert plain["differences"]["brightness"]["light"]["value"] == -30
    page = report.to_html(subjects(dark, light), both, True)
    assert "painter 50" in page and "painter 80" in page and "-30" in page


def test_page_is_self_contained_escaped_and_has_failures_first(tmp_path: Path) -> None:
    painter = shade(50)
    page = report.to_html(subjects(painter), results(tmp_path, painter), True)
    summary = page[page.index("Failures first") : page.index('<h2 id="brightness">')]
    places = [summary.index(f"brightness: {name}") for name in ("nothing_m", "light", "good")]
    assert places == sorted(places)
    assert "– to" not in page and "<td>–</td><td>0</td>" in page  # nothing was measured
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    tables, scrolled = page.count("<table"), len(re.findall(r'<div class="wide"><table', page))
    assert tables == scrolled == 3  # wide ones scroll by themselves, so that a phone shows the page
    assert "share &lt;of&gt; good ones" in page and "a &amp; b" in page
    assert len(re.findall(r'src="data:image/png;base64,', page)) == 2
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, again = shade(50), shade(50)
    for write in (report.to_json, report.to_html):
        once = write(subjects(first), results(tmp_path / "a", first), True)
        assert once == write(subjects(again), results(tmp_path / "b", again), True)
        assert once != write(subjects(first), results(tmp_path / "c", shade(51)), True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "adherance"], "no suite 'adherance': did you mean adherence"),
        (["--against", "no/such"], "no weights 'no/such'"),
        (["--quick", "--update-card"], "leave out --quick"),
        (["--workers", "0"], "--workers 0 is not possible"),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["evaluate", "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_command_writes_both_reports_and_the_card(
    tmp_path: Path, weights_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "find", lambda names: (SUITE,))
    mine = shutil.copytree(weights_folder, tmp_path / "mine")
    out = tmp_path / "out"
    command = ["evaluate", "--weights", str(mine), "--against", str(weights_folder), "--out", str(out)]
    command += ["--workers", "1"]  # workers would not know of the suite
    assert main([*command, "--update-card"]) == 0
    printed = capsys.readouterr().out
    assert "brightness" in printed and "light" in printed and "report.html" in printed
    first = (out / "report.json").read_bytes(), (out / "report.html").read_bytes()
    card = json.loads((mine / "card.json").read_text())
    assert card["scores"]["brightness_good"] == 1.0 and "brightness_nothing_m" not in card["scores"]
    assert "brightness_good" in (mine / "card.md").read_text()
    gap = json.loads(first[0])["differences"]["brightness"]["light"]
    assert gap["value"] == 0 and gap["n"] == 2  # the same weights
    assert main(command) == 0
    assert first == ((out / "report.json").read_bytes(), (out / "report.html").read_bytes())


def test_workers_write_the_same_bytes_and_stop_when_told(tmp_path: Path, weights_folder: Path) -> None:
    asked = ["--weights", str(weights_folder), "--quick", "--suite", "state", "--suite", "timing"]
    for count in ("1", "2"):
        assert main(["evaluate", *asked, "--out", str(tmp_path / count), "--workers", count]) == 0
    for name in ("report.json", "report.html"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()

    def interrupted(name: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.run([weights_folder], ["state", "timing"], True, tmp_path / "stopped", 2, interrupted)
    assert not multiprocessing.active_children()
    clips = [len(list(folder.glob("*"))) for folder in (tmp_path / "stopped", tmp_path / "2" / "generated")]
    assert clips[0] < clips[1]

"""A folder imports only from folders with a smaller number, and what stands beside them; flow imports no model."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kinema

PACKAGE = Path(kinema.__file__).parent
FOLDERS = ("worlds", "clips", "captions", "codec", "model", "flow", "train", "sample", "serve", "evaluate")
SHARED = ("shapes", "config", "data", "errors", "files", "card")  # anyone may import these
TOP = ("cli", "commands", "__main__", "__init__")  # these may import anything
FORBIDDEN = {("flow", "model")}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """The folder or top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(source: str, package: tuple[str, ...]) -> set[str]:
    """The folders and modules directly under kinema that a source imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "kinema" else {module}
    return {name.split(".")[1] for name in names if name.startswith("kinema.")}


def may_import(importer: str, imported: str) -> bool:
    """The rule."""
    if importer in TOP or imported == importer or imported in SHARED:
        return True
    if imported not in FOLDERS or importer not in FOLDERS or (importer, imported) in FORBIDDEN:
        return False
    return FOLDERS.index(imported) < FOLDERS.index(importer)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    package = ("kinema", *path.relative_to(PACKAGE).parts[:-1])
    wrong = {name for name in imports_of(path.read_text(), package) if not may_import(layer_of(path), name)}
    assert not wrong, f"{path.relative_to(PACKAGE)} must not import {sorted(wrong)}"


def test_every_file_has_a_layer() -> None:
    assert {layer_of(path) for path in SOURCES} <= {*FOLDERS, *SHARED, *TOP}


def test_the_rule_sees_every_form_of_import() -> None:
    source = """
import kinema.serve.api
from kinema import config, worlds
def late():
    from kinema.train.loop import fit
    from ..sample import video
    from . import path
"""
    assert imports_of(source, ("kinema", "flow")) == {"serve", "config", "worlds", "train", "sample", "flow"}


def test_the_rule_forbids_the_upward_way() -> None:
    assert may_import("model", "codec") and not may_import("codec", "model")
    assert may_import("sample", "flow") and not may_import("flow", "model")
    assert not may_import("shapes", "worlds") and not may_import("train", "commands")

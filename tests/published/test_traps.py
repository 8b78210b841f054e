"""docs/traps.md names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.published.conftest import ROOT

PAGE = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")
ROWS = [
    row for row in PAGE.splitlines() if row.startswith("|") and not re.match(r"\|(-|\s*trap)", row)
]


def test_every_trap_has_evidence_a_choice_and_a_test() -> None:
    assert len(ROWS) >= 7
    for row in ROWS:
        trap, evidence, choice, test = (cell.strip() for cell in row.strip("|").split("|"))
        assert trap.startswith("**")
        assert evidence
        assert choice
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", test), row


@pytest.mark.parametrize("named", re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", PAGE))
def test_its_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in functions

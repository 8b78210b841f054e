"""Imports are searched for; the syntax tree, which takes twenty times as long, is the oracle."""

from __future__ import annotations

import ast

import pytest

from isoflop.sources import _imports
from tests.conftest import ROOT

PACKAGE = ROOT / "src/isoflop"


def parsed(text: str) -> set[str]:
    """List what a module imports of the package, by its syntax tree."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return {
        name.removeprefix("isoflop.").replace(".", "/")
        for name in names
        if name.startswith("isoflop.")
    }


def test_every_module_imports_what_its_syntax_tree_says() -> None:
    different = {}
    imports = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found, wanted = _imports(text, "isoflop"), parsed(text)
        imports += len(wanted)
        if found != wanted:
            different[path.name] = found ^ wanted
    assert different == {}
    assert imports > 1000


@pytest.mark.parametrize(
    "text",
    [
        "import isoflop.tables",
        "import os, isoflop.tables as t, isoflop.laws",
        "from isoflop.config import losses, figures as f",
        "from isoflop.config import (\n    losses,  # (as written)\n    figures as f,\n)\n",
        "from isoflop.config import losses, \\\n    figures",
        "from \\\n    isoflop.config \\\n    import losses",
        "import os; from isoflop.tables import Losses; import isoflop.laws",
        "if True: import isoflop.tables",
        "def load():\n\tfrom isoflop.tables import Losses  # only here\n\treturn Losses",
        "if TYPE_CHECKING:\n    from isoflop.tables import Losses\n",
        "from isoflop.tables import *",
        "from isoflops.tables import Losses\nimport isoflop",
        "# import isoflop.tables",
    ],
)
def test_every_way_to_write_an_import(text: str) -> None:
    assert _imports(text, "isoflop") == parsed(text) - {"tables/*"}

"""Which source files a room is made of, found by reading their imports.

Snakemake does not see edits under src/, so rules list their sources as inputs; listing them by
hand would be forgotten, and listing all of them would rerun everything at every edit.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA_SUFFIXES = frozenset({".css", ".html", ".j2", ".js", ".lua", ".md", ".ttf", ".typ", ".woff2"})


def sources(package: Path, room: str) -> list[str]:
    """List a room's own files and every shared module they import, with its data.

    Parameters
    ----------
    package : folder of the package, such as src/isoflop.
    room : name of the room's folder in it.

    Returns
    -------
    Paths, sorted. cli.py is not among them: it only finds the command in its room.
    """
    of_room = [
        path
        for path in (package / room).rglob("*")
        if path.suffix == ".py" or path.suffix in DATA_SUFFIXES
    ]
    listed = set(of_room)
    pending = [path for path in of_room if path.suffix == ".py"]
    while pending:
        text = pending.pop().read_text(encoding="utf-8")
        for module in _imports(text, package.name):
            path = package / f"{module}.py"
            if path.exists() and path not in listed:
                listed.add(path)
                pending.append(path)
                listed.update(_assets(package, module))
    return sorted(str(path) for path in listed)


def _assets(package: Path, module: str) -> Iterator[Path]:
    """Yield the data files of a shared module: those of assets/<module>/."""
    for path in (package / "assets" / module).rglob("*"):
        if path.suffix in DATA_SUFFIXES:
            yield path


@cache
def _imports(text: str, package: str) -> frozenset[str]:
    """List what a module imports of the package, as paths below it: `config/losses`, `tables`.

    `from package.a import b` may name a module b of folder a or something in module a: both are
    listed, and the caller takes what exists. Kept by content, since rooms share modules and every
    job of Snakemake reads the rules anew.
    """
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            top, _, inside = name.partition(".")
            if top == package and inside:
                modules.add(inside.replace(".", "/"))
    return frozenset(modules)

"""Which source files a room is made of, found by reading their imports.

Snakemake does not see edits under src/, so rules list their sources as inputs; listing them by
hand would be forgotten, and listing all of them would rerun everything at every edit.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA_SUFFIXES = frozenset({".css", ".html", ".j2", ".lua", ".md", ".ttf", ".typ", ".woff2"})


def sources(package: Path, room: str) -> list[str]:
    """List a room's own files and every shared module they import, with its data.

    Parameters
    ----------
    package : folder of the package, such as src/isoflop.
    room : name of the room's folder in it.

    Returns
    -------
    Paths, sorted. The command line is among them: it stands between the rule and the room.
    """
    own = [
        path
        for path in (package / room).rglob("*")
        if path.suffix == ".py" or path.suffix in DATA_SUFFIXES
    ]
    found = set(own)
    pending = [path for path in own if path.suffix == ".py"]
    while pending:
        for module in _imports(pending.pop(), package.name):
            path = package / f"{module}.py"
            if path.exists() and path not in found:
                found.add(path)
                pending.append(path)
                found.update(_assets(package, module))
    found.add(package / "cli.py")
    return sorted(str(path) for path in found)


def _assets(package: Path, module: str) -> Iterator[Path]:
    """Yield the data files of a shared module: those of assets/<module>/."""
    for path in (package / "assets" / module).rglob("*"):
        if path.suffix in DATA_SUFFIXES:
            yield path


def _imports(path: Path, package: str) -> Iterator[str]:
    """Yield the shared modules that one file imports: the x of `package.x`."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            names = [f"{package}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1:
                yield parts[1]

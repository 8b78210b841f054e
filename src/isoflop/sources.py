"""Which source files a room is made of, found by reading their imports.

Snakemake does not see edits under src/, so rules list their sources as inputs; listing them by
hand would be forgotten, and listing all of them would rerun everything at every edit.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA_SUFFIXES = frozenset({".css", ".html", ".j2", ".js", ".lua", ".md", ".ttf", ".typ", ".woff2"})
GAP: Final = r"[\s\\]+"
"""What may stand between words of a statement: it may go on behind a backslash."""
IMPORT: Final = re.compile(
    rf"\bfrom{GAP}([\w.]+){GAP}import\b[\s\\]*(\([^)]*|(?:\\\n|[^\n;])*)"
    rf"|\bimport{GAP}((?:\\\n|[^\n;])*)"
)
COMMENT: Final = re.compile(r"#[^\n]*")
ALIAS: Final = re.compile(rf"\bas{GAP}\w+")
NAME: Final = re.compile(r"[\w.]+")


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
    seen: set[str] = set()
    while pending:
        modules = _imports(pending.pop().read_text(encoding="utf-8"), package.name)
        # most are imported by many: each is looked for once, since every start of Snakemake waits
        for module in modules - seen:
            seen.add(module)
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
    listed, and the caller takes what exists. Searched for and not parsed: each start of Snakemake
    reads every module, for which a syntax tree takes a second. What only looks like an import, in a
    docstring, may be listed too. Kept by content, since rooms share modules.
    """
    modules = set()
    for module, names, plain in IMPORT.findall(COMMENT.sub("", text)):
        members = NAME.findall(ALIAS.sub("", names or plain))
        for name in [module, *(f"{module}.{member}" for member in members)] if module else members:
            top, _, inside = name.partition(".")
            if top == package and inside:
                modules.add(inside.replace(".", "/"))
    return frozenset(modules)

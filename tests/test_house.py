"""The house keeps its own rules: rooms never import rooms, one word is carried through."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from isoflop.cli import main
from isoflop.sources import sources

PACKAGE = Path("src/isoflop")
ROOMS = ("sweep", "ingest", "losses", "approaches", "figures", "report", "archive", "published")
TREE = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_rooms_are_the_folders() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("path", TREE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_do_not_import_rooms(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    if own == "cli.py":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "isoflop" and len(parts) > 1 and parts[1] in ROOMS:
            assert parts[1] == own, f"{path} imports {name}"


@pytest.mark.parametrize("path", TREE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_inside_the_sweep_room_only(path: Path) -> None:
    for name in imported(path):
        if name.split(".")[0] in {"torch", "tokenizers"}:
            assert path.relative_to(PACKAGE).parts[0] in {"sweep", "cli.py"}, f"{path}: {name}"


def test_command_line_imports_nothing_heavy_at_the_top() -> None:
    tree = ast.parse((PACKAGE / "cli.py").read_text())
    top = {
        alias.name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        node.module.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert top <= {"__future__", "pathlib", "sys", "typing", "click", "isoflop"}


def rule_names() -> set[str]:
    text = "".join(path.read_text() for path in Path("rules").glob("*.smk"))
    return set(re.findall(r"^rule (\w+):", text, re.MULTILINE))


def test_one_word_per_rule_and_subcommand() -> None:
    commands = {name.replace("-", "_") for name in main.commands}
    # targets that only collect, and subcommands that no rule calls
    collecting = {"train", "published"}
    by_hand = {"plan_sweep", "fetch_corpus", "write_schema", "check_coverage"}
    assert rule_names() - collecting <= commands
    assert commands - by_hand <= rule_names()


def test_every_rule_logs_under_its_own_name() -> None:
    for path in sorted(Path("rules").glob("*.smk")):
        for name, body in re.findall(
            r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(), re.MULTILINE
        ):
            if "shell:" in body:
                assert re.search(rf'"logs/{name}[./]', body), f"{path}: rule {name}"
                assert re.search(rf'"benchmarks/{name}[./]', body), f"{path}: rule {name}"
                assert "\n    run:" not in body


def test_every_room_has_rules_tests_and_a_section() -> None:
    for room in ROOMS:
        assert Path(f"rules/{room}.smk").exists()
        assert list(Path(f"tests/{room}").glob("test_*.py"))
        assert re.search(rf"^{room}:", Path("config.yaml").read_text(), re.MULTILINE)


def test_snakefile_stays_a_front_door() -> None:
    assert len(Path("Snakefile").read_text().splitlines()) < 60


def test_sources_follow_imports(tmp_path: Path) -> None:
    package = tmp_path / "isoflop"
    (package / "ingest").mkdir(parents=True)
    (package / "losses").mkdir()
    (package / "cli.py").write_text("")
    (package / "tables.py").write_text("from isoflop.files import digest\n")
    (package / "files.py").write_text("import os\n")
    (package / "laws.py").write_text("")
    (package / "ingest" / "a.py").write_text("def f():\n    from isoflop import tables\n")
    (package / "losses" / "b.py").write_text("import isoflop.laws\n")
    (package / "assets" / "tables").mkdir(parents=True)
    (package / "assets" / "tables" / "page.css").write_text("")
    (package / "assets" / "laws").mkdir()
    (package / "assets" / "laws" / "other.css").write_text("")
    names = {Path(path).relative_to(package).as_posix() for path in sources(package, "ingest")}
    assert names == {"assets/tables/page.css", "cli.py", "files.py", "ingest/a.py", "tables.py"}

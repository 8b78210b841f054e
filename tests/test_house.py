"""The house keeps its own rules: rooms never import rooms, one word is carried through."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop.cli import COMMANDS
from isoflop.sources import sources
from tests.tiers import MANY, SLOW, TORCH, WHOLE

PACKAGE = Path("src/isoflop")
ROOMS = ("train", "ingest", "losses", "approaches", "figures", "report", "archive", "published")
DISTRIBUTIONS = {
    "fontTools": "fonttools",
    "pydantic_core": "pydantic",
    "pypandoc": "pypandoc-binary",
    "yaml": "pyyaml",
}
"""What to install where the name differs; pydantic pins its own core."""
CORRIDOR = ("config", "drawing", "estimates")
"""Shared modules that are folders."""
TREE = sorted(PACKAGE.rglob("*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imported(path: Path) -> set[str]:
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_rooms_are_the_folders() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == {*ROOMS, *CORRIDOR}


def named_in_design() -> set[str]:
    """Read the tree of docs/design.md: names stand before column 25, indented by folder."""
    page = Path("docs/design.md").read_text()
    (tree,) = re.findall(r"^## The tree\n\n```\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    above, found = [""], set()
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        paths = [above[depth] + name for name in line[:25].split()]
        found.update(paths)
        above[depth + 1 :] = [paths[-1]]
    return found


def test_tree_of_the_design_page_is_the_tree_on_disk() -> None:
    """An absent path is a rename that the page missed; a missing one is new and has no line yet."""
    named = named_in_design()
    assert sorted(path for path in named if not Path(path).exists()) == []
    rooms = {f"{path.parent}/" for path in PACKAGE.rglob("__init__.py")}
    corridor = {str(path) for path in PACKAGE.glob("[!_]*.py")}
    assert sorted((rooms | corridor) - named) == []


def test_rooms_do_not_import_rooms() -> None:
    """The Python interface calls them in the order of the flow, as the rules do."""
    offenders = []
    for path in TREE:
        if path == PACKAGE / "interface.py":
            continue
        room = path.relative_to(PACKAGE).parts[0]
        for name in imported(path):
            top, *inside = name.split(".")
            if top == "isoflop" and inside and inside[0] in ROOMS and inside[0] != room:
                offenders.append(f"{path} imports {name}")
    assert offenders == []


INGEST = ("words", "facts", "reading", "tables", "formats", "runs", "checks", "store")
"""The rooms of ingest, each of which may import those before it."""


def test_rooms_of_ingest_import_only_lower_ones() -> None:
    """What a file says comes before what a run is; the modules of no room put all together."""
    order = {room: level for level, room in enumerate(INGEST)}
    assert {path.parent.name for path in (PACKAGE / "ingest").glob("*/__init__.py")} == {*order}
    offenders = []
    for path in (PACKAGE / "ingest").glob("*/*.py"):
        for name in imported(path):
            parts = name.split(".")
            level = order.get(parts[2], len(order)) if parts[:2] == ["isoflop", "ingest"] else 0
            if level > order[path.parent.name]:
                offenders.append(f"{path} imports {name}")
    assert offenders == []


def test_what_is_imported_is_declared_and_explained() -> None:
    """Each library stands in pyproject.toml and once in docs/dependencies.md, with what for."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    declared = {re.split(r"[<>=]", entry)[0] for entry in wanted}
    top = {name.split(".")[0] for path in TREE for name in imported(path)}
    libraries = top - {"isoflop", *sys.stdlib_module_names}
    assert {DISTRIBUTIONS.get(name, name) for name in libraries} - declared == set()
    table = re.findall(r"^\| ([a-z].*?) \|", Path("docs/dependencies.md").read_text(), re.MULTILINE)
    explained = [name for cell in table for name in cell.split(", ") if name != "dependency"]
    assert sorted(explained) == sorted(declared)


def test_torch_is_imported_inside_the_train_room_only() -> None:
    assert [
        f"{path} imports {name}"
        for path in TREE
        for name in imported(path)
        if name.split(".")[0] in {"torch", "tokenizers"}
        and path.relative_to(PACKAGE).parts[0] != "train"
    ] == []


def test_nothing_takes_longer_to_import_than_to_run() -> None:
    """scipy.stats takes 1.3 s of CPU, statsmodels 2.5, a law's fit one; use scipy.special.

    The law of rates is fitted once a study, by a command of its own.
    """
    assert [
        f"{path} imports {name}"
        for path in TREE
        for name in imported(path)
        if f"{name}.".startswith(("scipy.stats.", "statsmodels.")) and path.name != "fit_rates.py"
    ] == []


def test_commands_import_nothing_heavy() -> None:
    """`isoflop --help` must not pay for statsmodels, matplotlib or torch."""
    load = "import sys; from isoflop.cli import COMMANDS, main; "
    load += "[main.get_command(None, name) for name in COMMANDS]; "
    heavy = "{'matplotlib', 'polars', 'pydantic', 'scipy', 'statsmodels', 'torch'}"
    done = subprocess.run(
        [sys.executable, "-c", f"{load}print(sorted({heavy} & set(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_job_loads_no_library_that_it_does_not_use() -> None:
    """Snakemake brings SQLAlchemy along, and dataframely loads it wherever it is: 0.25 s a job."""
    load = "import sys; from isoflop.cli import main; "
    load += "main(['fit-approach', '--help'], standalone_mode=False); import isoflop.tables; "
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{load}print(sorted({{'sqlalchemy.sql', 'dataframely'}} & set(sys.modules)))",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "['dataframely']"


def test_published_laws_are_asked_without_a_table_library() -> None:
    """`isoflop allocate 1e21` reads no draws: Polars would be a third of its time."""
    ask = "import sys; from isoflop.cli import main; "
    ask += "main(['allocate', '1e21'], standalone_mode=False); "
    done = subprocess.run(
        [sys.executable, "-c", f"{ask}print(sorted({{'polars', 'scipy'}} & set(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Hoffmann" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_path_is_no_pattern() -> None:
    """Polars takes brackets and stars in a path for a pattern: `x[12]` was read as `x1`."""
    globbing = {"read_parquet", "scan_parquet", "read_csv", "scan_csv", "scan_ipc", "scan_ndjson"}
    offenders = [
        f"{path}:{node.lineno}"
        for path in TREE
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr in globbing
        and isinstance(node.value, ast.Name)
        and node.value.id == "pl"
        and not reads_bytes_or_one_file(path, node)
    ]
    assert offenders == []


def reads_bytes_or_one_file(path: Path, name: ast.Attribute) -> bool:
    """Whether what Polars is asked to read is said to be one file, or is no path at all."""
    for node in nodes(path):
        if isinstance(node, ast.Call) and node.func is name:
            given = ast.unparse(node.args[0])
            one = any(word.arg == "glob" for word in node.keywords)
            return one or given.startswith("io.BytesIO(") or given == "text"
    # handed on: `Part` calls it with glob=False (tests/ingest)
    return path.name == "rows.py"


MESSAGE = "refuse_sweeps"
"""The rule that does no work: it fails with a message."""


def rule_names() -> set[str]:
    text = "".join(path.read_text() for path in Path("rules").glob("*.smk"))
    return set(re.findall(r"^rule (\w+):", text, re.MULTILINE))


def test_one_word_per_rule_and_subcommand() -> None:
    commands = {name.replace("-", "_") for name in COMMANDS}
    # targets that only collect, and subcommands that no rule calls
    collecting = {"train", "published", "archive", MESSAGE}
    by_hand = {
        "run",
        "allocate",
        "plan_sweep",
        "fetch_corpus",
        "inspect",
        "show_settings",
        "verify",
        "write_config",
        "write_schema",
        "check_coverage",
        "announce_losses",
        "announce_pair",
    }
    by_hand |= {"fit_rates", "train_plan", "train_study"}  # they train sweeps by design or plan
    assert rule_names() - collecting <= commands
    assert commands - by_hand <= rule_names()


def test_every_rule_logs_under_its_own_name() -> None:
    for path in sorted(Path("rules").glob("*.smk")):
        for name, body in re.findall(
            r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(), re.MULTILINE
        ):
            if "shell:" in body:
                assert re.search(rf'"logs/{name}[./]', body), f"{path}: rule {name}"
                measured = re.search(rf'"benchmarks/{name}[./]', body)
                assert measured or name == MESSAGE, f"{path}: rule {name}"
                assert "\n    run:" not in body


def rule_bodies() -> dict[str, str]:
    """Give each rule that runs a command its text; one made of another has the other's."""
    text = "".join(path.read_text() for path in sorted(Path("rules").glob("*.smk")))
    rules = re.findall(r"^rule (\w+):\n((?:    .*\n|\n)*)", text, re.MULTILINE)
    bodies = {name: body for name, body in rules if "    shell:" in body}
    derived = re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE)
    return bodies | {name: bodies[base] for base, name in derived}


def test_every_rule_asks_for_memory_and_time() -> None:
    bodies = rule_bodies()
    assert len(bodies) > 15
    for name, body in bodies.items():
        (asked,) = re.findall(r"    resources:\n((?:        .*\n)+)", body) or [""]
        assert re.search(r"\bmem_mb=(memory\([1-9]\d*\)|memory_of_logs),\n", asked), name
        assert re.search(r"\bruntime=minutes\([1-9]\d*\),\n", asked), name
    assert "gpu=" in bodies["train_run"]


class Inputs(list[str]):
    """Paths with sizes, as Snakemake gives them to functions of resources."""

    def __init__(self, sizes: dict[str, float]) -> None:
        super().__init__(sizes)
        self.size_files_mb = [*sizes.values()]


@pytest.mark.parametrize(
    ("sizes", "peak", "most"),
    [
        # peaks of docs/ingest.md [MB]; text is streamed, so its size asks for nothing
        ({"a.log": 5_000.0}, 430, 1_100),
        ({f"{n}.log": 1.0 for n in range(150)}, 553, 1_100),
        ({f"{n}.log": 1.0 for n in range(1000)}, 510, 1_200),
        ({f"{n}.log": 0.02 for n in range(10_000)}, 570, 2_000),
        ({"a.csv": 250.0}, 818, 2_000),
        ({"a.jsonl": 250.0}, 604, 2_000),
    ],
)
def test_memory_is_asked_for_by_what_was_measured(
    sizes: dict[str, float], peak: int, most: int
) -> None:
    text = Path("rules/common.smk").read_text()
    begin = text.index("STREAMED = ")
    names: dict[str, Any] = {}
    exec(text[begin : text.index("\n\n\n", text.index("def memory_of_logs"))], names)  # noqa: S102
    asked = [names["memory_of_logs"](None, Inputs(sizes), attempt) for attempt in (1, 2)]
    assert 1.1 * peak < asked[0] < most
    assert asked[1] == 2 * asked[0]


def test_no_command_names_a_path_of_its_own() -> None:
    """What a job reads and writes may lie elsewhere: in an object store, or on another node.

    Paths come from inputs, outputs and logs alone; the caches change speed and nothing else.
    """
    caches = {"data/cache/ingest", "data/cache/losses", "data/cache/published"}
    for name, body in rule_bodies().items():
        command = body[body.index("    shell:") :]
        typed = set(re.findall(r"(?:data|reports|logs|benchmarks|src|rules)/[\w./{}-]*", command))
        assert typed <= caches, name
        params = (
            body[body.index("    params:") : body.index("    shell:")] if "params:" in body else ""
        )
        assert not re.search(r"\b(?:data|reports|src)/", params), name
        assert "raw_folder" not in params, name


def test_the_image_is_made_of_the_pins() -> None:
    """No image is built here; its recipe copies what a wheel has, and installs with hashes."""
    from isoflop.project import NEEDED, WELCOME

    text = Path("Dockerfile").read_text().replace("\\\n", " ")
    copied = [
        word for line in re.findall(r"^COPY (.*)", text, re.MULTILINE) for word in line.split()
    ]
    assert {*NEEDED, *WELCOME} <= set(copied)
    ignored = set(Path(".dockerignore").read_text().split())
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all(Path(word).exists() and word not in ignored for word in line.split()), line
    assert "--require-hashes -r requirements-uv.lock" in text
    assert "--require-hashes -r requirements.lock" in text
    # a user without a home there gets a cache all the same
    (cache,) = re.findall(r"^ENV XDG_CACHE_HOME=(\S+)$", text, re.MULTILINE)
    assert f"RUN mkdir --mode=1777 {cache}\n" in text
    (minor,) = re.findall(r"^FROM python:3\.(\d+)-", text, re.MULTILINE)
    assert 11 <= int(minor) <= 15


def test_all_jobs_of_a_sweep_are_one_submission() -> None:
    """Every rule that works on one sweep of `all` or `archive` is in the profile's group."""
    profile = yaml.safe_load(Path("workflow/profiles/slurm/config.yaml").read_text())
    grouped = {word.split("=")[0] for word in profile["groups"]}
    elsewhere = {"train_run", "fetch_published"}  # hours on their own; a download
    of_a_sweep = {
        name
        for name, body in rule_bodies().items()
        if re.search(r"    output:\n(?:        .*\n)*?.*\{(?:study_)?sweep\}", body)
    }
    assert grouped == of_a_sweep - elsewhere
    assert {word.split("=")[1] for word in profile["groups"]} == {"sweep"}


def test_every_room_has_rules_tests_and_a_section() -> None:
    for room in ROOMS:
        assert Path(f"rules/{room}.smk").exists()
        assert list(Path(f"tests/{room}").glob("test_*.py"))
        assert re.search(rf"^{room}:", Path("config.yaml").read_text(), re.MULTILINE)


@cache
def sources_of(room: str) -> frozenset[str]:
    return frozenset(sources(PACKAGE, room))


def test_a_rooms_command_and_settings_are_sources_of_that_room_alone() -> None:
    """Or an edit of one would rerun others; of figures' settings, say, every fit."""
    readers: dict[str, set[str]] = {
        "config/losses.py": {"losses", "report", "published"},  # printed; a study's own
        # these read estimates, which have the settings behind them
        "config/approaches.py": {"approaches", "archive", "figures", "published", "report"},
        "config/report.py": {"report", "published"},
        "config/train.py": set(),  # read by the rules alone
    }
    for room in ROOMS:
        for name in (f"{room}/command.py", f"config/{room}.py"):
            path = PACKAGE / name
            assert path.exists()
            having = {other for other in ROOMS if str(path) in sources_of(other)}
            assert having == readers.get(name, {room}), name


def test_snakefile_stays_a_front_door() -> None:
    assert len(Path("Snakefile").read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("edited", "rooms"),
    [
        # report and published read the settings that a sweep has of its own
        ("config/ingest.py", {"ingest"}),
        ("config/losses.py", {"losses", "report", "published"}),
        ("config/approaches.py", {"approaches", "archive", "figures", "report", "published"}),
        ("config/figures.py", {"figures"}),
        ("config/report.py", {"report", "published"}),
        ("config/archive.py", {"archive"}),
        ("config/published.py", {"published"}),
        ("config/sidecar.py", {"archive", "ingest", "report", "published"}),
        ("config/config_yaml.py", set()),
        ("config/write.py", set()),
        ("cli.py", set()),
        *((f"{room}/command.py", {room}) for room in ROOMS),
    ],
)
def test_an_edit_of_settings_or_commands_reaches_its_room(edited: str, rooms: set[str]) -> None:
    assert {room for room in ROOMS if str(PACKAGE / edited) in sources_of(room)} == rooms


def test_sources_follow_imports(tmp_path: Path) -> None:
    package = tmp_path / "isoflop"
    (package / "ingest").mkdir(parents=True)
    (package / "losses").mkdir()
    (package / "cli.py").write_text("")
    (package / "config").mkdir()
    (package / "config" / "ingest.py").write_text("")
    (package / "config" / "losses.py").write_text("")
    (package / "tables.py").write_text("from isoflop.files import digest\n")
    (package / "files.py").write_text("import os\n")
    (package / "laws.py").write_text("")
    (package / "ingest" / "a.py").write_text(
        "from isoflop.config.ingest import X\ndef f():\n    from isoflop import tables\n"
    )
    (package / "losses" / "b.py").write_text("import isoflop.laws\n")
    (package / "assets" / "tables").mkdir(parents=True)
    (package / "assets" / "tables" / "page.css").write_text("")
    (package / "assets" / "laws").mkdir()
    (package / "assets" / "laws" / "other.css").write_text("")
    names = {Path(path).relative_to(package).as_posix() for path in sources(package, "ingest")}
    assert names == {
        "assets/tables/page.css",
        "config/ingest.py",
        "files.py",
        "ingest/a.py",
        "tables.py",
    }


def test_tests_of_the_whole_tier_exist() -> None:
    """Or a renamed one would come back into the quick tier, and its line would stay."""
    for name, functions in (*SLOW.items(), *MANY.items()):
        text = (Path("tests") / name).read_text()
        known = set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
        assert functions == WHOLE or {f.partition("[")[0] for f in functions} <= known, name


def test_what_needs_torch_is_named() -> None:
    """The quick tier neither installs nor imports it."""
    needed = re.compile(r'^\w+ = pytest\.importorskip\("(?:torch|tokenizers)"', re.MULTILINE)
    tests = Path("tests")
    found = {path for path in tests.rglob("test_*.py") if needed.search(path.read_text())}
    assert {path.relative_to(tests).as_posix() for path in found} == set(TORCH)


OLD_WORDS = re.compile(
    r"\b(?:foretell?s?|foretold|so many|pass(?:es|ed)? over|lookalikes?|his N|other_kind"
    r"|holds? nothing of|falls? short|holds the truth|intervals? holds?"
    r"|nobody (?:knows|counted))\b",
    re.IGNORECASE,
)


NO_NAMES = frozenset({"again", "held", "own", "found", "one", "said", "stated", "whole"})
"""What STYLE wants replaced by the noun that it stands for."""


def defined(node: ast.AST) -> str | None:
    """Give the name that a node defines, or passes by keyword; None of any other node."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.arg(arg=name) | ast.keyword(arg=name) | ast.alias(asname=name):
            return name
        case ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
            return name
    return None


def test_identifiers_are_nouns_of_the_field() -> None:
    files = [*TREE, *sorted(Path("tools").glob("*.py")), Path("run.py")]
    named = [
        f"{path}:{getattr(node, 'lineno', '')}: {name}"
        for path in files
        for node in nodes(path)
        if (name := defined(node)) is not None and name.lower().strip("_") in NO_NAMES
    ]
    word = "|".join(sorted(NO_NAMES))
    assigned = re.compile(rf"\b(?:{word})\b(?=(?:, \w+)* = | in )|(?<=\bset )\b(?:{word})\b")
    texts = [Path("Snakefile"), *sorted(Path("rules").glob("*.smk")), *PACKAGE.rglob("*.j2")]
    code = {path: re.sub(r"(?m)^ *#.*$|>[^<{%]*<", "", path.read_text()) for path in texts}
    named += [f"{path}: {match[0]}" for path in texts for match in assigned.finditer(code[path])]
    assert named == []


def test_words_are_those_of_today() -> None:
    """Predicts, covers, leaves out; reports have a stricter test of their own."""
    texts = [*TREE, *sorted(Path("docs").glob("*.md")), *sorted(Path().glob("*.md"))]
    texts += [Path("config.yaml"), Path("run.py"), *sorted(Path("rules").glob("*.smk"))]
    texts += sorted(PACKAGE.rglob("*.j2"))
    texts += [*sorted((PACKAGE / "assets/page").glob("*.js")), *sorted(Path("tools").glob("*.py"))]
    found = [
        f"{path}:{number}: {match[0]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in OLD_WORDS.finditer(line)
        if "passes over" not in match[0]  # of training data
    ]
    assert found == []


def test_c_is_6nd_by_one_function() -> None:
    """And D is C / 6N by its inverse: each was written out some fifteen times."""
    skewness = PACKAGE / "approaches" / "uncertainty" / "intervals.py"
    offenders = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path in TREE
        if path != skewness
        for node in nodes(path)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Div)
        and any(
            isinstance(side, ast.Constant) and side.value == 6.0 and isinstance(side.value, float)
            for side in (node.left, node.right)
        )
        and path.name != "counting.py"
    ]
    assert offenders == []


def test_random_numbers_come_from_streams() -> None:
    """A list of seeds is padded with zeros, so that two purposes may share their numbers."""
    made = {"default_rng", "SeedSequence", "PCG64", "RandomState"}
    offenders = [
        f"{path}:{node.lineno}"
        for path in TREE
        if path.name != "streams.py" and path.relative_to(PACKAGE).parts[0] != "train"
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in made
    ]
    assert offenders == []


def test_sizes_are_told_apart_by_cells_alone() -> None:
    """N of two seeds may differ by a step of their counting: asked exactly they are two sizes."""
    grouping = {"unique", "n_unique", "group_by", "partition_by"}
    offenders = [
        f"{path}:{node.lineno}: {text}"
        for path in TREE
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in grouping
        and re.search(r"params", text := ast.unparse(node))
        and not re.search(r"cell|merged|repeats", text)
    ]
    assert offenders == []


def test_nobody_asks_which_fit_it_is() -> None:
    """The protocol has a word for whatever an approach has to say of itself."""
    asked = re.compile(r"isinstance\([^()]*, [^()]*\w*Fit\b")
    texts = {path: path.read_text() for path in (PACKAGE / "approaches").rglob("*.py")}
    assert [str(path) for path, text in texts.items() if asked.search(text)] == []

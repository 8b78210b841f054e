"""Plant small faults in estimators, losses and the report's sentences; see which survive.

    python3 run.py mutations                           every fault: hours
    python3 run.py mutations --sample 40               forty of them, always the same
    python3 run.py mutations --part losses --part ...  losses | estimators | numerics | report |
                                                       sentences
    python3 run.py mutations --quick                   against the tests of the quick tier alone

cosmic-ray plants the faults, one at a time, in a copy of the checkout, so an edit here meanwhile
does no harm; of the report's template, which it cannot read, each condition is turned round. A
fault survives when the tests of its part pass all the same. docs/mutations.md has the survivors and
why each may live.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

COSMIC_RAY = "cosmic-ray==8.7.0"
CHOSEN = "not (workflow or mirror or train)"
QUICK = "not (workflow or mirror or train or slow)"
TIMEOUT = 900.0
"""Seconds for the tests of one fault; beyond that it counts as found (a loop without end)."""


@dataclass(frozen=True)
class Part:
    """Modules that get faults, and the tests that must find them."""

    folder: str
    tests: tuple[str, ...]

    def modules(self) -> list[Path]:
        """List what can have a fault worth finding: not the commands, which only pass words on."""
        paths = sorted(Path(self.folder).rglob("*.py"))
        return [path for path in paths if path.name not in {"__init__.py", "command.py"}]

    def command(self, module: Path, chosen: str) -> str:
        """Give the test command: first the module's own tests, if it has a file of them."""
        named = [f"{folder}/test_{module.stem}.py" for folder in self.tests]
        paths = [path for path in named if Path(path).exists()] + list(self.tests)
        return f"{sys.executable} -m pytest -q -x -p no:cacheprovider -m '{chosen}' " + " ".join(
            paths
        )


PARTS = {
    "losses": Part("src/isoflop/losses", ("tests/losses",)),
    "estimators": Part(
        "src/isoflop/approaches/estimators",
        ("tests/approaches/estimators", "tests/approaches/test_conformance.py"),
    ),
    "numerics": Part(
        "src/isoflop/approaches/numerics",
        ("tests/approaches/numerics", "tests/approaches/test_conformance.py"),
    ),
    "report": Part("src/isoflop/report", ("tests/report",)),
}

TEMPLATE = Path("src/isoflop/report/templates/report.md.j2")
"""The report's sentences: a condition turned round prints a false one, or hides a true one."""
SENTENCES = "sentences"
CONDITION = re.compile(r"<% (if|elif) (.+?) %>")

POINTLESS = ("BitOr", "BitAnd", "BitXor", "LShift", "RShift", "Mod", "FloorDiv")
"""Operators that no slip of the pen puts into code like this; `|` is mostly an annotation's."""


@dataclass(frozen=True)
class Fault:
    """One fault that can be planted."""

    part: str
    module: str
    job: str
    """Of cosmic-ray; or which condition of the template."""


def copy_checkout(target: Path) -> None:
    """Copy what git knows of, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name)


class Copy:
    """A copy of the checkout with one session of cosmic-ray per module."""

    def __init__(self, root: Path, *, quick: bool) -> None:
        self.root = root
        self.chosen = QUICK if quick else CHOSEN
        tier = "quick" if quick else "whole"  # how many random examples (tests/tiers.py)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(root / "src"),
            "CI": "true",
            "ISOFLOP_TESTS": tier,
        }

    def cosmic_ray(self, *words: str) -> None:
        """Run cosmic-ray, in an environment of its own that uv makes and keeps."""
        tool = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", COSMIC_RAY]
        subprocess.run(
            [*tool, "cosmic-ray", *words], cwd=self.root, env=self.environment, check=True
        )

    def session(self, module: str) -> Path:
        """Name the database of a module's faults."""
        return self.root / "sessions" / f"{module.replace('/', '-')}.sqlite"

    def faults(self, name: str) -> list[Fault]:
        """Find every fault of a part that is worth planting."""
        if name == SENTENCES:
            text = (self.root / TEMPLATE).read_text(encoding="utf-8")
            places = range(len(CONDITION.findall(text)))
            return [Fault(SENTENCES, str(TEMPLATE), str(place)) for place in places]
        faults = []
        for module in map(str, PARTS[name].modules()):
            session = self.session(module)
            session.parent.mkdir(exist_ok=True)
            settings = [
                "[cosmic-ray]",
                f"module-path = {json.dumps([module])}",
                f"timeout = {TIMEOUT}",
                "excluded-modules = []",
                f"test-command = {json.dumps(PARTS[name].command(Path(module), self.chosen))}",
                "[cosmic-ray.distributor]",
                'name = "local"',
            ]
            session.with_suffix(".toml").write_text("\n".join(settings) + "\n")
            self.cosmic_ray("init", str(session.with_suffix(".toml")), str(session))
            with closing(sqlite3.connect(session)) as base:
                rows = base.execute(
                    "select job_id, operator_name from mutation_specs "
                    "order by start_pos_row, start_pos_col, operator_name, occurrence"
                )
                faults += [
                    Fault(name, module, job)
                    for job, operator in rows
                    if not any(word in operator for word in POINTLESS)
                ]
        return faults

    def test(self, name: str) -> bool:
        """Say whether the tests of a part pass."""
        part = PARTS["report" if name == SENTENCES else name]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", self.chosen, *part.tests]
        done = subprocess.run(command, cwd=self.root, env=self.environment, check=False)
        return done.returncode == 0

    def check(self, name: str) -> None:
        """Insist that the tests of a part pass without a fault."""
        if not self.test(name):
            sys.exit(f"the tests of {name} fail without any fault; mend them first")

    def turn_round(self, faults: list[Fault]) -> list[tuple[str, str, str]]:
        """Turn conditions of the template round; give what `plant` gives."""
        path = self.root / TEMPLATE
        text = path.read_text(encoding="utf-8")
        conditions = list(CONDITION.finditer(text))
        results = []
        for fault in faults:
            condition = conditions[int(fault.job)]
            turned = f"<% {condition[1]} not ({condition[2]}) %>"
            path.write_text(
                text[: condition.start()] + turned + text[condition.end() :], encoding="utf-8"
            )
            outcome = "SURVIVED" if self.test(SENTENCES) else "KILLED"
            line = text.count("\n", 0, condition.start()) + 1
            results.append((str(TEMPLATE), outcome, f"@@ {line} @@\n-{condition[0]}\n+{turned}"))
        path.write_text(text, encoding="utf-8")
        return results

    def plant(self, faults: list[Fault]) -> list[tuple[str, str, str]]:
        """Plant each fault, and give module, outcome and difference."""
        sentences = [fault for fault in faults if fault.part == SENTENCES]
        faults = [fault for fault in faults if fault.part != SENTENCES]
        results = self.turn_round(sentences)
        for module in sorted({fault.module for fault in faults}):
            session = self.session(module)
            jobs = {fault.job for fault in faults if fault.module == module}
            with closing(sqlite3.connect(session)) as base, base:
                every = [job for (job,) in base.execute("select job_id from work_items")]
                for job in set(every) - jobs:
                    base.execute("delete from mutation_specs where job_id = ?", (job,))
                    base.execute("delete from work_items where job_id = ?", (job,))
            self.cosmic_ray("exec", str(session.with_suffix(".toml")), str(session))
            with closing(sqlite3.connect(session)) as base:
                rows = base.execute("select test_outcome, diff from work_results order by diff")
                results += [(module, str(outcome), str(diff)) for outcome, diff in rows]
            print(f"{module}: {len(jobs)} faults planted", flush=True)
        return results


def changed_lines(diff: str) -> str:
    """Give the lines of a difference that differ, and where they are."""
    lines = diff.splitlines()
    at = next((line for line in lines if line.startswith("@@")), "")
    kept = [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    return "\n".join([at, *kept])


def main() -> None:
    """Plant faults and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = [*PARTS, SENTENCES]
    parser.add_argument("--part", action="append", choices=parts, help="repeatable; default: all")
    parser.add_argument("--sample", type=int, help="plant this many faults; default: every one")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument(
        "--quick", action="store_true", help="run the tests of the quick tier alone"
    )
    options = parser.parse_args()
    names = options.part or parts
    with tempfile.TemporaryDirectory() as folder:
        copy_checkout(Path(folder))
        copy = Copy(Path(folder), quick=options.quick)
        faults = [fault for name in names for fault in copy.faults(name)]
        print(f"{len(faults)} faults in {', '.join(names)}", flush=True)
        if options.sample is not None and options.sample < len(faults):
            # `random` has no say in any result
            faults = random.Random(options.seed).sample(faults, options.sample)  # noqa: S311
        for name in sorted({fault.part for fault in faults}):
            copy.check(name)
        results = copy.plant(faults)
    survivors = [(module, diff) for module, outcome, diff in results if outcome == "SURVIVED"]
    print(
        f"\n{len(results)} planted, {len(results) - len(survivors)} found by the tests, survivors:"
    )
    for module, diff in survivors:
        print(f"\n{module} {changed_lines(diff)}")


if __name__ == "__main__":
    main()

"""sweep.yaml: which of its rules are for a file or a run, and the facts they give.

A rule's glob is compared with the path below the sweep's folder and with the run's name. All
matching rules count, in their order; a later rule wins over an earlier one key by key, and rules
win over the sweep's `facts`.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from glob import escape
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from isoflop.config.reading import read_yaml
from isoflop.config.sidecar import RunFacts, RunRule, SweepFile, TableMap, fact_names
from isoflop.errors import ConfigError
from isoflop.ingest.words.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SIDECAR: Final = "sweep.yaml"

TEXT_FACTS: Final = frozenset(
    {
        *("role", "schedule.kind", "loss_unit", "loss_kind", "primary_eval", "curve_eval"),
        *("dataset", "tokenizer", "sized_by"),
    }
)
"""Facts that are words; all others are numbers, or true and false."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact with its origin (a word of `tables.SOURCES`)."""

    value: Value
    source: str

    @property
    def origin(self) -> str:
        """The same in words, after “by”."""
        return ORIGINS.get(self.source, f"the {self.source}")


ORIGINS: Final = {
    "sidecar": SIDECAR,
    "config_file": "the settings beside its log",
    "file_name": "its file’s name",
    "counted": "counting",
}
"""Sources whose word is no plain one."""


def read_sidecar(folder: Path) -> SweepFile:
    """Read a sweep's side-car.

    Raises
    ------
    ConfigError : there is none, and what to write; or it does not fit its model.
    """
    path = folder / SIDECAR
    if not path.exists():
        raise ConfigError(
            f"{folder} has no {SIDECAR}. Create {path} with at least this line:\n"
            f"  title: {folder.name}\n"
            f"and say there what the logs do not (docs/ingest.md)."
        )
    return read_yaml(path, SweepFile)


def ignored(sidecar: SweepFile, name: str) -> str | None:
    """Say why a file is no log; None if it may be one."""
    for rule in sidecar.ignore:
        if _fits(name, rule.match):
            return f"ignored by {SIDECAR}: {rule.reason}"
    return None


def file_format(sidecar: SweepFile, name: str) -> str | None:
    """Give the format that sweep.yaml states for a file, if any."""
    declared = [rule.format for rule in _rules_of_file(sidecar, name) if rule.format]
    return declared[-1] if declared else sidecar.format


def file_table(sidecar: SweepFile, name: str) -> TableMap | None:
    """Give the column map of a file, if any."""
    declared = [rule.table for rule in _rules_of_file(sidecar, name) if rule.table]
    return declared[-1] if declared else sidecar.table


def stated_run(sidecar: SweepFile, name: str) -> str | None:
    """Give the run that sweep.yaml says a file, or a run that a log names, belongs to."""
    declared = [rule.run for rule in _rules_of_file(sidecar, name) if rule.run]
    return declared[-1] if declared else None


def file_configs(sidecar: SweepFile, name: str) -> tuple[str, ...]:
    """Give the configuration files that go with a file."""
    declared = [rule.config for rule in _rules_of_file(sidecar, name) if rule.config]
    return declared[-1] if declared else ()


def exclusion(sidecar: SweepFile, run: str, names: tuple[str, ...]) -> str | None:
    """Say why sweep.yaml leaves a run out; None if it does not."""
    for rule in sidecar.exclude:
        if _matches(rule.match, run, names):
            return rule.reason
    return None


def accepted(sidecar: SweepFile, check: str, run: str, names: tuple[str, ...]) -> str | None:
    """Say why sweep.yaml accepts a run that fails a check; None if it does not."""
    for rule in sidecar.overrule:
        if rule.check == check and _matches(rule.match, run, names):
            return rule.reason
    return None


def declared_facts(
    sidecar: SweepFile, run: str, paths: tuple[str, ...], called: tuple[str, ...] = ()
) -> dict[str, Fact]:
    """Gather what sweep.yaml says of one run, by dotted name of the fact.

    Parameters
    ----------
    sidecar : the side-car.
    run : name of the run.
    paths : of its files below the sweep's folder.
    called : what its logs call it.
    """
    facts = leaves(sidecar.facts, "sidecar")
    for rule in sidecar.runs:
        if not _matches(rule.match, run, (*paths, *called)):
            continue
        if rule.path_facts is not None:
            facts |= _path_facts(rule.path_facts, paths)
        facts |= leaves(rule, "sidecar")
    return facts


def unmatched(sidecar: SweepFile, runs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """List the rules that match nothing: most often a slip of the pen.

    Parameters
    ----------
    sidecar : the side-car.
    runs : of every run the names of its files and what its logs call it, and every file without a
        run.
    """
    globs = [("runs", rule.match) for rule in sidecar.runs]
    globs += [("exclude", rule.match) for rule in sidecar.exclude]
    globs += [("overrule", rule.match) for rule in sidecar.overrule]
    complaints = []
    for section, glob in globs:
        if not any(_matches(glob, run, names) for run, names in runs.items()):
            candidates = sorted({*runs, *(name for names in runs.values() for name in names)})
            near = difflib.get_close_matches(glob, candidates, n=1, cutoff=0.0)
            hint = f"; the nearest is '{near[0]}'" if near else ""
            complaints.append(f"{section}: '{glob}' matches no file and no run{hint}")
    return complaints


def powerless(sidecar: SweepFile, run: str, names: tuple[str, ...]) -> list[str]:
    """List the rules that name a run whose name they do not change: it was made from two of a kind.

    Parameters as of `exclusion`.
    """
    return [
        f"runs: '{rule.match}' fits '{run}', a name made to tell two runs apart, so 'run: "
        f"{rule.run}' cannot rename it; match its file: {', '.join(names)}"
        for rule in sidecar.runs
        if rule.run not in (None, run) and _matches(rule.match, run, names)
    ]


def leaves(facts: RunFacts, source: str) -> dict[str, Fact]:
    """Flatten facts to dotted names."""
    known = _known_facts()
    return {name: Fact(value, source) for name, value in _flatten(facts) if name in known}


@cache
def _known_facts() -> frozenset[str]:
    return frozenset(fact_names())


def _flatten(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Value]]:
    # as a mapping: of thousands of runs' facts most are unknown, and each look costs
    for name, value in vars(model).items():
        if value is None:
            continue
        if isinstance(value, BaseModel):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float | bool):
            yield f"{prefix}{name}", value


def facts_from_values(values: Mapping[str, object]) -> RunFacts:
    """Build facts from dotted names, as tables and file names give them.

    Raises
    ------
    ValidationError : a value does not fit its fact.
    """
    nested: dict[str, object] = {}
    for name, value in values.items():
        group, _, key = name.rpartition(".")
        target = nested.setdefault(group, {}) if group else nested
        target[key] = _typed(name, value)  # type: ignore[index]  # a group is the dict made above
    return RunFacts.model_validate(nested)


def _typed(name: str, value: object) -> object:
    """Read numbers such as 2.8B and 1,024 where the fact is a number."""
    if name in TEXT_FACTS:
        return str(value)
    as_number = number(value)
    return value if as_number is None else as_number


def _path_facts(pattern: str, names: tuple[str, ...]) -> dict[str, Fact]:
    """Read facts from the named groups of a regular expression over the paths."""
    if repeats_repetitions(pattern):
        raise ConfigError(
            f"{SIDECAR}: path_facts '{pattern}': a repeated group that repeats something inside, "
            f"such as (a+)+, may take for ever; write it without the inner + or *"
        )
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{SIDECAR}: path_facts '{pattern}': {error}") from error
    values: dict[str, object] = {}
    for name in names:
        if match := compiled.search(name):
            values |= {
                group.replace("__", "."): text
                for group, text in match.groupdict().items()
                if text is not None
            }
    try:
        return leaves(facts_from_values(values), "file_name")
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{SIDECAR}: path_facts '{pattern}' on {', '.join(names)}: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def repeats_repetitions(pattern: str) -> bool:
    """Tell whether a regular expression repeats a group that itself repeats: (a+)+, (a*b?)*.

    Such a one may try exponentially many ways to match; a sweep.yaml may come from a stranger.
    """
    # of each open group, and of the whole: whether something in it repeats without bound
    repeats = [False]
    closed = False
    bare = re.sub(r"\\.", "x", pattern, flags=re.DOTALL)
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "x", bare)
    for place, character in enumerate(bare):
        follows = bare[place:]
        if character == "(":
            repeats.append(False)
        elif character == ")" and len(repeats) > 1:
            closed = repeats.pop()
            repeats[-1] |= closed
            continue
        elif re.match(r"[*+]|\{\d*,\}|\{\d*,?\d{2,}\}", follows):
            if closed:
                return True
            repeats[-1] = True
        closed = False
    return False


def _rules_of_file(sidecar: SweepFile, name: str) -> list[RunRule]:
    return [rule for rule in sidecar.runs if _fits(name, rule.match)]


def _matches(glob: str, run: str, names: tuple[str, ...]) -> bool:
    return any(_fits(candidate, glob) for candidate in (run, *names))


def _fits(name: str, glob: str) -> bool:
    """Compare a name with a glob; the name itself always fits, whatever brackets are in it."""
    return name == glob or fnmatchcase(name, glob)


def rule_for(name: str) -> str:
    """Write the `match:` of a rule that means one run, as YAML."""
    glob = escape(name) if re.search(r"[*?]", name) else name
    return f"match: {json.dumps(glob, ensure_ascii=False)}"

"""Logical runs: which parts of which files make one, and what it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.errors import ConfigError
from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.facts.identity import (
    APART,
    APART_IN_A_FILE,
    APART_IN_A_TABLE,
    LOSS_UNIT,
    SAME,
    SCHEDULE_LENGTH,
    Missing,
    RunIdentity,
    identify,
    without_doubles,
)
from isoflop.ingest.formats import reader, takes_map
from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.reading.sidefiles import SideFiles
from isoflop.ingest.reading.turns import in_words
from isoflop.ingest.runs.dead_files import with_dead_asked
from isoflop.ingest.runs.joining import (
    count_apart,
    fill_each_other,
    folder_of,
    is_below,
    is_end,
    is_evaluated,
    joined_by_step,
    kinds_of_steps,
)
from isoflop.ingest.runs.late_files import with_late_asked
from isoflop.ingest.runs.launch_files import with_launches_joined
from isoflop.ingest.runs.part_files import goes_on, with_parts_joined
from isoflop.ingest.runs.part_order import in_order
from isoflop.ingest.runs.stage_files import with_stages_asked
from isoflop.ingest.tables.one_step import OWN_STEP
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.launch_names import natural
from isoflop.ingest.words.names import COLUMNS, MAY_NAME_RUNS, plain, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from isoflop.config.sidecar import RunFacts, SweepFile, TableColumn
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.reading.parsed import Parsed, ParsedRun
    from isoflop.ingest.runs.impossible import Impossible

TUNING: Final = "learning-rate tuning"
RUNS_SHOWN: Final = 5
"""Runs named of those that a file has and that one name cannot name."""
KEY_SHOWN: Final = 12
"""Letters of a run's key that are shown behind a name that is not unique."""


@dataclass(frozen=True)
class _Several:
    """The records of a file with several runs."""

    parsed: Parsed

    @cached_property
    def by_run(self) -> dict[str, pl.DataFrame]:
        """Divide them, once."""
        divided = self.parsed.records.partition_by("run", as_dict=True, maintain_order=True)
        return {str(name): records for (name,), records in divided.items()}


@dataclass(frozen=True, slots=True)
class Part:
    """One run's part in one file."""

    log: Log
    run: ParsedRun
    config: tuple[RunFacts, tuple[str, ...]] | None
    """Facts from configuration files, and the names of these files."""
    formulas: frozenset[str]
    """Values that a table's map computes rather than reads."""
    beside: Mapping[str, side.Fact] = field(default_factory=dict)
    """Facts from the files of settings that hold for the log."""
    unsettled: tuple[tuple[str, str], ...] = ()
    """Facts of which these files say two things, each with words."""
    continues: bool = False
    """Whether it goes on where an earlier part of its run ended."""
    goes_on_from: str = ""
    """Which runs it may go on with, in words, where only sweep.yaml can say."""
    joins: bool = False
    """Whether its rows are joined by step with those of other tables."""
    sure_of_size: bool = False
    """Whether a table's map says what its number of parameters is in."""
    losses: tuple[str, ...] = ()
    """Columns that sweep.yaml maps as losses in the unit of the file."""
    several: _Several | None = None
    """The records of all runs of the file, if it has several."""
    by_setting: bool = False
    """Whether a table's map tells runs apart by a column that has no names of runs."""
    called: str = ""
    """What the log calls the run, or its file's name: sweep.yaml may have given it another."""

    @property
    def records(self) -> pl.DataFrame:
        """Its records, rows as in `RECORDS`."""
        if self.several is not None:
            return self.several.by_run[self.run.name]
        assert self.log.parsed is not None  # noqa: S101  it was read
        return self.log.parsed.records

    @property
    def written(self) -> tuple[float, float | None] | None:
        """The first and last time that its records have, or else that its file's lines print."""
        assert self.log.parsed is not None  # noqa: S101  it was read
        return self.run.written or self.log.parsed.written

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Give its records some at a time; at least one frame."""
        if self.several is not None:
            yield self.records
        else:
            assert self.log.parsed is not None  # noqa: S101  it was read
            yield from self.log.parsed.pieces()

    def logged_facts(self) -> list[dict[str, side.Fact]]:
        """Give the facts that the log says, one mapping per header."""
        defaults = getattr(reader(self.log.format or ""), "DEFAULTS", ())
        origins = {**dict.fromkeys(defaults, "trainer"), **dict.fromkeys(self.formulas, "counted")}
        told = [side.leaves(facts, "log") for facts in self.run.facts]
        for facts in told:
            for name in facts.keys() & origins.keys():
                facts[name] = replace(facts[name], source=origins[name])
        return told

    def shared_facts(self) -> dict[str, side.Fact]:
        """Give what the log says, or else the settings beside it, of what a run has once."""
        told = self.settings()
        for facts in self.logged_facts():
            told |= facts
        return {name: told[name] for name in _SHARED if name in told}

    def settings(self) -> dict[str, side.Fact]:
        """Give the facts from files of settings: those that sweep.yaml names win."""
        named = side.leaves(self.config[0], "config_file") if self.config else {}
        return {**self.beside, **named}


def sort_by_run(folder: Path, logs: Sequence[Log], sidecar: SweepFile) -> dict[str, list[Part]]:
    """Sort the contents of the files by run.

    Returns
    -------
    By name of the run its parts, in order of the files' paths, numbers in them as numbers.

    Raises
    ------
    ConfigError : sweep.yaml gives the runs of one file one name.
    """
    parts: dict[str, list[Part]] = {}
    named = {name for rule in sidecar.runs for name in rule.config}
    told = {log.file.name: log.settings for log in logs if log.settings is not None}
    sides = SideFiles(
        {name: facts for name, facts in told.items() if name not in named},
        {log.file.name: log.settles for log in logs if log.settles is not None},
    )
    stems = {stem(log.file.name) for log in logs if log.fate == "used"}
    for log in sorted(logs, key=lambda log: natural(log.file.name)):
        if log.fate == "used" and log.parsed is not None:
            beside, unsettled = sides.of_log(log.file.name, stems)
            for name, alone in _parts_of(folder, log, sidecar):
                part = replace(alone, beside=beside, unsettled=tuple(unsettled))
                parts.setdefault(name, []).append(part)
    joined = with_parts_joined(with_launches_joined(_resumed(parts), _agree), _agree)
    joined = with_stages_asked(with_dead_asked(with_late_asked(joined, _agree), _agree))
    by_run = _with_ends(_apart_by_file(_by_file(_told_apart(joined))))
    return {
        name: [replace(part, joins=True) for part in of_run] if fill_each_other(of_run) else of_run
        for name, of_run in sorted(by_run.items())
    }


_VERSION: Final = re.compile(r"(?:(.*)/)?version_[0-9]+/[^/]+")
"""A log in a folder of Lightning's: every launch makes one more, a resumed one too."""
_SHARED: Final = ("params.total", "schedule.lr_peak", "batch", "tokens_per_step", "schedule.steps")
"""Facts in which parts of one run agree."""


def _resumed(parts: Mapping[str, list[Part]]) -> dict[str, list[Part]]:
    """Join launches that Lightning logged apart, where a later one goes on with an earlier's steps.

    Parts that go on by their steps and differ in N, batch or learning rate have one name and are
    refused with both ways out.
    """
    joined: dict[str, list[Part]] = {}
    heads: dict[str, list[str]] = {}
    for name, of_run in parts.items():
        place = _VERSION.fullmatch(of_run[0].log.file.name)
        alone = len(of_run) == 1 and of_run[0].log.run is None and not of_run[0].run.name
        if place is None or not alone:
            joined.setdefault(name, []).extend(of_run)
            continue
        known = heads.setdefault(place[1] or "", [])
        before = next((n for n in reversed(known) if goes_on(joined[n][-1:], of_run[0])), None)
        if before is None:
            known.append(name)
            joined[name] = of_run
        else:
            agree = _agree(joined[before][0], of_run[0])
            joined[before].append(replace(of_run[0], continues=agree))
    return joined


def _agree(first: Part, second: Part) -> bool:
    """Tell whether two parts' files and settings contradict each other in what one run has once."""
    facts, others = first.shared_facts(), second.shared_facts()
    return all(facts[name].value == others[name].value for name in facts.keys() & others.keys())


def _told_apart(parts: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """Name runs after their keys too where several have one name."""
    apart: dict[str, list[Part]] = {}
    for name, of_run in parts.items():
        keys = {part.run.key for part in of_run}
        several = len(keys) > 1 and "" not in keys and all(part.log.run is None for part in of_run)
        for part in of_run:
            key = re.split(r"[:/]", part.run.key)[-1][:KEY_SHOWN]
            label = f"{name} ({key})" if several else name
            apart.setdefault(label, []).append(part)
    return apart


def _by_file(parts: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """Name runs after their files too where a column that names none, as of seeds, told them apart.

    Such runs of several files are as many, unless a file goes on where another ends.
    """
    files: set[str] = set()
    for of_run in parts.values():
        ordered = sorted(of_run, key=lambda part: part.run.steps or (0, 0))
        if (
            len({part.log.file.name for part in of_run}) > 1
            and all(part.by_setting and part.log.run is None for part in of_run)
            and not any(goes_on([first], other) for first, other in pairwise(ordered))
            and not fill_each_other(of_run)
        ):
            files.update(part.log.file.name for part in of_run)
    named: dict[str, list[Part]] = {}
    for name, of_run in parts.items():
        for part in of_run:
            path = part.log.file.name
            label = f"{part.log.file.stem}-{name}" if path in files and part.by_setting else name
            named.setdefault(label, []).append(part)
    return named


def _with_ends(parts: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """Join rows of a table with the histories below it that are called as their runs.

    `summary.csv` of finished runs, or `evals.csv` of evaluations alone, names `r0` what lies in
    `curves/r0.csv` or in `runs/r0/metrics.csv`.
    """
    below: dict[str, list[str]] = {}
    for name, of_run in parts.items():
        told_by_path = all(not part.run.name and part.log.run is None for part in of_run)
        if told_by_path and "/" in name and not any(map(is_end, of_run)):
            for piece in {*name.split("/")}:
                below.setdefault(piece, []).append(name)
    joined = dict(parts)
    for name, of_run in parts.items():
        if name not in below or any(part.log.run or not _has_no_curve(part) for part in of_run):
            continue
        histories = [
            each
            for each in below[name]
            if each in joined and is_below(folder_of(parts[each][0]), folder_of(of_run[0]))
        ]
        if len(histories) == 1 and fill_each_other(both := [*parts[histories[0]], *of_run]):
            del joined[histories[0]]
            joined[name] = both
    return joined


def _has_no_curve(part: Part) -> bool:
    """Tell rows of a finished run, or of evaluations alone of a run that a column names."""
    return is_end(part) or (bool(part.run.name) and is_evaluated(part))


def _apart_by_file(parts: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """Name runs after their files where each file has one, and all are called by their kind."""
    named: dict[str, list[Part]] = {}
    for name, of_run in parts.items():
        of_kind = _of_one_kind(of_run)
        for part in of_run:
            named.setdefault(part.log.file.stem if of_kind else name, []).append(part)
    return named


def _of_one_kind(parts: Sequence[Part]) -> bool:
    """Tell whether parts are runs of a file each, called by their kind, and parts of no one run.

    Each is a finished run, or they differ in what one run has once.
    """
    if len({part.log.file.name for part in parts}) < max(2, len(parts)):
        return False
    if any(
        not part.run.named_by_kind or part.several is not None or part.log.run is not None
        for part in parts
    ):
        return False
    differ = not all(_agree(parts[0], part) for part in parts[1:])
    return (differ or all(map(is_end, parts))) and not fill_each_other(parts)


def _names_no_run(column: TableColumn | None) -> bool:
    """Tell whether a map names runs by a column that has no names, as of seeds or rates."""
    if column is None or column.column is None:
        return False
    name = plain(column.column)
    return name not in COLUMNS["run"] and name not in MAY_NAME_RUNS


def _parts_of(folder: Path, log: Log, sidecar: SweepFile) -> list[tuple[str, Part]]:
    """List the runs in one file, by name."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    config = _config(folder, log, sidecar)
    mapped = takes_map(log.format or "")
    table = side.file_table(sidecar, log.file.name) if mapped else None
    columns = table.columns if table is not None else {}
    formulas = frozenset(name for name, origin in columns.items() if origin.formula is not None)
    losses = [columns[name].column for name in ("train_loss", "eval_loss") if name in columns]
    losses += table.evals.values() if table is not None else ()
    named = tuple(column for column in losses if column is not None)
    stem = log.called or log.file.stem
    if _run_is_folder(log) and "/" in stem:
        stem = stem.rpartition("/")[0]
    several = None if len(log.parsed.runs) == 1 else _Several(log.parsed)
    runs = [run for run in log.parsed.runs if run.advances]
    if log.run is not None and len(runs) > 1:
        shown = ", ".join(f"'{run.name}'" for run in runs[:RUNS_SHOWN])
        raise ConfigError(
            f"{folder}: {log.file.name} holds several runs, so 'run: {log.run}' in {side.SIDECAR} "
            f"cannot name them; match the runs that are one by their names, such as {shown}"
        )
    parts = []
    for run in runs:
        called = run.name or stem
        name = log.run or side.stated_run(sidecar, called)
        if name is not None and run.anew is not None:  # one run, whose later launch counts
            run = replace(run, facts=run.facts[run.anew :], excluded=None)  # noqa: PLW2901
        part = Part(
            replace(log, run=name), run, config, formulas,
            losses=named, several=several, called=called,
            by_setting=_names_no_run(columns.get("run")),
            sure_of_size="params.total" in columns and columns["params.total"].has_unit,
        )  # fmt: skip
        parts.append((name or called, part))
    return parts


def _paths(parts: Sequence[Part]) -> tuple[str, ...]:
    """List the files of parts; one that has several of them comes once."""
    return tuple(dict.fromkeys(part.log.file.name for part in parts))


def _called(parts: Sequence[Part]) -> tuple[str, ...]:
    """List what logs call the run of these parts."""
    return tuple(dict.fromkeys(part.called for part in parts))


def _run_is_folder(log: Log) -> bool:
    """Tell whether the files of a folder are parts of one run, by their format."""
    return bool(log.format and getattr(reader(log.format), "RUN_IS_FOLDER", False))


def _asked_of_losses(parts: Sequence[Part]) -> set[str]:
    """List the facts of a run's losses that their formats do not settle."""
    return {
        name
        for part in parts
        for name in getattr(reader(part.log.format or ""), "ASKS", ())
        if name != "loss_kind" or part.run.trains
    }


def _counts_steps_only(parts: Sequence[Part]) -> bool:
    """Tell whether nothing but the step says how much a run has read."""
    in_steps = any(part.run.counts_steps for part in parts)
    return in_steps and not any(part.run.counts_tokens for part in parts)


def _in_bytes_only(parts: Sequence[Part]) -> list[str]:
    """List the eval sets of which a run has bits per byte and no loss."""
    given = {name for part in parts for name in part.run.eval_sets}
    return sorted({name for part in parts for name in part.run.byte_sets} - given)


def _steps_are_updates(parts: Sequence[Part], horizon: float | None = None) -> bool:
    """Tell whether steps count updates; those of tables may count what was logged.

    Parameters
    ----------
    horizon : steps of the schedule: a table whose own come to most of them, and to no more, counts
        the same.
    """
    reached = max((part.run.counted[0] for part in parts if part.run.counted), default=0)
    same = horizon is not None and NEARLY * horizon <= reached <= (1 + SAME) * horizon
    of_tables = any(takes_map(part.log.format or "") for part in parts)
    return not any(part.run.counts_lines for part in parts) and (same or not of_tables)


NEARLY: Final = 0.5
"""Share of its schedule from which a run's steps are taken to be counted as the schedule's are."""


def _counted_per_step(parts: Sequence[Part], horizon: float | None) -> float | None:
    """Count the tokens or samples of a step, where the log gives them and its steps are updates.

    None where a batch that ramps up, or padding, makes steps differ.
    """
    if not _steps_are_updates(parts, horizon):
        return None
    rates = [rate for part in parts for rate in part.run.per_step or ()]
    counted = [part.run.counted for part in parts if part.run.counted is not None]
    if not counted or max(rates) - min(rates) > SAME * max(rates):
        return None
    return max(counted)[1]


def _counted_mean(parts: Sequence[Part]) -> float | None:
    """Give the mean tokens of a step, where the log counts tokens and its steps are updates."""
    if not _steps_are_updates(parts):
        return None
    counted = [part.run.counted for part in parts if part.run.counts_tokens]
    return max((each for each in counted if each is not None), default=(0, None))[1]


def _way_apart(parts: Sequence[Part]) -> str:
    """Say what to do where parts, or what one of them has, are of several runs."""
    if len(parts) > 1:
        return APART
    return APART_IN_A_TABLE if takes_map(parts[0].log.format or "") else APART_IN_A_FILE


def _tokens_of_ranks(parts: Sequence[Part]) -> Iterator[Missing]:
    """Ask whose tokens ranks count that each have a log and count alike."""
    for part in parts:
        ranks = part.log.ranks.get(part.run.name, 1)
        if ranks > 1 and part.run.counted is not None:
            rate = part.run.counted[1]
            what, fact = "tokens", "tokens_per_step"
            if part.run.counts_samples:
                what, fact = "samples", "batch"
            yield Missing(
                f"number of {what} of all {ranks} ranks in a step (each has a log, and all count "
                f"the same: of one rank or of all together)",
                f"{fact}: <{rate:.10g} or {rate * ranks:.10g} if each of {ranks} ranks "
                f"counts its own>",
            )


def _passes(parts: Sequence[Part]) -> tuple[int, float] | None:
    """Give the last step at which the log tells its passes over the data, and how many."""
    told = [part.run.passes for part in parts if part.run.passes is not None]
    return max(told, default=None) if _steps_are_updates(parts) else None


def _counter(parts: Sequence[Part]) -> str | None:
    """Name the setting by which a run's trainer counts tokens."""
    named = [getattr(reader(part.log.format or ""), "COUNTER", None) for part in parts]
    return next(filter(None, named), None)


def _not_one(name: str, parts: Sequence[Part]) -> list[str]:
    """Complain of parts with one name that nobody said are one run."""
    if len(parts) == 1 or all(part.log.run == name for part in parts):
        return []
    if len({part.run.key for part in parts}) == 1 and parts[0].run.key:
        return []  # the log itself says that they are one
    if all(part.continues for part in parts[1:]) or all(part.joins for part in parts):
        return []
    if all(_run_is_folder(part.log) for part in parts):
        return []  # a name that comes from the folder is that of one run
    kinds = kinds_of_steps(parts)
    if len(kinds) > 1:
        counted = " and ".join(f"{path} by '{step}'" for step, path in kinds.items())
        rule = side.rule_for(kinds[OWN_STEP])
        return [
            f"its files count steps of two kinds, {counted}, so they cannot be joined: export "
            f"the panel over the steps of the other file, or leave one out, ignore: [{{{rule}, "
            f"reason: <why>}}]"
        ]
    paths = [part.log.file.name for part in parts]
    # a file of several runs has no name to give: the run's own, by which all of them go, has
    several = any(part.several is not None for part in parts)
    rules = f"{{{side.rule_for(name if several else paths[0])}, " + (
        f"run: {json.dumps(name, ensure_ascii=False)}}}" + ("" if several else ", ...")
    )
    rule = side.rule_for(paths[-1])
    apart = (
        f"call them otherwise in one of these files, or leave one out, ignore: [{{{rule}, "
        f"reason: <why>}}]"
        if several
        else "give each its own 'run:'"
    )
    if sum(part.log.format == "table" and part.run.trains for part in parts) > 1:
        apart += (
            f"; where the losses of one are those of an eval set, map them so: runs: [{{{rule}, "
            "table: {rows: points, columns: {run: <column of runs>, step: <column of steps>, "
            "eval_loss: <column of losses>}}}]"
        )
    return [
        f"{len(parts)} files call their run '{name}': {', '.join(paths)}. If they are parts of "
        f"one run, say so in {side.SIDECAR}: runs: [{rules}]; if not, {apart}"
    ]


def _unlike(parts: Sequence[Part], declared: Mapping[str, side.Fact]) -> list[str]:
    """Complain of what files that sweep.yaml calls one run say otherwise, with both ways out."""
    if len({part.log.file.name for part in parts}) < 2:
        return []
    lines = []
    tables = all(part.log.format == "table" for part in parts)
    if tables and not any(part.joins for part in parts) and (words := count_apart(parts)):
        way = "map the count that is wrong anew, its unit by scale:, or leave it out of the map"
        lines.append((f"count tokens that are none of one run ({words})", way))
    told = [(part, facts) for part in parts if (facts := part.shared_facts())]
    for name in _SHARED:
        values = [(part, facts[name]) for part, facts in told if name in facts]
        other = next((each for each in values[1:] if each[1].value != values[0][1].value), None)
        # of two logs, or two files of settings, the facts say so themselves
        if other is None or name in declared or other[1].source == values[0][1].source:
            continue
        words = ", ".join(
            f"{fact.value} in {part.log.file.name}" for part, fact in (values[0], other)
        )
        lines.append((f"disagree on {name} ({words})", f"say which {name} is right"))
    last = side.rule_for(parts[-1].log.file.name)
    return [
        f"its files {what}. If they are two runs, give each its own 'run:' in {side.SIDECAR}, or "
        f"leave one out, ignore: [{{{last}, reason: <why>}}]; if they are one, {way}, runs: "
        f"[{{{last}, ...}}]"
        for what, way in lines
    ]


def _config(folder: Path, log: Log, sidecar: SweepFile) -> tuple[RunFacts, tuple[str, ...]] | None:
    """Read the configuration files that sweep.yaml names for a log."""
    names = side.file_configs(sidecar, log.file.name)
    if not names or log.format is None:
        return None
    base = folder.resolve()
    outside = [name for name in names if not (folder / name).resolve().is_relative_to(base)]
    if outside:
        raise ConfigError(
            f"{folder}/{side.SIDECAR}: config of '{log.file.name}': {', '.join(outside)} is "
            f"outside the sweep's folder, and nothing outside is read: copy it in"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"{folder}/{side.SIDECAR}: config of '{log.file.name}': no file {', '.join(missing)}"
        )
    read_config = getattr(reader(log.format), "read_config", None)
    if read_config is None:
        raise ConfigError(
            f"{folder}/{side.SIDECAR}: format '{log.format}' reads no configuration files"
        )
    texts = [(folder / name).read_text(encoding="utf-8", errors="replace") for name in names]
    return read_config(texts), names


@dataclass(frozen=True, slots=True)
class Run:
    """One logical run: its parts, and what it is."""

    identity: RunIdentity
    parts: tuple[Part, ...]
    excluded: str | None
    """Why sweep.yaml, its role or its losses leave it out."""
    lacking: str | None = None
    """Why it cannot be used as long as sweep.yaml does not say more."""
    order: str | None = None
    """What the order of its parts rests on, where no times settle it."""
    misplaced: str | None = None
    """How times and steps of its parts contradict each other."""
    unlike: tuple[str, ...] = ()
    """What its parts say otherwise, though sweep.yaml calls them one run."""

    @property
    def reason(self) -> str | None:
        """Why it is left out; None if it is not."""
        return self.excluded or self.lacking

    @property
    def trains(self) -> bool:
        """Whether it has training losses."""
        return any(part.run.trains for part in self.parts)

    @property
    def lacks_schedule(self) -> bool:
        """Whether it is unknown how far its learning rate should have gone."""
        return any(missing.fact == SCHEDULE_LENGTH for missing in self.identity.missing)

    @property
    def measurable(self) -> bool:
        """Whether its records can be laid out: one run, of known N, with D for every record."""
        identity = self.identity
        in_steps = _counts_steps_only(self.parts)
        in_samples = any(part.run.counts_samples for part in self.parts)
        in_nats = identity.value("loss_unit") != "bits_per_byte" or identity.value(
            "bytes_per_token"
        )
        return bool(
            not _not_one(self.name, self.parts)
            and self.misplaced is None
            and not identity.conflicts
            and identity.value("params.total")
            and (not in_steps or identity.value("tokens_per_step"))
            and (not in_samples or identity.value("architecture.seq_len"))
            and in_nats
        )

    @property
    def name(self) -> str:
        """Its name, unique in the sweep."""
        return self.identity.run

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it was read from."""
        return _paths(self.parts)

    @property
    def called(self) -> tuple[str, ...]:
        """What its logs call it; sweep.yaml may have given it another name."""
        return _called(self.parts)

    @property
    def renamed(self) -> bool:
        """Whether its name is what sweep.yaml says."""
        return any(part.log.run is not None for part in self.parts)

    @property
    def trainer(self) -> str:
        """The format of its log."""
        return self.parts[0].log.format or ""

    @classmethod
    def of(cls, name: str, parts: Sequence[Part], sidecar: SweepFile) -> Run:
        """Settle what a run is, from its parts in order of their files' names."""
        ordered = in_order(name, parts)
        parts = ordered.parts
        paths, called = _paths(parts), _called(parts)
        recorded = [facts for part in parts if (facts := part.settings())]
        recorded += [facts for part in parts for facts in part.logged_facts()]
        # a row of a table, or the last values of a run: its one point is its end
        end = parts[-1] if parts[-1].joins else parts[0]
        finished_row = end.run.status == "finished" and (
            end.log.format == "table" or end.run.one_step
        )
        declared = side.declared_facts(sidecar, name, paths, called)
        lengths = [facts.get("schedule.steps") for facts in (*recorded, declared)]
        horizon = next((float(each.value) for each in reversed(lengths) if each), None)
        counted = _counted_per_step(parts, horizon)
        in_samples = any(part.run.counts_samples for part in parts)
        identity = identify(
            name,
            recorded=recorded,
            declared=declared,
            needs_tokens_per_step=_counts_steps_only(parts),
            needs_context=in_samples,
            needs_schedule=not finished_row,
            counted_per_step=None if in_samples else counted,
            counted_mean=None if in_samples else _counted_mean(parts),
            passes=_passes(parts),
            counter=_counter(parts),
            counted_batch=counted if in_samples else None,
            in_bytes=_in_bytes_only(parts),
            needs_bytes=not any(part.run.trains or part.run.eval_sets for part in parts),
            asks=_asked_of_losses(parts),
            way_apart=_way_apart(parts),
            sure_of_size=any(part.sure_of_size for part in parts),
            counts_calls=any(
                part.run.counts_lines and part.log.format == "table" for part in parts
            ),
        )
        if identity.source("tokens_per_step") in (None, "counted"):
            # what ranks count tells more than the gap alone
            missing = without_doubles([*_tokens_of_ranks(parts), *identity.missing])
            identity = replace(identity, missing=missing)
        role = identity.value("role") or "fit"
        excluded = next((part.run.excluded for part in parts if part.run.excluded), None)
        turns = next((part.run.turns for part in parts if part.run.turns), ())
        excluded = excluded or (in_words(turns, numbered=False) if turns else None)
        excluded = side.exclusion(sidecar, name, (*paths, *called)) or excluded
        if excluded is None and role == "tuning":
            excluded = TUNING
        by_sidecar = all(part.log.run == name for part in parts)
        run = cls(
            identity,
            parts,
            excluded,
            order=ordered.note,
            misplaced=ordered.conflict,
            unlike=tuple(_unlike(parts, declared))
            if by_sidecar
            else tuple(part.goes_on_from for part in parts if part.goes_on_from),
        )
        needed = [f"the {missing.fact} is unknown; add to {side.SIDECAR}, runs: "
                  f"[{{{side.rule_for(name)}, {missing.line.partition('#')[0].rstrip()}}}]"
                  for missing in identity.missing]  # fmt: skip
        return replace(run, lacking="; ".join([*run.complaints(), *needed]) or None)

    def judged(self, impossible: Impossible | None, reached: frozenset[str]) -> Run:
        """Leave the run out if its curve shows that it has nothing to use.

        Parameters
        ----------
        impossible : its losses that are none, if it has some.
        reached : the runs that made a step.
        """
        if self.reason is not None:
            return self
        if impossible is not None and impossible.no_other:
            return replace(self, excluded=f"it has no loss but {impossible.words}")
        if self.name not in reached:
            return replace(self, excluded="no record after the first step")
        return self

    @property
    def eval_sets(self) -> list[str]:
        """The eval sets it has a loss on, those included whose bits per byte give one."""
        given = {name for part in self.parts for name in part.run.eval_sets}
        return sorted(given | set(self.from_bytes))

    @property
    def from_bytes(self) -> list[str]:
        """The eval sets whose loss comes from bits per byte: none is logged, and bytes are known.

        Nats per token are bits per byte times ln 2 and the mean bytes of a token.
        """
        known = self.identity.value("bytes_per_token") is not None
        return _in_bytes_only(self.parts) if known else []

    @property
    def primary_eval(self) -> str | None:
        """The eval set whose loss is the run's; the only one, unless stated."""
        declared: str | None = self.identity.value("primary_eval")
        return declared or (self.eval_sets[0] if len(self.eval_sets) == 1 else None)

    def pieces(self) -> list[pl.DataFrame]:
        """List the run's records file by file, a restart between files."""
        if all(part.joins for part in self.parts):
            return [joined_by_step(self.parts)]
        pieces: list[pl.DataFrame] = []
        for part in self.parts:
            if pieces:
                pieces.append(_FILE_BREAK)
            pieces.append(part.records)
        return pieces

    def complaints(self) -> list[str]:
        """List what contradicts itself, each with the way out."""
        sets, primary = self.eval_sets, self.identity.value("primary_eval")
        lines = _not_one(self.name, self.parts) or list(self.identity.conflicts)
        lines += [self.misplaced] if self.misplaced is not None else []
        lines += self.unlike
        lines += (words for part in self.parts for words in part.log.doubts)
        for fact, words in dict.fromkeys(pair for part in self.parts for pair in part.unsettled):
            if self.identity.source(fact) == "config_file":
                lines.append(words)
        lines += self._units()
        if primary is None and len(sets) > 1:
            lines.append(
                f"its log has {len(sets)} eval sets ({', '.join(sets)}); say in {side.SIDECAR} "
                f"which is fitted, facts: {{primary_eval: {json.dumps(sets[0])}}}"
            )
        # a run that was cut off has its curve's set alone
        if (
            primary is not None
            and sets
            and not {primary, self.identity.value("curve_eval")} & {*sets}
        ):
            lines.append(f"primary_eval is '{primary}', but its log has only {', '.join(sets)}")
        return lines

    def _units(self) -> Iterator[str]:
        """Say which losses cannot be in the unit that they are taken for, by their names."""
        unit = self.identity.value("loss_unit") or LOSS_UNIT
        told = self.identity.source("loss_unit")
        in_bytes = sorted({name for part in self.parts for name in part.run.byte_sets})
        others = any(part.run.trains or part.run.eval_sets for part in self.parts)
        columns = dict.fromkeys(column for part in self.parts for column in part.losses)
        units = {column: unit_of(column) for column in columns}
        if unit == "bits_per_byte" and in_bytes and others:
            yield (
                f"loss_unit is bits_per_byte by the {told}, but bits per byte on "
                f"{', '.join(in_bytes)} stand beside its other losses, which would be taken for "
                f"them: take loss_unit out of {side.SIDECAR}; bytes_per_token is enough"
            )
        if unit == LOSS_UNIT and told == "sidecar":
            return  # whoever says so knows better than a name
        beside = unit != LOSS_UNIT and unit in units.values()
        for column, named in units.items():
            if named != unit and (named is not None or beside):
                yield _other_unit(column, unit, _way_out(units))


def _other_unit(column: str, unit: str, way_out: str) -> str:
    """Say that a column's name does not have the unit that its file is taken for."""
    return (
        f"column '{column}' is mapped as a loss in {unit}, which its name does not say: {way_out}"
    )


def _way_out(units: Mapping[str, str | None]) -> str:
    """Say how sweep.yaml gives losses of several units."""
    ways = [
        f"{json.dumps(column, ensure_ascii=False)} belongs under table.bits_per_byte, "
        f"{{<eval set>: <column>}}, with bytes_per_token"
        for column, unit in units.items()
        if unit == "bits_per_byte"
    ]
    ways += [
        f"{json.dumps(column, ensure_ascii=False)} is no loss before it is "
        f"{{formula: 'ln({json.dumps(column, ensure_ascii=False)})'}}"
        for column, unit in units.items()
        if unit == "perplexity"
    ]
    named = {unit for unit in units.values() if unit is not None}
    fact = f"facts: {{loss_unit: {named.pop()}}}" if len(named) == 1 else "loss_unit"
    ways.append(f"{'or ' if ways else ''}{fact} in {side.SIDECAR} says the unit of all of them")
    return "; ".join(ways)


_FILE_BREAK = pl.DataFrame({"run": [""], "kind": ["restart"]}).select(
    *(pl.col(n) if n in ("run", "kind") else pl.lit(None, dtype=t).alias(n)
      for n, t in RECORDS.items())
)  # fmt: skip
"""A new file of the same run begins: a restart whose step the log does not say."""

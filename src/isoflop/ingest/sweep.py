"""From a folder of raw logs to the tables of one sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.counting import FLOPS_CONVENTIONS
from isoflop.errors import ConfigError, IsoflopError, MissingFactError
from isoflop.ingest import sidecar as side
from isoflop.ingest.facts import LOSS_UNIT, SHAPE, RunIdentity, identify
from isoflop.ingest.formats import reader
from isoflop.ingest.gates import curve_facts, doubts
from isoflop.ingest.parsed import RECORDS, Parsed, ParsedRun, parse
from isoflop.ingest.patterns import readable_formats, recognise
from isoflop.ingest.segments import with_segments
from isoflop.ingest.source import RawFile
from isoflop.tables import Curves, Evals, Files, Runs, validated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.config import IngestSettings, RunFacts, SweepFile

FINISHED_SHARE = 0.99
"""Share of its schedule after which a run without an end line counts as finished."""
TUNING = "learning-rate tuning"


class EmptySweepError(IsoflopError):
    """A sweep's folder holds nothing that could be read as a training log."""


class UnreadableError(IsoflopError):
    """A raw file cannot be read, and the settings make that an error."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """The tables of one sweep, sorted, and how many files were read anew.

    Attributes
    ----------
    files, runs, curves, evals : tables as `tables.py` states them.
    parsed, cached : raw logs read anew, and taken from the cache.
    """

    files: pl.DataFrame
    runs: pl.DataFrame
    curves: pl.DataFrame
    evals: pl.DataFrame
    parsed: int
    cached: int

    def __str__(self) -> str:
        """Say what was read."""
        files = "file" if self.parsed == 1 else "files"
        rejected = self.files.filter(pl.col("fate") == "rejected").height
        return (
            f"parsed {self.parsed} {files}, {self.cached} from cache; {self.runs.height} runs, "
            f"{self.curves.height} curve points; {rejected} files rejected"
        )


def ingest_sweep(
    folder: Path, settings: IngestSettings, *, sweep: str | None = None, cache: Path | None = None
) -> Ingested:
    """Read all raw logs of a sweep.

    Parameters
    ----------
    folder : data/raw/{sweep}, with sweep.yaml in it.
    settings : section `ingest` of config.yaml.
    sweep : the sweep's name in the tables; the folder's, unless given.
    cache : folder of the cache; None reads everything anew. It changes speed, never the tables.

    Raises
    ------
    ConfigError : sweep.yaml is absent or does not fit its model or the files.
    MissingFactError : runs lack facts; all of them at once, with the lines to add.
    EmptySweepError : no file could be read as a log.
    UnreadableError : a file could not be read and settings.on_unreadable is stop.
    """
    sweep = sweep or folder.name
    sidecar = side.read_sidecar(folder)
    logs = [_read(RawFile.at(path, folder), sidecar, cache) for path in _raw_paths(folder)]
    logs = _without_copies(logs)
    parts = _parts(folder, logs, sidecar)
    logs = _with_configs(logs, parts)
    _refuse_emptiness(folder, logs, settings)
    runs = [_Run.of(name, of_run, sidecar) for name, of_run in sorted(parts.items())]
    _complain(folder, runs, logs, sidecar)
    records = _records(runs)
    evals = _evals(records)
    curves = _curves(records)
    return Ingested(
        files=validated(_files_table(sweep, logs), Files, source="files"),
        runs=validated(_runs_table(sweep, runs, curves, sidecar), Runs, source="runs"),
        curves=validated(curves.select(Curves.column_names()), Curves, source="curves"),
        evals=validated(evals, Evals, source="evals"),
        parsed=sum(log.parsed is not None and not log.cached for log in logs),
        cached=sum(log.cached for log in logs),
    )


@dataclass(frozen=True, slots=True)
class _Log:
    """A raw file on its way to its fate."""

    file: RawFile
    format: str | None = None
    runner_up: str | None = None
    parsed: Parsed | None = None
    cached: bool = False
    fate: str = "used"
    reason: str | None = None
    run: str | None = None
    """Name that sweep.yaml gives its run."""

    def rejected(self, reason: str) -> _Log:
        return replace(self, fate="rejected", reason=reason)

    def noted(self, note: str) -> _Log:
        return replace(self, reason=note if self.reason is None else f"{self.reason}; {note}")


def _raw_paths(folder: Path) -> list[Path]:
    """List the files of a sweep; hidden ones belong to an editor or a file manager."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _read(file: RawFile, sidecar: SweepFile, cache: Path | None) -> _Log:
    """Recognise and read one file."""
    if file.name == side.SIDECAR:
        return _Log(file, format="sidecar", reason="facts of the sweep")
    if (why := side.ignored(sidecar, file.name)) is not None:
        return _Log(file, fate="ignored", reason=why)
    seen, stated = recognise(file.sample()), side.file_format(sidecar, file.name)
    name = stated or seen.format
    if name is None or (seen.refused and seen.format):
        return _Log(file, seen.format, seen.runner_up).rejected(seen.refused or "unknown")
    if name not in readable_formats():
        known = ", ".join(readable_formats())
        raise ConfigError(f"{side.SIDECAR}: format '{name}' is not known; known: {known}")
    runner_up = seen.runner_up if name == seen.format else seen.format
    parsed, cached = parse(file, name, table=side.file_table(sidecar, file.name), cache=cache)
    run = side.file_run(sidecar, file.name)
    return _judged(_Log(file, name, runner_up, parsed, cached, run=run), parsed)


def _judged(log: _Log, parsed: Parsed) -> _Log:
    """Give a file that was read its fate."""
    if parsed.refused is not None:
        return log.rejected(parsed.refused)
    for rows, reason in parsed.left_out:
        log = log.noted(f"{rows} rows left out: {reason}")
    if parsed.records.height == parsed.restarts and parsed.left_out:
        return log.rejected(f"no row is left ({log.reason})")
    if parsed.records.height == parsed.restarts:
        return log.rejected("cut before its first record" if parsed.truncated else "no records")
    if not _advances(parsed.records):
        return log.rejected("no record after the first step")
    for remark in parsed.remarks:
        log = log.noted(remark)
    if parsed.lines_unread:
        log = log.noted(f"{parsed.lines_unread} lines look like records and cannot be read")
    return log


def _advances(records: pl.DataFrame) -> bool:
    """Whether any record tells of a trained model."""
    return bool(records.select(((pl.col("step") > 0) | (pl.col("tokens") > 0)).any()).item())


def _without_copies(logs: Sequence[_Log]) -> list[_Log]:
    """Reject files with the same bytes as an earlier one."""
    first: dict[str, str] = {}
    kept = []
    for log in logs:
        original = first.setdefault(log.file.digest, log.file.name)
        is_copy = log.parsed is not None and original != log.file.name and log.fate == "used"
        kept.append(log.rejected(f"the same bytes as {original}") if is_copy else log)
    return kept


@dataclass(frozen=True, slots=True)
class _Part:
    """One run's part in one file."""

    log: _Log
    run: ParsedRun
    records: pl.DataFrame
    config: tuple[RunFacts, tuple[str, ...]] | None
    """Facts from configuration files, and the names of these files."""
    formulas: frozenset[str]
    """Values that a table's map computes rather than reads."""

    @property
    def lacks_tokens(self) -> bool:
        """Whether D must be counted from steps."""
        lines = self.records.filter(pl.col("kind") != "restart")
        return bool(lines["tokens"].has_nulls())

    def said(self) -> list[dict[str, side.Fact]]:
        """Give the facts that the log says, one mapping per header."""
        return [
            {
                name: replace(fact, source="counted") if name in self.formulas else fact
                for name, fact in side.leaves(facts, "log").items()
            }
            for facts in self.run.facts
        ]


def _parts(folder: Path, logs: Sequence[_Log], sidecar: SweepFile) -> dict[str, list[_Part]]:
    """Sort the contents of the files by run."""
    parts: dict[str, list[_Part]] = {}
    complaints: list[str] = []
    for log in logs:
        if log.fate != "used" or log.parsed is None:
            continue
        if log.run is not None and len(log.parsed.runs) > 1:
            complaints.append(
                f"{log.file.name} holds {len(log.parsed.runs)} runs, so 'run: {log.run}' in "
                f"{side.SIDECAR} cannot name it"
            )
        config = _config(folder, log, sidecar)
        table = side.file_table(sidecar, log.file.name) if log.format == "table" else None
        columns = table.columns.items() if table is not None else ()
        formulas = frozenset(name for name, origin in columns if origin.formula is not None)
        by_run = log.parsed.records.partition_by("run", as_dict=True, maintain_order=True)
        for run in log.parsed.runs:
            records = by_run.get((run.name,))
            if records is None or not _advances(records):
                continue
            name = log.run or run.name or log.file.stem
            parts.setdefault(name, []).append(_Part(log, run, records, config, formulas))
    for name, of_run in parts.items():
        if len(of_run) > 1 and not all(part.log.run == name for part in of_run):
            paths = ", ".join(part.log.file.name for part in of_run)
            complaints.append(
                f"{len(of_run)} files call their run '{name}': {paths}. If they are parts of one "
                f'run, say so in {side.SIDECAR}: runs: [{{match: "{of_run[0].log.file.name}", '
                f"run: {name}}}, ...]; if not, give each its own 'run:'."
            )
    if complaints:
        raise ConfigError("\n".join(f"{folder}: {line}" for line in complaints))
    return parts


def _config(folder: Path, log: _Log, sidecar: SweepFile) -> tuple[RunFacts, tuple[str, ...]] | None:
    """Read the configuration files that sweep.yaml names for a log."""
    names = side.file_configs(sidecar, log.file.name)
    if not names or log.format is None:
        return None
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


def _with_configs(logs: Sequence[_Log], parts: dict[str, list[_Part]]) -> list[_Log]:
    """Give configuration files their fate."""
    used: dict[str, list[str]] = {}
    for run, of_run in sorted(parts.items()):
        for part in of_run:
            for name in part.config[1] if part.config else ():
                used.setdefault(name, []).append(run)
    return [
        replace(
            log,
            format="configuration",
            runner_up=None,
            parsed=None,
            cached=False,
            fate="used",
            reason=f"configuration of {', '.join(dict.fromkeys(used[log.file.name]))}",
        )
        if log.file.name in used
        else log
        for log in logs
    ]


def _refuse_emptiness(folder: Path, logs: Sequence[_Log], settings: IngestSettings) -> None:
    """Stop where there is nothing to go on with."""
    rejected = [f"  {log.file.name}: {log.reason}" for log in logs if log.fate == "rejected"]
    if rejected and settings.on_unreadable == "stop":
        raise UnreadableError(
            f"{folder}: {len(rejected)} files cannot be read (ingest.on_unreadable is stop):\n"
            + "\n".join(rejected)
        )
    if not any(log.fate == "used" and log.parsed is not None for log in logs):
        reasons = ":\n" + "\n".join(rejected) if rejected else f" besides {side.SIDECAR}."
        raise EmptySweepError(
            f"{folder} holds no training log that could be read{reasons}\n"
            f"Drop logs in, one per run (docs/ingest.md)."
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """One logical run: its parts, and what it is."""

    identity: RunIdentity
    parts: tuple[_Part, ...]
    excluded: str | None

    @property
    def name(self) -> str:
        return self.identity.run

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(part.log.file.name for part in self.parts)

    @property
    def trainer(self) -> str:
        return self.parts[0].log.format or ""

    @classmethod
    def of(cls, name: str, parts: Sequence[_Part], sidecar: SweepFile) -> _Run:
        """Settle what a run is."""
        paths = tuple(part.log.file.name for part in parts)
        said = [side.leaves(part.config[0], "config_file") for part in parts if part.config]
        said += [facts for part in parts for facts in part.said()]
        finished_row = parts[0].log.format == "table" and parts[0].run.status == "finished"
        identity = identify(
            name,
            said=said,
            stated=side.stated_facts(sidecar, name, paths),
            needs_tokens_per_step=any(part.lacks_tokens for part in parts),
            needs_schedule=not finished_row,
        )
        role = identity.value("role") or "fit"
        excluded = next((part.run.excluded for part in parts if part.run.excluded), None)
        excluded = side.exclusion(sidecar, name, paths) or excluded
        if excluded is None and role == "tuning":
            excluded = TUNING
        return cls(identity, tuple(parts), excluded)

    def records(self) -> pl.DataFrame:
        """Join the run's records, with segments and what turns them into tables."""
        pieces: list[pl.DataFrame] = []
        for part in self.parts:
            if pieces:
                pieces.append(_FILE_BREAK)
            pieces.append(part.records)
        identity = self.identity
        sets = _eval_sets(self.parts)
        primary = identity.value("primary_eval") or (sets[0] if len(sets) == 1 else None)
        unit = identity.value("loss_unit") or LOSS_UNIT
        per_byte = math.log(2.0) * (identity.value("bytes_per_token") or math.nan)
        factor = {"bits_per_token": math.log(2.0), "bits_per_byte": per_byte}.get(unit, 1.0)
        flops = {
            f"per_token_{c}": pl.lit(identity.flops_per_token(c), dtype=pl.Float64)
            for c in FLOPS_CONVENTIONS
        }
        return with_segments(pl.concat(pieces)).with_columns(
            run=pl.lit(self.name),
            tokens_per_step=pl.lit(identity.value("tokens_per_step"), dtype=pl.Float64),
            primary=pl.col("eval_set").eq_missing(pl.lit(primary, dtype=pl.String)),
            loss_factor=pl.lit(factor),
            perplexity=pl.lit(unit == "perplexity"),
            loss_kind=pl.lit(identity.value("loss_kind"), dtype=pl.String),
            **flops,
        )

    def complaints(self) -> list[str]:
        """List what is missing, each with the line to add."""
        sets = _eval_sets(self.parts)
        primary = self.identity.value("primary_eval")
        lines = list(self.identity.complaints)
        if primary is None and len(sets) > 1:
            lines.append(
                f"run '{self.name}': its log has {len(sets)} eval sets ({', '.join(sets)}); "
                f"say in {side.SIDECAR} which is fitted:\n"
                f"  facts:\n    primary_eval: {sets[0]}"
            )
        if primary is not None and sets and primary not in sets:
            lines.append(
                f"run '{self.name}': primary_eval is '{primary}', but its log has only "
                f"{', '.join(sets)}"
            )
        return lines


_FILE_BREAK = pl.DataFrame({"run": [""], "kind": ["restart"]}).select(
    *(pl.col(n) if n in ("run", "kind") else pl.lit(None, dtype=t).alias(n)
      for n, t in RECORDS.items())
)  # fmt: skip
"""A new file of the same run begins: a restart whose step the log does not say."""


def _eval_sets(parts: Sequence[_Part]) -> list[str]:
    """Name the eval sets that a run has a loss on."""
    sets: set[str] = set()
    for part in parts:
        losses = part.records.filter(pl.col("metric") == "loss")
        sets.update(losses["eval_set"].drop_nulls())
    return sorted(sets)


def _complain(folder: Path, runs: Sequence[_Run], logs: Sequence[_Log], sidecar: SweepFile) -> None:
    """Raise once, with everything that sweep.yaml must still say."""
    matched: dict[str, tuple[str, ...]] = {log.file.name: () for log in logs}
    matched |= {run.name: run.paths for run in runs}
    slips = side.unmatched(sidecar, matched)
    if slips:
        raise ConfigError("\n".join(f"{folder / side.SIDECAR}: {line}" for line in slips))
    complaints = [line for run in runs for line in run.complaints()]
    if complaints:
        raise MissingFactError(f"{folder / side.SIDECAR} must say more:\n" + "\n".join(complaints))


def _records(runs: Sequence[_Run]) -> pl.DataFrame:
    """All runs' records, in our units: nats per token, D for every record."""
    losses = {
        column: pl.when("perplexity")
        .then(pl.col(column).log())
        .otherwise(pl.col(column) * pl.col("loss_factor"))
        for column in ("train_loss", "value")
    }
    is_loss = pl.col("metric") == "loss"
    records = pl.concat(run.records() for run in runs)
    return records.with_columns(
        tokens=pl.coalesce("tokens", pl.col("step") * pl.col("tokens_per_step")),
        train_loss=losses["train_loss"],
        value=pl.when(is_loss).then(losses["value"]).otherwise("value"),
        primary=pl.col("primary") & is_loss,
    )


def _finite(column: str | pl.Expr) -> pl.Expr:
    """Null for NaN and infinity."""
    expression = pl.col(column) if isinstance(column, str) else column
    return pl.when(expression.is_finite()).then(expression)


def _evals(records: pl.DataFrame) -> pl.DataFrame:
    """Build the `Evals` table."""
    units = {"loss": "nat/token", "bits_per_byte": "bit/byte"}
    return (
        records.filter(pl.col("kind") == "eval")
        .select(
            "run",
            "segment",
            "step",
            "eval_set",
            "metric",
            "tokens",
            value=_finite("value"),
            unit=pl.col("metric").replace_strict(units, default=""),
            primary="primary",
        )
        .sort("run", "segment", "step", "eval_set", "metric")
    )


def _curves(records: pl.DataFrame) -> pl.DataFrame:
    """Build the `Curves` table, with tokens_per_step beside its columns."""
    primary = pl.when("primary").then("value")
    not_finite = ~pl.col("train_loss").is_finite() | ~primary.is_finite()

    def first(column: str | pl.Expr) -> pl.Expr:
        expression = pl.col(column) if isinstance(column, str) else column
        return expression.drop_nulls().first()

    measured = ("train_loss", "lr", "grad_norm", "tokens_per_second")
    steps = records.group_by("run", "segment", "step").agg(
        tokens=first("tokens"),
        flops=first(_finite("flops")),
        is_nan=not_finite.fill_null(value=False).any(),
        eval_loss=first(_finite(primary)),
        superseded=pl.col("superseded").any(),
        loss_kind=pl.col("loss_kind").first(),
        tokens_per_step=pl.col("tokens_per_step").first(),
        **{name: first(_finite(name)) for name in measured},
        **{f"per_token_{c}": pl.col(f"per_token_{c}").first() for c in FLOPS_CONVENTIONS},
    )
    by_convention = {
        f"flops_{c}": pl.col(f"per_token_{c}") * pl.col("tokens") for c in FLOPS_CONVENTIONS
    }
    by_convention["flops_logged"] = pl.coalesce("flops", by_convention["flops_logged"])
    return (
        steps.with_columns(**by_convention)
        .with_columns(loss_kind=pl.when(pl.col("train_loss").is_not_null()).then("loss_kind"))
        .sort("run", "segment", "step")
    )


def _files_table(sweep: str, logs: Sequence[_Log]) -> pl.DataFrame:
    """Build the `Files` table."""
    rows = []
    for log in logs:
        parsed = log.parsed
        rows.append(
            {
                "sweep": sweep,
                "path": log.file.name,
                "digest": log.file.digest,
                "bytes": log.file.size,
                "format": log.format,
                "runner_up": log.runner_up,
                "rows": parsed.records.height - parsed.restarts if parsed else 0,
                "rows_left_out": sum(rows for rows, _ in parsed.left_out) if parsed else 0,
                "lines_unread": parsed.lines_unread if parsed else 0,
                "restarts": parsed.restarts if parsed else 0,
                "truncated": parsed.truncated if parsed else False,
                "fate": log.fate,
                "reason": log.reason,
            }
        )
    schema = {name: column.dtype for name, column in Files.columns().items()}
    return pl.DataFrame(rows, schema=schema).sort("path")


def _runs_table(
    sweep: str, runs: Sequence[_Run], curves: pl.DataFrame, sidecar: SweepFile
) -> pl.DataFrame:
    """Build the `Runs` table."""
    measured = curve_facts(curves)
    rows = [_run_row(sweep, run, measured[run.name], sidecar) for run in runs]
    schema = {name: column.dtype for name, column in Runs.columns().items()}
    return pl.DataFrame(rows, schema=schema).sort("run")


def _run_row(sweep: str, run: _Run, curve: dict[str, Any], sidecar: SweepFile) -> dict[str, Any]:
    """One row of `Runs`."""
    identity = run.identity
    notes = [*identity.notes, *doubts(identity, curve)]
    per_step = identity.value("tokens_per_step")
    warmup = identity.value("schedule.warmup_steps")
    counted = any(part.lacks_tokens or "tokens" in part.formulas for part in run.parts)
    shape = {key: identity.value(f"architecture.{key}") for key in SHAPE}
    params = {f"params_{c}": identity.value(f"params.{c}") for c in _PARAMS}
    origins = {f"params_{c}_source": identity.source(f"params.{c}") for c in _PARAMS}
    return {
        "sweep": sweep,
        "run": run.name,
        "trainer": run.trainer,
        "paths": ", ".join(run.paths),
        "role": identity.value("role") or "fit",
        **params,
        **origins,
        **shape,
        "architecture_source": identity.group_source("architecture."),
        "tokens_per_step": per_step,
        "tokens_per_step_source": identity.source("tokens_per_step"),
        "tokens": curve["tokens"],
        "tokens_source": "counted" if counted else "log",
        "unique_tokens": identity.value("unique_tokens"),
        "budget": identity.value("budget") or _nearest_budget(sidecar, curve["flops_6nd"]),
        "lr_peak": identity.value("schedule.lr_peak"),
        "lr_end": identity.value("schedule.lr_end"),
        "warmup_tokens": warmup * per_step if warmup is not None and per_step else None,
        "schedule_kind": identity.value("schedule.kind"),
        "schedule_tokens": identity.value("schedule.tokens"),
        "schedule_source": identity.group_source("schedule."),
        "dataset": identity.value("dataset"),
        "tokenizer": identity.value("tokenizer"),
        "seed": identity.value("seed"),
        "status": _status(run, curve),
        "excluded": run.excluded is not None,
        "reason": run.excluded,
        "notes": "; ".join(notes) or None,
    }


_PARAMS = ("total", "nonembedding", "with_head")


def _status(run: _Run, curve: dict[str, Any]) -> str:
    """How the run ended: by its log's word if it has one, else by its schedule."""
    last = run.parts[-1]
    if curve["last_is_nan"]:
        return "diverged"
    if last.run.status is not None:
        return last.run.status
    horizon = run.identity.value("schedule.tokens")
    if horizon is not None:
        return "finished" if curve["tokens"] >= FINISHED_SHARE * horizon else "truncated"
    cut = last.log.parsed is not None and last.log.parsed.truncated
    return "truncated" if cut else "finished"


def _nearest_budget(sidecar: SweepFile, flops: float) -> float | None:
    """Find the nominal budget of a run by its 6ND; None if none is near."""
    if sidecar.budgets is None:
        return None
    nearest = min(sidecar.budgets.values, key=lambda budget: abs(math.log(flops / budget)))
    return nearest if abs(flops - nearest) <= sidecar.budgets.tolerance * nearest else None

"""Tables that say what runs are, and nothing of their losses: they become rules of sweep.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from isoflop.config.sidecar import TableMap
from isoflop.ingest.facts.sidecar import rule_for
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.settings import NAMES
from isoflop.ingest.tables.facts_of_rows import with_facts
from isoflop.ingest.tables.outline import Outline, as_factor, as_flow, as_line, guess
from isoflop.ingest.tables.sizes import likely_unit
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import (
    FINAL_LOSS,
    PER_PARAMETER,
    find_batch,
    find_compute,
    find_count,
    may_be_loss,
    plain,
    run_column,
)
from isoflop.ingest.words.numbers import finite

if TYPE_CHECKING:
    import polars as pl

FACTS: Final = (
    "params.total", "params.active", "params.nonembedding", "tokens_per_step", "bytes_per_token",
    "schedule.lr_peak", "schedule.steps",
)  # fmt: skip
"""Facts that a column may tell of runs."""
SHOWN: Final = 3
"""Rules shown in the message; all are proposed."""
MOST: Final = 1_000
"""Rows beyond which nobody writes a rule each."""


def refuse_facts_alone(raw: pl.DataFrame) -> None:
    """Refuse a table with a row per run that has no loss, and propose its rows as rules.

    Raises
    ------
    RefusedError : it is one.
    """
    name = run_column(raw.columns)
    losses = [each for each in raw.columns if may_be_loss(each) or plain(each) in FINAL_LOSS]
    if any(find_count(axis, raw.columns) for axis in ("step", "tokens")):
        return
    # with C or D / N a loss is that of a finished run, and so it is where nothing else is known
    by_compute = find_compute(raw.columns) or {*map(plain, raw.columns)} & {*PER_PARAMETER}
    if losses and (by_compute or not _is_of_tracker(raw)):
        return
    if name is None or not 0 < raw.height <= MOST or not raw[name].is_unique().all():
        return
    known, remarks = _facts_of(raw)
    beside = f"   # see that it is so: {', '.join(remarks.values())}" if remarks else ""
    rules = []
    for place, run in enumerate(raw[name]):
        facts = {fact: each for fact, cells in known.items() if (each := finite(cells[place]))}
        if run is not None and facts:
            rules.append(f"- {{{rule_for(str(run))}, {as_flow(_nested(facts))[1:-1]}}}{beside}")
    if not rules:
        return
    listed = "".join(f"\n    {rule}" for rule in rules[:SHOWN]) + "\n    ..." * (len(rules) > SHOWN)
    asked = f"; {' and '.join(remarks)}: see that it is so" if remarks else ""
    lacks = "without steps, and with no losses but those of their ends" if losses else ""
    finished = _as_finished(raw)
    further = "".join(
        f"\n; rows of runs without a log are finished runs:\n  {each}" for each in finished
    )
    raise RefusedError(
        f"a table of what runs are, {lacks or 'without steps or losses'}{asked}: in sweep.yaml its "
        f"rows are\n"
        f"  runs:{listed}{further}",
        "\n".join(["runs:", *(f"  {rule}" for rule in rules), *finished]),
    )


def _as_finished(raw: pl.DataFrame) -> list[str]:
    """Write the map by which rows are finished runs, for those that no file has a history of.

    Returns
    -------
    One line; none where no such map is without gaps.
    """
    try:
        table = guess(Outline.of(raw), lambda *_: False)
    except RefusedError as error:
        told = yaml.safe_load(error.proposal) if error.proposal.startswith("table:") else {}
        if not told or "<" in error.proposal:
            return []
        table = TableMap.model_validate(told["table"])
    return [as_line(with_facts(raw, table))] if table.rows == "runs" else []


def _is_of_tracker(raw: pl.DataFrame) -> bool:
    """Tell whether a table is a tracker's of its runs, with the last values of each."""
    names = {*map(plain, raw.columns)}
    return {"state", "status"} & names != set() and {
        "created",
        "runtime",
        "start_time",
    } & names != set()


def _facts_of(raw: pl.DataFrame) -> tuple[dict[str, pl.Series], dict[str, str]]:
    """Read the facts of rows in counts, and say what was taken for what it may not be, and why."""
    known: dict[str, pl.Series] = {}
    remarks: dict[str, str] = {}
    for fact in FACTS:
        if fact == "schedule.steps":
            lengths = (name for name in raw.columns if plain(name) in NAMES[fact])
            told = next(((name, 1.0) for name in lengths), None)
        else:
            told = find_count(fact, raw.columns)
        if told is None:
            continue
        column, scale = told
        known[fact] = as_numbers(raw[column]) * scale
        if scale == 1.0 and fact in _OF and (unit := likely_unit(fact, known[fact])) is not None:
            numbers, factor = unit
            known[fact] *= factor
            so = f"'{column}' times {as_factor(factor)}"
            remarks[f"'{column}' has {numbers}, which can be no counts of {_OF[fact]}: {so}"] = so
    if "tokens_per_step" not in known and (sequences := find_batch(raw.columns)) is not None:
        batch, context = sequences
        known |= {"batch": as_numbers(raw[batch]), "architecture.seq_len": as_numbers(raw[context])}
        so = f"'{batch}' are the sequences of an optimiser step"
        remarks[so] = so
    return known, remarks


_OF: Final = {
    "params.total": "parameters",
    "params.active": "parameters",
    "params.nonembedding": "parameters",
    "tokens_per_step": "tokens",
}
"""Facts that are counts, and of what."""


def _nested(facts: dict[str, float]) -> dict[str, Any]:
    """Write dotted names as mappings."""
    nested: dict[str, Any] = {}
    for fact, value in facts.items():
        group, _, key = fact.rpartition(".")
        target = nested.setdefault(group, {}) if group else nested
        target[key] = int(value) if value.is_integer() else value
    return nested

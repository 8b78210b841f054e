"""Columns that may all be one count of a table, of which a bare name need not be the right one.

A column `d` may have widths of models, and `tokens` thousands, beside `tokens_B`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.config.sidecar import TableColumn
from isoflop.counting import tokens_6nd
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.facts_of_curves import may_tell_more, with_facts_of_curves
from isoflop.ingest.tables.facts_of_rows import with_facts
from isoflop.ingest.tables.outline import as_factor, as_line, of_compute, scaled
from isoflop.ingest.tables.rows_or_runs import refuse_rows_of_runs
from isoflop.ingest.tables.shapes_of_rows import with_shapes
from isoflop.ingest.tables.sizes import USUAL_PER_PARAMETER, can_be_counts
from isoflop.ingest.tables.token_axes import (
    has_totals,
    refuse_counts_of_others,
    rising,
)
from isoflop.ingest.tables.wide import as_numbers, in_counts
from isoflop.ingest.words.names import (
    UNIQUE,
    counted_by_words,
    find,
    find_all_epochs,
    find_compute,
    find_count,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from isoflop.config.sidecar import TableMap

_CHOSEN: Final = ("params.total", "tokens")
AGREE: Final = 0.1
"""Relative difference up to which two columns are one count: D is rounded, and C is about 6 N D."""

DIGITS: Final = 7
"""Decimals in which counts in a unit are looked at."""
ROUNDING: Final = 1e-9
"""What a float may be off."""


@dataclass(frozen=True, slots=True)
class _Rival:
    """A column that may be a count, or a formula that gives it.

    Attributes
    ----------
    origin : as a map names it.
    numbers : its counts.
    """

    origin: TableColumn
    numbers: pl.Series

    @property
    def name(self) -> str:
        """What to call it."""
        return str(self.origin.column or self.origin.formula)

    def agrees(self, other: pl.Series) -> bool:
        """Tell whether it says about the same."""
        off = (self.numbers / other).log().abs().median()
        return isinstance(off, float) and off <= AGREE

    def rounds(self, other: _Rival) -> bool:
        """Tell whether it says the same in fewer digits, rounded or cut."""
        mine, theirs = self._last_digit(), other._last_digit()
        off = (self.numbers - other.numbers).abs().max()
        return mine > theirs and isinstance(off, float) and off <= mine * (1 + ROUNDING)

    def _last_digit(self) -> float:
        """Give what one in the last digit that its cells have counts."""
        cells = self.numbers.filter(self.numbers.is_finite()) / self.origin.scale
        digits = (d for d in range(DIGITS) if ((cells - cells.round(d)).abs() <= ROUNDING).all())
        return self.origin.scale * 10.0 ** -next(digits, DIGITS)

    def has_zeros_beside(self, others: Sequence[_Rival]) -> bool:
        """Tell whether it is 0 where another column counts something."""
        none = self.numbers == 0
        return any((none & (other.numbers > 0)).any() for other in others)


def has_rivals(names: Sequence[str], table: TableMap) -> bool:
    """Tell whether other columns than those that a map takes may be N or D, or say more of runs."""
    named = any(_named(value, names, table) for value in _CHOSEN if value in table.columns)
    return named or has_totals(names, table) or may_tell_more(names)


def chosen(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Choose of several columns the one that can be N or D, by what else the rows say.

    Parameters
    ----------
    table : the map by names, which takes the first name that is known.

    Returns
    -------
    The map, and the reasons.

    Raises
    ------
    RefusedError : several can be, and they differ.
    """
    remarks: list[Remark] = []
    if table.rows == "points":
        table, remarks = rising(raw, table)
        refuse_rows_of_runs(raw, table)
        refuse_counts_of_others(raw, table)
    columns = dict(table.columns)
    for value in _CHOSEN:
        if value not in columns or columns[value].column is None:
            continue
        first = _rival(raw, columns[value])
        others = [_rival(raw, each) for each in _named(value, raw.columns, table)]
        exact = next((each for each in others if first.rounds(each)), None)
        if exact is not None:
            remarks.append(
                Remark(f"{value}: '{exact.name}' and not '{first.name}', which rounds it")
            )
            others = [first, *(each for each in others if each is not exact)]
            first, columns[value] = exact, exact.origin
        others = [each for each in others if not each.rounds(first)]
        total = columns.get("params.total")
        size = None if total is None or total.column is None else _rival(raw, total).numbers
        derived = _derived(raw, columns, size) if value == "tokens" else None
        rivals = [first, *(other for other in others if not other.agrees(first.numbers))]
        if derived is not None and len(rivals) == 1 and table.rows == "runs":
            _ask_of_steps(first, derived, table, size)
        if len(rivals) == 1:
            if value == "tokens" and table.rows == "runs" and derived is None:
                _ask_of_epochs(raw, first, size, table.model_copy(update={"columns": columns}))
            continue
        sure = [each for each in rivals if derived is not None and each.agrees(derived.numbers)]
        able = [
            each
            for each in rivals
            if can_be_counts(value, each.numbers, size if value == "tokens" else None)
            and not each.has_zeros_beside(rivals)
        ]
        best = sure if len(sure) == 1 else able
        if len(best) != 1 and (able or len(sure) > 1):
            _ask(value, able or rivals, rivals, table.model_copy(update={"columns": columns}))
        if len(best) == 1 and best[0] is not first:
            columns[value] = best[0].origin
            why = f"as {derived.name} says" if best is sure and derived else "as counts can be"
            remarks.append(
                Remark(f"{value}: '{best[0].name}' and not '{first.name}' ({_span(first)}), {why}")
            )
    table = table.model_copy(update={"columns": columns})
    table, told = with_facts_of_curves(raw, table)
    table = with_shapes(raw, table)
    return (with_facts(raw, table) if table.rows == "runs" else table), [*remarks, *told]


def _named(value: str, names: Sequence[str], table: TableMap) -> list[TableColumn]:
    """List the further columns whose names mean a count, by a unit or by a word for it.

    Which of several bare letters counts, the order of `names.COLUMNS` says; along curves it is
    tokens that rise which count.
    """
    used = {origin.column for origin in table.columns.values()}
    left: Collection[str] = [name for name in names if name not in used]
    rivals = []
    while (told := find_count(value, left)) is not None:
        of_it = "token" if value == "tokens" else "param"
        worded = of_it in told[0].lower() and (value != "tokens" or table.rows == "runs")
        if told[1] != 1.0 or worded:
            rivals.append(scaled(*told))
        left = [name for name in left if name != told[0]]
    return rivals


def _rival(raw: pl.DataFrame, origin: TableColumn) -> _Rival:
    cells = raw[str(origin.column)]
    return _Rival(origin, in_counts(cells, origin.scale))


def _derived(
    raw: pl.DataFrame, columns: dict[str, TableColumn], size: pl.Series | None
) -> _Rival | None:
    """Count D by steps and their tokens, or else by compute; None where neither is there."""
    step, of_step = find("step", raw.columns), columns.get("tokens_per_step")
    if step is not None and of_step is not None and of_step.column is not None:
        numbers = as_numbers(raw[step]) * _rival(raw, of_step).numbers
        factor = f"{as_factor(of_step.scale)} * " if of_step.has_unit else ""
        formula = f'"{step}" * {factor}"{of_step.column}"'
        return _Rival(TableColumn(formula=formula), numbers)
    compute = find_compute(raw.columns)
    if compute is None or size is None:
        return None
    column, unit = compute
    cells = as_numbers(raw[column])
    flops = 10.0**cells if unit is None else cells * unit
    formula = of_compute(compute, columns["params.total"])
    return _Rival(TableColumn(formula=formula), tokens_6nd(size, flops))


def _ask_of_steps(first: _Rival, derived: _Rival, table: TableMap, size: pl.Series | None) -> None:
    """Refuse a D that can be none beside steps or compute that give one."""
    if can_be_counts("tokens", first.numbers, size) or first.origin.has_unit:
        return
    if not can_be_counts("tokens", derived.numbers, size):
        return
    columns = {**table.columns, "tokens": derived.origin}
    proposal = as_line(table.model_copy(update={"columns": columns}))
    raise RefusedError(
        f"'{first.name}' has {_span(first)}, which can be no counts of tokens, and "
        f"{derived.name} gives {_span(derived)}: if these are the tokens, say so in sweep.yaml:\n"
        f"  {proposal}",
        proposal,
    )


def _ask_of_epochs(
    raw: pl.DataFrame, first: _Rival, size: pl.Series | None, table: TableMap
) -> None:
    """Refuse a D beside how often it was read, if it may be that of one epoch."""
    epochs = find_all_epochs(raw.columns)
    bare = plain(first.name) in _OF_ONE_EPOCH or counted_by_words(first.name) != "tokens"
    if epochs is None or not bare or "unique_tokens" in table.columns:
        return
    times = as_numbers(raw[epochs]).drop_nulls()
    if not (times > 1).any() or (times != times.floor()).any():
        return
    unique = next((name for name in raw.columns if plain(name) in UNIQUE), None)
    if unique is not None:  # what an epoch has stands in a column of its own
        return
    factor = f"{as_factor(first.origin.scale)} * " if first.origin.has_unit else ""
    formula = TableColumn(formula=f'"{epochs}" * {factor}"{first.name}"')
    of_epoch = {**table.columns, "tokens": formula, "unique_tokens": first.origin}
    of_one = as_line(table.model_copy(update={"columns": of_epoch}))
    ways = [("of one", of_one), ("of all", as_line(table))]
    counts = (as_numbers(raw[epochs]) * first.numbers, first.numbers)
    if size is not None and not _is_nearer_to_usual(*(each / size for each in counts)):
        ways = ways[::-1]
    told = "\n; ".join(f"if those {of}, say so in sweep.yaml:\n  {line}" for of, line in ways)
    raise RefusedError(
        f"'{first.name}' may be the tokens of one of the '{epochs}' beside it, or those of all: "
        f"{told}",
        ways[0][1],
    )


def _is_nearer_to_usual(ratio: pl.Series, other: pl.Series) -> bool:
    """Tell whether tokens per parameter are nearer to those that runs are mostly given."""
    off = [(each / USUAL_PER_PARAMETER).log().abs().median() for each in (ratio, other)]
    return isinstance(off[0], float) and isinstance(off[1], float) and off[0] <= off[1]


_OF_ONE_EPOCH: Final = frozenset({"tokens", "n_tokens", "num_tokens", "d"})
"""Names of tokens that do not say of what."""


def _ask(value: str, able: Sequence[_Rival], rivals: Sequence[_Rival], table: TableMap) -> None:
    """Refuse columns that may both be a count and differ; one of those that are `able` is named."""
    # a unit in a name says more than a letter, and what was read more than a total, or a plan
    read = (each for each in able if _READ & {*plain(each.name).replace("/", "_").split("_")})
    best = next((each for each in able if each.origin.has_unit), next(read, able[0]))
    if value == "params.total" and "params.active" in table.columns:
        best = max(able, key=lambda each: each.numbers.sum())  # the others are those of a token
    told = " and ".join(f"'{each.name}' ({_span(each)})" for each in rivals)
    proposal = as_line(
        table.model_copy(update={"columns": {**table.columns, value: _with_scale(best.origin)}})
    )
    raise RefusedError(
        f"{told} may each be {value}, and they differ: say in sweep.yaml which is, as in\n"
        f"  {proposal}",
        proposal,
    )


_READ: Final = frozenset({"seen", "processed", "consumed", "trained", "read"})


def _with_scale(origin: TableColumn) -> TableColumn:
    return TableColumn(column=origin.column, scale=origin.scale)


def _span(rival: _Rival) -> str:
    """Give both ends of the counts."""
    known = rival.numbers.filter(rival.numbers.is_finite())
    if not known.len():
        return "no numbers"
    ends = [float(known.min()), float(known.max())]  # type: ignore[arg-type]
    return " to ".join(dict.fromkeys(f"{end:g}" for end in ends))

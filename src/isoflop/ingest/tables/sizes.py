"""Whether a table's N and D can be counts: in millions or billions, both look like numbers, too."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.facts.identity import LEAST_PARAMS
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_line
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import COMPUTE_UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableColumn, TableMap

LEAST: Final = LEAST_PARAMS
"""No run reads fewer tokens than that, either."""
SURE: Final = 1e6
"""A column that has more than this is one of counts: what is in millions has 405,000 at most."""
MOST: Final = {"params.total": 5e12, "tokens": 1e16}
"""More than this has none: a count was taken for millions."""
LEAST_PER_PARAMETER: Final = 1e-3
"""Tokens per parameter of a run: the least of any study is some hundredths."""
USUAL_PER_PARAMETER: Final = 20.0
"""About what runs are given (Hoffmann et al. 2022): by it the proposed units are chosen."""
_OF: Final = {"params.total": "parameters", "tokens": "tokens"}
_OF_STEP: Final = "tokens_per_step"
_ALSO: Final = ("params.nonembedding", "params.active")
_FACTORS: Final = (1e6, 1e9)
_COUNTS: Final = (1.0,)
LEAST_SMALL: Final = 100.0
"""Fewer parameters than that has no model of words, however small."""
DIGITS: Final = 6
"""Decimals to which two choices of units are as near to what is usual as each other."""


@dataclass(slots=True)
class _Range:
    """The least and the most number of a column, and the least that is broken, if one is."""

    least: float = math.inf
    most: float = 0.0
    least_broken: float = math.inf

    def add(self, numbers: pl.Series) -> None:
        """Take in numbers; what cannot be any count is told of elsewhere."""
        known = numbers.filter(numbers.is_finite() & (numbers > 0))
        if known.len():
            self.least = min(self.least, float(known.min()))  # type: ignore[arg-type]
            self.most = max(self.most, float(known.max()))  # type: ignore[arg-type]
            broken = known.filter(known != known.floor())
            if broken.len():
                self.least_broken = min(self.least_broken, float(broken.min()))  # type: ignore[arg-type]

    @property
    def broken(self) -> bool:
        """Tell whether some number is no whole one."""
        return self.least_broken < math.inf

    @property
    def in_a_unit(self) -> bool:
        """Tell whether these are no counts."""
        return 0.0 < self.most < SURE and (self.least < LEAST or self.broken)

    @property
    def may_be_small_counts(self) -> bool:
        """Tell whether these may be counts after all, of models made to learn with."""
        return not self.broken and self.least >= LEAST_SMALL

    @property
    def has_odd_count(self) -> bool:
        """Tell whether among counts is one that is none; large ones are rounded to few digits."""
        return self.most >= SURE > self.least_broken

    @property
    def unit_of_odd_counts(self) -> float:
        """Choose what makes numbers of parameters of them."""
        fits = (unit for unit in (1e3, *_FACTORS) if self.least_broken * unit >= SURE)
        return next(fits, _FACTORS[-1])

    def __str__(self) -> str:
        """Give both ends, and beside counts what is none."""
        if self.has_odd_count:
            return f"{self.least_broken:g} beside {self.most:g}"
        return f"{self.least:g}" if self.least == self.most else f"{self.least:g} to {self.most:g}"


def can_be_counts(value: str, cells: pl.Series, size: pl.Series | None = None) -> bool:
    """Tell whether numbers can be N or D.

    Parameters
    ----------
    value : params.total or tokens.
    size : N of the same rows, beside which D is judged.
    """
    numbers = _Range()
    numbers.add(cells)
    if not 0.0 < numbers.most <= MOST[value] or numbers.in_a_unit:
        return False
    if size is None:
        return True
    ratio = (cells / size).filter((cells > 0) & (size > 0)).max()
    return isinstance(ratio, float) and ratio >= LEAST_PER_PARAMETER


def likely_unit(fact: str, cells: pl.Series) -> tuple[str, float] | None:
    """Tell the range of a column that can be no counts, and what it may be in; None of counts.

    Parameters
    ----------
    fact : tokens_per_step, which may be small and is in thousands, too, or a number of parameters.
    """
    numbers = _Range()
    numbers.add(cells)
    if fact == _OF_STEP:
        return (str(numbers), _unit_of_step(numbers)) if numbers.broken else None
    if not numbers.in_a_unit:
        return None
    fits = (factor for factor in _FACTORS if numbers.least * factor >= SURE)
    return str(numbers), next(fits, _FACTORS[-1])


def _unit_of_step(numbers: _Range) -> float:
    """Choose the unit in which tokens of a step are more than sequences are long."""
    fits = (unit for unit in (1e3, *_FACTORS) if numbers.least * unit >= LEAST_PARAMS)
    return next(fits, _FACTORS[-1])


@dataclass(slots=True)
class Sizes:
    """Asks about a table whose N or D can be no counts, and proposes their units.

    Attributes
    ----------
    table : its map. Where sweep.yaml gives a `scale`, 1 included, nothing is asked.
    guessed : whether names gave it.
    """

    table: TableMap
    guessed: bool
    _sizes: _Range = field(default_factory=_Range)
    _all_tokens: _Range = field(default_factory=_Range)
    _of_step: _Range = field(default_factory=_Range)
    _reached: dict[str | None, float] = field(default_factory=dict)
    """By run of a table of curves the most tokens."""
    _per_parameter: float = 0.0
    """The most tokens per parameter of any row."""

    def add(self, values: pl.DataFrame) -> Sizes:
        """Take in rows, laid out as for `wide.curves_block`."""
        size = tokens = None
        if "params.total" in values.columns:
            size = as_numbers(values["params.total"])
            self._sizes.add(size)
        if "tokens" in values.columns:
            tokens = as_numbers(values["tokens"])
            self._all_tokens.add(tokens)
            if self.table.rows == "points":
                rows = pl.DataFrame([values["run"], tokens.alias("tokens")])
                ends = rows.filter(pl.col("tokens").is_finite()).group_by("run").agg(pl.all().max())
                for run, reached in ends.iter_rows():
                    self._reached[run] = max(self._reached.get(run, 0.0), reached)
        if _OF_STEP in values.columns:
            self._of_step.add(as_numbers(values[_OF_STEP]))
        if size is not None and tokens is not None:
            ratio = (tokens / size).filter((tokens > 0) & (size > 0) & tokens.is_finite()).max()
            self._per_parameter = max(self._per_parameter, float(ratio or 0.0))  # type: ignore[arg-type]
        return self

    def ask(self) -> None:
        """Refuse N and D that can be no counts.

        Raises
        ------
        RefusedError : and a map with units to choose from.
        """
        asked = dict(self._in_a_unit())
        if not asked:
            return
        if "params.total" in asked and self._too_few_beside(_FACTORS[0]):
            asked.setdefault("tokens", self._all_tokens)
        factors = self._likely({v: each for v, each in asked.items() if v in _OF})
        if _OF_STEP in asked:
            factors[_OF_STEP] = _unit_of_step(self._of_step)
        columns = dict(self.table.columns)
        columns |= {v: _scaled(columns[v], factors[v]) for v in asked}
        if "params.total" in asked:
            beside = {v: columns[v] for v in _ALSO if v in columns and not columns[v].has_unit}
            columns |= {v: _scaled(each, factors["params.total"]) for v, each in beside.items()}
        ranges = " and ".join(
            f"'{columns[value].column or columns[value].formula}' has {numbers}"
            for value, numbers in asked.items()
        )
        counts = " and of ".join(_OF.get(value, "tokens of a step") for value in asked)
        by_formula = any(columns[value].formula is not None for value in asked)
        of_compute = ", or of what a formula takes, 1e18 for EFLOPs, 8.64e19 for PF-days"
        proposal = as_line(self.table.model_copy(update={"columns": columns}))
        raise RefusedError(
            f"{ranges}, which can be no counts of {counts}: say in sweep.yaml what they are in, "
            f"scale: 1e6 for millions, 1e9 for billions{of_compute * by_formula} "
            f"(or 1, if each is a count), as in\n  {proposal}",
            proposal,
        )

    def _in_a_unit(self) -> Iterator[tuple[str, _Range]]:
        """Name the values that are no counts."""
        ends = _Range(least_broken=self._all_tokens.least_broken)
        if self.table.rows == "points":
            ends.add(pl.Series([*self._reached.values()], dtype=pl.Float64))
        else:
            ends = self._all_tokens
        for value, numbers in (("params.total", self._sizes), ("tokens", ends)):
            told = value in self.table.columns and self.table.columns[value].has_unit
            odd = (
                numbers.has_odd_count
                and value == "params.total"
                and value in self.table.columns
                and self.table.columns[value].formula is None
            )
            too_many = self.guessed and MOST[value] < numbers.least < math.inf
            few = (
                value == "tokens"
                and 0.0 < self._per_parameter < LEAST_PER_PARAMETER
                and numbers.most < SURE
            )
            if too_many if told else numbers.in_a_unit or few or odd:
                yield value, numbers
        of_step = self.table.columns.get(_OF_STEP)
        if of_step is not None and not of_step.has_unit and self._of_step.broken:
            yield _OF_STEP, self._of_step

    def _too_few_beside(self, factor: float) -> bool:
        """Tell whether D would be too few tokens where N is multiplied: both are in a unit."""
        told = "tokens" in self.table.columns and self.table.columns["tokens"].has_unit
        few = 0.0 < self._per_parameter / factor < LEAST_PER_PARAMETER
        return not told and few and self._all_tokens.most < SURE

    def _likely(self, asked: dict[str, _Range]) -> dict[str, float]:
        """Choose the units that come nearest to usual tokens per parameter."""
        middle = {
            value: math.sqrt(numbers.least * numbers.most)
            for value, numbers in (("params.total", self._sizes), ("tokens", self._all_tokens))
            if numbers.most
        }
        choices: list[tuple[float, int, list[float], dict[str, float]]] = []
        ways = [
            (each.unit_of_odd_counts,) if each.has_odd_count
            else (*_FACTORS, *COMPUTE_UNITS) if self.table.columns[value].formula is not None
            else (*_COUNTS, *_FACTORS) if each.may_be_small_counts
            else _FACTORS
            for value, each in asked.items()
        ]  # fmt: skip
        for factors in itertools.product(*ways):
            units = dict(zip(asked, factors, strict=True))
            # a count that was taken for millions by its column's name
            units |= {v: 1.0 for v in asked if self.table.columns[v].has_unit}
            size, tokens = (middle.get(value, math.nan) * units.get(value, 1.0) for value in _OF)
            off = abs(math.log(tokens / size / USUAL_PER_PARAMETER))
            small = sum(asked[v].least * factor < SURE for v, factor in units.items())
            off = off if math.isfinite(off) else 0.0
            choices.append((round(off, DIGITS), small, [*units.values()], units))
        return min(choices, key=lambda choice: choice[:-1])[-1]


def _scaled(origin: TableColumn, factor: float) -> TableColumn:
    told = {name: getattr(origin, name) for name in origin.model_fields_set - {"scale"}}
    return type(origin)(**told, scale=factor)

"""Lines that the ranks of one run print each: the lowest rank's count, where the rest repeat them.

What tells the ranks of a run from runs beside each other (`srun --label` of two tasks) is in the
lines: runs differ in a setting, or in their losses by more than the noise of a batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.tables.same_losses import differ_by_noise
from isoflop.ingest.words.names import find_count, plain
from isoflop.ingest.words.split_words import word_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

ABREAST: Final = 0.9
"""Share of the other ranks' lines whose steps the lowest has at least."""
_MEASURED: Final = re.compile(
    word_of(
        frozenset(
            {"norm", "gnorm", "acc", "accuracy", "time", "ms", "s", "sec", "secs", "second",
             "seconds", "dt", "elapsed", "eta", "mem", "memory", "gb", "gib", "mb", "mib", "util",
             "mfu", "hfu", "flops", "tflops", "tps", "throughput", "speed", "temp", "power"}
        )
    )
)  # fmt: skip
"""Words of what ranks measure each for itself; all else of their lines is the same."""


@dataclass(frozen=True, slots=True)
class OneOfRanks:
    """Lines of which no rank repeats those of a lower one.

    Attributes
    ----------
    kept : the lines.
    lowest : the rank whose lines other ranks repeat; None where none are left out.
    others : the ranks whose lines are left out.
    counts : names of tokens in what is left out, which may be one rank's share.
    """

    kept: pl.DataFrame
    lowest: int | None = None
    others: tuple[int, ...] = ()
    counts: tuple[str, ...] = ()

    def asked(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ask whose tokens ranks count that print the same number each."""
        if not self.counts:
            return
        name = self.counts[0]
        ranks = (self.lowest, *self.others)
        why = f"{len(ranks)} ranks print the same '{name}' at a step"
        if find_count("tokens", [name]) is None or ranks != (*range(len(ranks)),):
            yield (
                f"{why}: leave it out, and say tokens_per_step of all ranks under facts:",
                {"tokens": None},
            )
            return
        yield (
            f'{why}: if they count those of all ranks, write tokens: "{name}" in the map below, '
            f"which takes it for each rank's share",
            {"tokens": {"column": name, "scale": len(ranks)}},
        )


def lowest_of_ranks(
    lines: pl.DataFrame, *, row: str, rank: str, axes: Sequence[str], losses: Collection[str]
) -> OneOfRanks:
    """Leave out the lines in which a rank repeats what a lower one says of the same steps.

    Numbers before lines are of ranks where they take turns and the lowest has about the steps that
    the others have: else they count epochs or restarts, or name hosts that one run moved between.
    What another rank alone prints, as evaluations, is kept. Where a rank's lines differ in a
    setting, a count, their names or their mean loss, all lines stay, to be asked about.

    Parameters
    ----------
    lines : those of all ranks in the order of the file.
    row, rank : columns of the line's number, and of the rank before it.
    axes : columns of steps and tokens.
    losses : columns of losses.
    """
    names = [name for name in lines.columns if name in losses]
    rest = lines.with_columns(axis=pl.coalesce(axes)).drop_nulls([rank, "axis"])
    lowest, copies = None, []
    while rest.height:
        first_rank = int(rest[rank].min())  # type: ignore[arg-type]
        is_first = pl.col(rank) == first_rank
        first, others = rest.filter(is_first), rest.filter(~is_first)
        known = [name for name in names if first[name].count()]
        has = _any_of(known)
        repeated, rest = others.filter(has), others.filter(~has)
        if repeated.is_empty():
            continue
        more = [name for name in names if name not in known]
        if repeated.filter(_any_of(more)).height or not _abreast(first, repeated, row, rank):
            return OneOfRanks(lines)
        settings = [n for n in lines.columns if n not in {*names, row, rank}]
        each = repeated.partition_by(rank)
        if not all(_repeats(first, other, settings, known) for other in each):
            return OneOfRanks(lines)
        lowest = first_rank if lowest is None else lowest
        copies.append(repeated)
    if lowest is None:
        return OneOfRanks(lines)
    left = pl.concat(copies)
    of_tokens = (
        name
        for name in left.columns
        if any(find_count(value, [name]) for value in ("tokens", "tokens_per_step"))
        and left[name].count()
    )
    kept = lines.join(left.select(row), on=row, how="anti", maintain_order="left")
    return OneOfRanks(kept, lowest, tuple(sorted(left[rank].unique())), tuple(of_tokens))


def _any_of(names: Sequence[str]) -> pl.Expr:
    """Tell whether a line has any of some values."""
    return pl.any_horizontal(pl.lit(value=False), *(pl.col(name).is_not_null() for name in names))


def _abreast(first: pl.DataFrame, others: pl.DataFrame, row: str, rank: str) -> bool:
    """Tell whether ranks take turns through the same steps."""
    reached = others["axis"].is_in(first["axis"].unique().implode()).mean()
    begun = others.group_by(rank).agg(pl.col(row).min())
    turns = (begun[row] < first[row].max()).all()
    return isinstance(reached, float) and reached >= ABREAST and turns


def _repeats(
    first: pl.DataFrame, other: pl.DataFrame, settings: Sequence[str], losses: Sequence[str]
) -> bool:
    """Tell whether a rank says of its steps what the lowest does, up to the noise of a batch."""
    both = first.unique("axis", keep="first", maintain_order=True).join(
        other.unique("axis", keep="first"), on="axis", suffix=" there", maintain_order="left"
    )
    for name in settings:
        if _MEASURED.search(plain(name)) or not other[name].count():
            continue
        here, there = both[name], both[f"{name} there"]
        if not first[name].count() or not (here == there).all(ignore_nulls=True):
            return False
    apart = (both.select(pl.col(name) - pl.col(f"{name} there")) for name in losses)
    return all(differ_by_noise(each.to_series().drop_nulls().to_numpy()) for each in apart)

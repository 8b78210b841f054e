"""Tables with columns of the same runs: a panel of one metric each, or histories and their runs.

By parts they would be launches, of which a later one replaces what an earlier one has of the same
steps. Where they measure different things, or the same with the same values, their rows are joined
by step instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.tables.one_step import OWN_STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.runs.logical_runs import Part

SAME: Final = 0.01
"""Relative difference up to which two files agree on D at a step."""
_MEASURED: Final = ("train_loss", "lr", "grad_norm", "tokens_per_second", "flops")
_KEY: Final = ("kind", "step", "eval_set", "metric")


def fill_each_other(parts: Sequence[Part]) -> bool:
    """Tell whether parts of a run are tables whose rows can be joined by step.

    Of two folders, as of two seeds, only those that sweep.yaml calls one run are; rows of finished
    runs, and evaluations alone, may stand in a folder above that of the histories.
    """
    if len(parts) < 2 or any(part.log.format != "table" or part.continues for part in parts):
        return False
    if not _in_one_place(parts) and any(part.log.run is None for part in parts):
        return False
    histories = [part.records for part in parts if not is_end(part)]
    ends = [part.records for part in parts if is_end(part)]
    if len(kinds_of_steps(parts)) > 1:
        return False
    rise = all(map(_only_rises, histories)) and _share_their_steps(histories)
    return rise and _agree(histories) and _agree(ends) and count_apart(parts) is None


def _in_one_place(parts: Sequence[Part]) -> bool:
    """Tell whether files lie in one folder, or those of no curve in training above all others."""
    folders = {folder_of(part) for part in parts if not (is_end(part) or is_evaluated(part))}
    above = {folder_of(part) for part in parts if is_end(part) or is_evaluated(part)}
    if len(folders | above) < 2:
        return True
    return len(folders) == 1 and all(is_below(folder, each) for folder in folders for each in above)


def folder_of(part: Part) -> str:
    """Give the folder that a part's file lies in."""
    return part.log.file.name.rpartition("/")[0]


def is_below(folder: str, above: str) -> bool:
    """Tell whether a folder is another one, or lies in it."""
    return not above or f"{folder}/".startswith(f"{above}/")


def kinds_of_steps(parts: Sequence[Part]) -> dict[str, str]:
    """List what parts call their steps, and a file of each, where W&B's own are among them."""
    kinds: dict[str, str] = {}
    for part in parts:
        if part.run.counts_by and not is_end(part):
            kinds.setdefault(part.run.counts_by, part.log.file.name)
    return kinds if OWN_STEP in kinds else {}


def _agree(files: Sequence[pl.DataFrame]) -> bool:
    """Tell whether files measure different things, or the same with the same values."""
    if len(files) < 2:
        return True
    values = pl.concat([_values(records, place) for place, records in enumerate(files)])
    at_steps = values.group_by("measure", "step").agg(
        parts=pl.col("part").n_unique(),
        least=pl.col("value").min(),
        most=pl.col("value").max(),
        several=pl.col("value").n_unique() > 1,
    )
    shared = at_steps.filter(pl.col("parts") > 1)
    is_count = pl.col("measure") == "tokens"
    differ = pl.when(is_count).then(pl.col("most") > (1 + SAME) * pl.col("least"))
    if shared.select(differ.otherwise("several").any()).item():
        return False
    # what two files have of one thing at different steps are stretches of its curve
    of_each = (
        values.filter(~is_count)
        .group_by("measure", "part")
        .agg(first=pl.col("step").min(), last=pl.col("step").max())
    )
    twice = of_each.filter(pl.len().over("measure") > 1)
    covers = (pl.col("first") == pl.col("first").min()) & (pl.col("last") == pl.col("last").max())
    stretches = twice.group_by("measure").agg(covers=covers.any()).filter(~pl.col("covers"))
    return stretches.is_empty() and set(twice["measure"]) <= set(shared["measure"])


def count_apart(parts: Sequence[Part]) -> str | None:
    """Say where D of two parts, that of a finished run at the end, makes no one rising count."""
    placed = [
        records.select("step", "tokens").with_columns(part=pl.lit(place))
        for place, records in enumerate(_placed(parts))
    ]
    ordered = [part for part in parts if not is_end(part)] + [*filter(is_end, parts)]
    counted = pl.concat(placed).drop_nulls("tokens").sort("step", -pl.col("tokens"))
    # at its step and at those before, no file is above another by more than rounding
    most = pl.col("tokens").cum_max()
    below = counted.with_columns(most=most).filter(pl.col("most") > (1 + SAME) * pl.col("tokens"))
    if below.is_empty():
        return None
    step, tokens, place, _ = below.row(0)
    before = counted.filter(pl.col("step") <= step).sort("tokens")
    other, above, of = before.row(-1)
    return (
        f"{ordered[of].log.file.name} counts {above:.6g} tokens by step {other}, and "
        f"{ordered[place].log.file.name} {tokens:.6g} by step {step}"
    )


def is_end(part: Part) -> bool:
    """Tell a row of a table of finished runs, which is of no step that it names."""
    run = part.run
    return run.status == "finished" and run.steps == (1, 1) and run.counts_tokens


def is_evaluated(part: Part) -> bool:
    """Tell rows of evaluations alone, at steps that they name."""
    run = part.run
    return not run.trains and run.steps is not None and run.status != "finished"


def joined_by_step(parts: Sequence[Part]) -> pl.DataFrame:
    """Join the records of parts that fill each other; a row of a finished run is of the end."""
    records = pl.concat(_placed(parts)).with_columns(run=pl.lit(""))
    rest = [name for name in records.columns if name not in _KEY]
    joined = records.group_by(_KEY, maintain_order=True).agg(pl.col(rest).drop_nulls().first())
    return joined.sort("step", maintain_order=True).select(records.columns)


def _placed(parts: Sequence[Part]) -> list[pl.DataFrame]:
    """List the records of parts, those of finished runs at the last step of the histories."""
    histories = [part.records for part in parts if not is_end(part)]
    last = max((int(records["step"].max() or 0) for records in histories), default=1)  # type: ignore[arg-type]
    ends = [
        part.records.with_columns(step=pl.lit(last, pl.Int64)) for part in parts if is_end(part)
    ]
    return [*histories, *ends]


def _values(records: pl.DataFrame, place: int) -> pl.DataFrame:
    """Lay out what a part measured: step, measure, value, part."""
    trained = records.unpivot(
        on=[*_MEASURED, "tokens"], index="step", variable_name="measure", value_name="number"
    )
    evaluated = records.filter(pl.col("kind") == "eval").select(
        "step", pl.concat_str("eval_set", "metric", separator="\0").alias("measure"), "value"
    )
    both = pl.concat([trained.rename({"number": "value"}), evaluated]).drop_nulls("value")
    return both.with_columns(part=pl.lit(place))


def _only_rises(records: pl.DataFrame) -> bool:
    """Tell a history without restarts."""
    back = (pl.col("step").diff() < 0).over("kind", "eval_set", "metric")
    return not records.select((back | (pl.col("kind") == "restart")).any()).item()


def _share_their_steps(histories: Sequence[pl.DataFrame]) -> bool:
    """Tell whether steps of all histories count the same: without any, rows were counted by D."""
    steps = [records["step"].unique().sort() for records in histories]
    counted = [
        each.len() > 1
        and each[0] in (0, 1)
        and each[-1] - each[0] == each.len() - 1
        and records["tokens"].null_count() == 0
        for each, records in zip(steps, histories, strict=True)
    ]
    return not any(counted) or all(each.equals(steps[0]) for each in steps)

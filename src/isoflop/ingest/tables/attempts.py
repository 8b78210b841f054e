"""Attempts at a run in the rows of a table: blocks whose steps begin anew at the first.

Most are restarts from scratch. Two that went by other learning rates are runs of their own, unless
the former died: it got less far, and its rate was on its way up or down. Where losses or tokens go
on, the counter was set to 0, and nothing else begins anew.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.reading.events import Excluded, Remark
from isoflop.ingest.tables.wide import ROW, as_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ALIKE: Final = 0.01
"""Relative difference of learning rates that are of one schedule, written to a few digits."""
SHARED: Final = 3
"""Steps at which two attempts have a rate, from which these may be of two schedules."""
DIFFER: Final = 0.25
"""Share of these at which the rates differ: schedules of several lengths begin alike."""
DEAD: Final = 0.25
"""Share of the steps of a run below which what began it was a dead start, and no shorter run."""
DECAYED: Final = 0.5
"""Share of its peak to which the rate of a schedule comes down by its end."""
STEADY: Final = 1e-4
"""Share of its peak by which the rate of a schedule without a decay may seem to come down."""
ON_ITS_WAY: Final = 0.9
"""Fall of a rate in the last third of its way down, in those of the one before, below which it
comes to an end: by a cosine's second half, or by an inverse square root, which has none."""
LEAST: Final = 5
"""Rows of an attempt from which its curve says where another one goes on."""
NEAR_THE_END: Final = 0.25
"""Share of the way of a loss from its first to its last within which another block goes on."""
CURVED: Final = 0.1
"""Nats that a loss falls at least where its first and its last are told apart."""
JUMP: Final = 0.25
"""Nats by which a loss is off at least where another stage of training begins."""
JUMPS: Final = 4.0
"""Greatest change of a loss from row to row beside it, beyond which it jumps."""
APART: Final = 2.0
"""Usual distances of rows by which a count is off that was set to 0."""
FAR: Final = 3.0
"""Usual distances of rows beyond which a restart does not begin behind what survives."""
EXACT: Final = 0.01
"""Relative difference of the counts of rows that are in one proportion."""


def numbered(rows: pl.DataFrame, falls: pl.Expr | None = None) -> pl.DataFrame:
    """Count the attempts at runs, from 0 on, as `attempt`.

    Parameters
    ----------
    rows : `run` and `step` of rows with a step, in the order of the file.
    falls : whether a row's step falls; None: by the steps themselves.
    """
    falls = pl.col("step").diff() < 0 if falls is None else falls
    begins = (pl.col("step") <= pl.col("step").first()) & falls
    told = begins.over("run").fill_null(value=False)
    return rows.with_columns(attempt=told.cast(pl.Int64)).with_columns(
        pl.col("attempt").cum_sum().over("run")
    )


def _repeats() -> pl.Expr:
    """Tell of each run whether it has any step twice: rows in another order have not."""
    return pl.struct("run", "step").is_duplicated().any().over("run")


def have_died(attempts: pl.DataFrame) -> bool:
    """Tell whether any attempt got less far than a later one by more than shorter runs do.

    Parameters
    ----------
    attempts : `run`, `attempt` and the last `step` of each.
    """
    dead = pl.col("step") < DEAD * pl.col("step").max().over("run")
    return bool(attempts.select(dead.any()).item())


def counted_on(
    values: pl.DataFrame, stem: str, *, anew: bool = False
) -> tuple[pl.DataFrame, list[Remark], list[Excluded]]:
    """Count steps on where a resume set them to 0 and tokens go on, and tokens where steps do.

    So a counter is known that wrapped. Both counts must be in the same proportion throughout.
    Where the loss jumps there, or the rate rises once more, another stage of training begins.

    Parameters
    ----------
    values, stem : as of `branches.with_branches`.
    anew : whether sweep.yaml says that it is one run, whatever changes.

    Returns
    -------
    The values, what was done, and the stages that are left out.
    """
    if not {"step", "tokens"} <= set(values.columns):
        return values, [], []
    counts = [as_numbers(values[name]).alias(name) for name in ("step", "tokens")]
    beside = [
        as_numbers(values[name]).alias(name)
        for name in ("train_loss", "lr")
        if name in values.columns
    ]
    placed = values.select(ROW, pl.col("run").fill_null("")).with_columns(*counts, *beside)
    known = placed.filter(pl.col("step").is_finite(), pl.col("tokens").is_finite())
    falls = pl.col("step", "tokens").diff().over("run") < 0
    told = known.with_columns(falls.name.suffix(" falls")).with_columns(
        part=pl.any_horizontal("step falls", "tokens falls").fill_null(value=False)
    )
    if not told["part"].any():
        return values, [], []
    told = told.with_columns(pl.col("part").cast(pl.Int64).cum_sum().over("run"))
    begins: list[tuple[str, int, str, float]] = []
    stages: dict[str, list[int]] = {}
    for (run,), of_run in told.group_by("run", maintain_order=True):
        parts = of_run.partition_by("part", maintain_order=True)
        off_by = _set_to_0(parts)
        others = (
            [_is_another_stage(*both) for both in pairwise(parts)] if off_by and not anew else []
        )
        if any(others):
            rows = [int(part[ROW][0]) for part in parts[1:]]
            stages[str(run)] = [row for row, other in zip(rows, others, strict=True) if other]
        else:
            begins += [(str(run), *each) for each in off_by]
    values, left = _with_stages(values, stages, stem)
    if not begins:
        return values, [], left
    off = pl.DataFrame(
        [(run, row, name, by) for run, row, name, by in begins],
        schema={"run": pl.String, ROW: values.schema[ROW], "count": pl.String, "by": pl.Float64},
        orient="row",
    )
    changed = []
    for count in counts:
        of_count = off.filter(count=count.name).select("run", ROW, "by")
        by = placed.join(of_count, on=["run", ROW], how="left", maintain_order="left")
        filled = by.select(pl.col("by").forward_fill().over("run").fill_null(0.0)).to_series()
        changed.append((count + filled).alias(count.name))
    _, row, name, _ = next(each for each in begins if each[3])
    other = "tokens" if name == "step" else "step"
    words = {"step": "steps", "tokens": "tokens"}
    remark = (
        f"its {words[name]} begin anew in row {row} while its {words[other]} go on, as where a "
        f"resume sets a counter to 0: they were counted on from there"
    )
    return values.with_columns(changed), [Remark(remark)], left


def _is_another_stage(before: pl.DataFrame, later: pl.DataFrame) -> bool:
    """Tell whether a loss jumps between parts of a run, or a rate that came down rises again."""
    if "lr" in before.columns and _has_come_down(before):
        last, peak = before["lr"].drop_nulls().drop_nans()[-1], later["lr"].max()
        if isinstance(peak, float) and DECAYED * peak >= last:
            return True
    if "train_loss" not in before.columns:
        return False
    axis = "tokens" if later["step falls"][0] else "step"
    known = [each.filter(pl.col("train_loss").is_finite()) for each in (before, later)]
    near = known[0].filter(pl.col(axis) <= later[axis][0]).tail(LEAST)["train_loss"]
    begin = known[1]["train_loss"].head(LEAST)
    if min(near.len(), begin.len()) < SHARED:
        return False
    changes = [each.diff().abs().max() for each in (near, begin)]
    off = abs(begin.head(SHARED).mean() - near.tail(SHARED).mean())  # type: ignore[operator, arg-type]
    return bool(off > max(JUMP, JUMPS * max(changes)))  # type: ignore[type-var, operator]


def _with_stages(
    values: pl.DataFrame, stages: Mapping[str, Sequence[int]], stem: str
) -> tuple[pl.DataFrame, list[Excluded]]:
    """Name the stages of runs after their order, and leave out those behind the first.

    Parameters
    ----------
    stages : by run, the rows that another one begins with.
    """
    left: list[Excluded] = []
    names = pl.col("run")
    for run, rows in stages.items():
        of_run = pl.col("run").fill_null("") == run
        for number, row in enumerate([0, *rows], 1):
            name = f"{run or stem}-{number}"
            names = pl.when(of_run & (pl.col(ROW) >= row)).then(pl.lit(name)).otherwise(names)
            if number > 1:
                why = (
                    f"its steps begin anew in row {row} while its tokens go on, and its loss jumps "
                    f"there or its learning rate rises once more: another stage of training, begun "
                    f"from '{run or stem}-{number - 1}', whose tokens are no D of its own. If it "
                    f"is a run, give it a file of its own, with the tokens that it was trained on"
                )
                left.append(Excluded(why, name))
    return values.with_columns(names.alias("run")) if stages else values, left


def _set_to_0(parts: Sequence[pl.DataFrame]) -> list[tuple[int, str, float]]:
    """List from which rows on by how much a count is off; into nothing without one proportion.

    Parameters
    ----------
    parts : of a run's rows, each of rising steps and tokens.
    """
    lines = [_line(part) for part in parts]
    first = lines[0]
    if first is None or any(
        line is None or abs(line[0] - first[0]) > EXACT * first[0] for line in lines
    ):
        return []
    begins: list[tuple[int, str, float]] = []
    for part, line in zip(parts, lines, strict=True):
        assert line is not None  # noqa: S101  looked at above
        slope, ahead, spacing = line
        row = int(part[ROW][0])
        off = ahead - first[1]
        steps = off > APART * spacing and bool(part["step falls"][0])
        tokens = off < -APART * spacing and bool(part["tokens falls"][0])
        begins.append((row, "step", round(off / slope) if steps else 0.0))
        begins.append((row, "tokens", -off if tokens else 0.0))
        if abs(off) > APART * spacing and not (steps or tokens):
            return []
    return begins if any(by for _, _, by in begins) else []


def _line(part: pl.DataFrame) -> tuple[float, float, float] | None:
    """Give the tokens of a step, the tokens before step 0 and the usual distance of rows in tokens.

    None of rows that are not in one proportion.
    """
    if part.height < 2:
        return None
    step, tokens = part["step"], part["tokens"]
    run = float(step[-1]) - float(step[0])
    if run <= 0 or float(tokens[-1]) <= float(tokens[0]):
        return None
    slope = (float(tokens[-1]) - float(tokens[0])) / run
    ahead = float(tokens[0]) - slope * float(step[0])
    spacing = slope * float(step.diff().median() or 0.0)  # type: ignore[arg-type]
    off = (tokens - slope * step - ahead).abs().max()
    return (slope, ahead, spacing) if off <= spacing else None  # type: ignore[operator]


def set_to_0(values: pl.DataFrame) -> dict[str | None, str]:
    """Tell by run where its steps begin anew and its losses go on.

    Parameters
    ----------
    values : as of `with_schedules`.
    """
    if not {"step", "train_loss"} <= set(values.columns):
        return {}
    counts = {"step": as_numbers(values["step"]), "loss": as_numbers(values["train_loss"])}
    known = values.select(ROW, "run", **counts).filter(
        pl.col("step").is_finite(), pl.col("loss").is_finite()
    )
    told = numbered(known).filter(_repeats())
    reasons: dict[str | None, str] = {}
    for (run,), of_run in told.filter((pl.col("attempt").max() > 0).over("run")).group_by(
        "run", maintain_order=True
    ):
        attempts = of_run.partition_by("attempt", maintain_order=True)
        for before, later in pairwise(attempts):
            first, end = before["loss"][0], before["loss"].tail(LEAST // 2).median()
            if before.height < LEAST or not isinstance(end, float) or first - end <= CURVED:
                continue
            begin = later["loss"].head(LEAST // 2).median()
            if abs(begin - end) <= NEAR_THE_END * (first - end):  # type: ignore[operator]
                name = None if run is None else str(run)
                named = f"run '{run}': " if run else ""
                reasons.setdefault(
                    name,
                    f"{named}its steps begin anew in row "
                    f"{later[ROW][0]} while its losses go on ({later['loss'][0]:g} behind "
                    f"{before['loss'][-1]:g}; the first step had {first:g}): a counter was set to "
                    f"0 at a resume, and nothing says how many updates had been made by then. "
                    f"Count the rows on from there, by a column of all steps or tokens so far; or "
                    f"give each part a file of its own, if they are runs",
                )
    return reasons


def jumps(known: pl.DataFrame) -> dict[str | None, tuple[int, float, float]]:
    """Tell by run where it jumps over steps that rows before have, and that none makes anew.

    A restart begins at what survives. Where branches of a trunk stand behind it, the second begins
    far beyond the end of the first, in distances of its rows and of those before. Where a rate goes
    on, that a branch would have brought down, a log lost rows.

    Parameters
    ----------
    known : `run`, `step` and `ROW` of rows with a loss, in the order of the file; and `lr`, if they
        have it.

    Returns
    -------
    The row, the step that survives before it, and its own.
    """
    falls = (pl.col("step").diff() < 0).any().over("run") & _repeats()
    rising = pl.col("step").diff().over("run")
    usual = known.with_columns(gap=rising).filter(pl.col("gap") > 0)["gap"].median()
    if not isinstance(usual, float):
        return {}
    told: dict[str | None, tuple[int, float, float]] = {}
    for (run,), of_run in known.filter(falls).group_by("run", maintain_order=True):
        lasting: list[tuple[float, int, int]] = []
        gone: list[float] = []
        for place, (step, row) in enumerate(of_run.select("step", ROW).iter_rows()):
            while lasting and lasting[-1][0] >= step:
                gone.append(lasting.pop()[0])
            lasting.append((step, row, place))
        survive = of_run[[place for _, _, place in lasting]]
        for place, ((before, *_), (step, row, _)) in enumerate(pairwise(lasting), 1):
            behind = survive["step"].slice(place, LEAST).diff().median()
            far = step - before > FAR * max(usual, behind if isinstance(behind, float) else 0.0)
            over = far and any(before < each < step for each in gone)
            if over and not _goes_on(survive, place):
                told[None if run is None else str(run)] = (row, before, step)
                break
    return told


def _goes_on(survive: pl.DataFrame, place: int) -> bool:
    """Tell whether a curve goes on at one of its rows by the rates there: a branch's came down."""
    if "lr" not in survive.columns:
        return False
    before, behind = survive["lr"][place - 1], survive["lr"][place]
    if before is None or behind is None or not math.isfinite(before):
        return False
    return bool(behind <= (1 + ALIKE) * before)


def with_schedules(
    values: pl.DataFrame, stem: str, *, but: Collection[str | None] = (), each: bool = False
) -> tuple[pl.DataFrame, list[Remark]]:
    """Name runs of one name after their order where each begins anew, by another schedule.

    A restart has the same learning rates at the same steps, or was begun with others and died.

    Parameters
    ----------
    values, stem : as of `branches.with_branches`.
    but : runs that are left as they are.
    each : whether sweep.yaml says that none is a restart, whatever the rates.

    Returns
    -------
    The values, and what was done.
    """
    needed = {"step"} if each else {"step", "lr"}
    if not needed <= set(values.columns):
        return values, []
    rate = as_numbers(values["lr"]) if "lr" in values.columns else pl.lit(None, pl.Float64)
    step = as_numbers(values["step"])
    placed = values.select(ROW, pl.col("run").fill_null(""), step=step, lr=rate)
    known = numbered(placed.filter(pl.col("step").is_finite()))
    known = known.filter(~pl.col("run").is_in([name or "" for name in but]))
    repeated = known.filter((pl.col("attempt").max() > 0).over("run"))
    named: dict[int, str] = {}
    for (run,), of_run in repeated.group_by("run", maintain_order=True):
        attempts = of_run.partition_by("attempt", maintain_order=True)
        blocks = [*range(1, len(attempts) + 1)] if each else _blocks(attempts)
        for block, rows in zip(blocks, attempts, strict=True):
            named |= dict.fromkeys(rows[ROW] if blocks[-1] > 1 else [], f"{run or stem}-{block}")
    if not named:
        return values, []
    names = [named.get(row, run) for row, run in values.select(ROW, "run").iter_rows()]
    count = f"a run of its own, {len({*named.values()})} in all, such as '{min(named.values())}'"
    why = (
        f"its steps begin anew at the first, which sweep.yaml calls no restart: each time {count}"
        if each
        else f"its steps begin anew at the first, and have other learning rates then: each "
        f"schedule is {count}; if it is one run that was restarted, say `restarts: true` in the "
        f"table's map"
    )
    return values.with_columns(pl.Series("run", names, dtype=pl.String)), [Remark(why)]


def _blocks(attempts: Sequence[pl.DataFrame]) -> list[int]:
    """Give attempts the numbers of their schedules; one that died is of that of the next."""
    blocks: list[int] = []
    block, before = 1, None
    died = 0
    for place, attempt in enumerate(attempts):
        if _has_died(attempt, attempts[place + 1 :]):
            died += 1
            continue
        if before is not None and _rates_differ(before, attempt):
            block += 1
        blocks += [block] * (died + 1)
        before, died = attempt, 0
    return blocks


def _has_died(attempt: pl.DataFrame, later: Sequence[pl.DataFrame]) -> bool:
    """Tell whether an attempt ended before its schedule did, and a later one got further.

    A constant rate has no end of its own, and may have been all of a run.
    """
    reached = attempt["step"].max()
    further = [each for each in later if each["step"].max() > reached]  # type: ignore[operator]
    if not further or _has_come_down(attempt):
        return False
    longest = max(further, key=lambda each: each["step"].max() or 0.0)
    reaches = pl.DataFrame({"run": ["", ""], "step": [reached, longest["step"].max()]})
    short = have_died(reaches)
    if short and (_warms_up(attempt) or not _rates_differ(attempt, longest)):
        return True
    return (short or _has_come_down(longest)) and comes_down(attempt)


def _warms_up(attempt: pl.DataFrame) -> bool:
    """Tell whether the rate of an attempt rises until its last row, as no schedule ends."""
    rates = attempt["lr"].filter(attempt["lr"].is_finite())
    return rates.is_empty() or rates.arg_max() == rates.len() - 1


def comes_down(attempt: pl.DataFrame) -> bool:
    """Tell whether an attempt ended amid the decay of its rate, by a line or a cosine."""
    rated = attempt.filter(pl.col("lr").is_finite())
    rates = rated["lr"]
    peak = rates.max()
    if not isinstance(peak, float) or rates[-1] >= (1 - STEADY) * peak:
        return False
    # the last row of the peak: a decay behind a constant rate begins there
    begin = int((rates >= (1 - STEADY) * peak).arg_true()[-1])
    way = rated.slice(begin)
    thirds = np.linspace(float(way["step"][0]), float(way["step"][-1]), 4)
    at = np.interp(thirds, way["step"].to_numpy(), way["lr"].to_numpy())
    return bool(at[2] - at[3] >= ON_ITS_WAY * (at[1] - at[2]))


def _has_come_down(attempt: pl.DataFrame) -> bool:
    """Tell whether the last rate of an attempt is far below its peak."""
    rates = attempt["lr"].filter(attempt["lr"].is_finite())
    return not rates.is_empty() and rates[-1] <= DECAYED * rates.max()  # type: ignore[operator]


def _rates_differ(before: pl.DataFrame, later: pl.DataFrame) -> bool:
    """Tell whether attempts have other rates at the steps of both, and not in the warm-up alone."""
    rated = [
        each.filter(pl.col("lr").is_finite()).select("step", "lr").unique("step", keep="last")
        for each in (before, later)
    ]
    if all(each["lr"].n_unique() < 2 for each in rated):
        return False  # a rate throughout names its run, as other settings do
    both = rated[0].join(rated[1], on="step").sort("step")
    differ = (both["lr"] - both["lr_right"]).abs() > ALIKE * both["lr"].abs()
    behind = differ.slice(both.height // 2)
    enough = int(differ.sum()) >= DIFFER * both.height
    return both.height >= SHARED and enough and int(behind.sum()) >= DIFFER * behind.len()

"""Launches of one run in files apart, whose names say so and which go on where another ended.

`N0/log_0.csv` and `N0/log_1.csv`, `2026-01-01.csv` and `2026-01-02.csv`, `job_11/` and `job_12/`,
`N0.jsonl` and `N0_resume.jsonl`: a run of its own begins at its first step. At the seam the rate
and the loss go on: what was begun from the end of a run on other data, or on a schedule of its own,
is another run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.launch_files import agree_in_seeds, put_behind
from isoflop.ingest.same_losses import differ_by_noise, go_on
from isoflop.ingest.sidefiles import stem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.ingest.runs import Part

LATE: Final = 1.5
"""Intervals of a log within which a run's first line comes."""
SAME: Final = 0.01
"""Relative difference of two learning rates that are one."""
DOWN: Final = 0.15
"""Rate in the highest up to which a schedule has come down to its end, unless it goes on down."""
FLAT: Final = 1e-4
"""Relative change of a rate that is none: the last hundredth of a cosine changes by more."""
_RESUMED: Final = re.compile(
    r"[-_. ]?(?:resumed?|restart(?:ed)?|cont(?:inued?|inuation)?|requeued?)(?=$|[-_. /0-9])"
)
_RESUMED_LAST: Final = re.compile(rf"{_RESUMED.pattern}[-_. ]?[0-9]*$")
"""The same with the launch's number at the end of a name."""
_NUMBER: Final = re.compile(
    r"(?<![0-9])(?:[0-9]{4}[-_.]?[0-9]{2}[-_.]?[0-9]{2}(?:[-_T. ]?[0-9]{2}[-_:.]?[0-9]{2}"
    r"(?:[-_:.]?[0-9]{2})?)?|[0-9]+)(?![0-9])(?!\.[0-9])(?![kmbt](?![a-z]))",
    re.IGNORECASE,
)
"""A date, or a number that is no size of a model or of data."""


def goes_on(earlier: Part, later: Part) -> bool:
    """Tell by the steps whether a launch was resumed from a checkpoint of an earlier one.

    A new run's first line comes after one interval of its log; a resumed one's comes later than
    that, and no later than the earlier launch got.
    """
    if earlier.run.steps is None or later.run.steps is None:
        return False
    (_, last), (first, end) = earlier.run.steps, later.run.steps
    interval = _interval(later)
    return end > last and LATE * interval < first + 1 <= last + 1 + interval


def with_parts_joined(
    parts: Mapping[str, Sequence[Part]], agree: Callable[[Part, Part], bool]
) -> dict[str, list[Part]]:
    """Join files that go on with the run that their names have, numbers and dates aside.

    Parameters
    ----------
    parts : by name of the run.
    agree : tells whether two parts say nothing else of what one run has once.
    """
    joined = {name: [*of_run] for name, of_run in parts.items()}
    alike: dict[object, list[str]] = {}
    for name, of_run in joined.items():
        for key in _keys(of_run):
            alike.setdefault(key, []).append(name)
    begins = {key: min(_first(joined[name]) for name in names) for key, names in alike.items()}
    late = [
        name
        for name, of_run in joined.items()
        # most begin where all others do, and no record of these is looked at
        if any(begins[key] < _first(of_run) for key in _keys(of_run)) and _begins_late(of_run[0])
    ]
    for name in sorted(late, key=lambda name: (joined[name][0].run.steps, name)):
        (part,) = joined[name]
        others = {other for key in _keys([part]) for other in alike[key]} - {name}
        before = [
            other
            for other in _of_its_name(part, others, joined) or others
            if other in joined
            and not _begins_late(joined[other][0])
            and _leads_up_to(part, joined[other], agree)
        ]
        before.sort(key=lambda other: joined[other][0].log.file.name)
        put_behind(joined, name, before, f"step {_first([part])}, its first")
    return joined


def _keys(of_run: Sequence[Part]) -> list[object]:
    """Give what the names of files of one run share, by each number that may be of a launch."""
    part = of_run[0]
    if len(of_run) > 1 or part.log.run is not None or part.run.name or part.run.steps is None:
        return []
    name = stem(part.log.file.name).lower()
    bare = _RESUMED.sub("", name)
    numbers = [*_NUMBER.finditer(bare)]
    masked = [f"{bare[: each.start()]}#{bare[each.end() :]}" for each in numbers]
    # `N0` and its `N0_resume2`: a number that ends the name may be of launches alone
    last = re.sub(r"[-_. ]?#$", "", masked[-1]) if masked and bare != name else bare
    return [(part.log.format, key) for key in dict.fromkeys([bare, last, *masked])]


def _of_its_name(part: Part, others: set[str], joined: Mapping[str, Sequence[Part]]) -> set[str]:
    """Give the run whose file has a resumed one's name without the word for that: `N0_s0`."""
    name = stem(part.log.file.name).lower()
    bare = {_RESUMED.sub("", name), _RESUMED_LAST.sub("", name)} - {name}
    return {
        other
        for other in others
        if other in joined and stem(joined[other][0].log.file.name).lower() in bare
    }


def _first(of_run: Sequence[Part]) -> int:
    """Give the first step of a file's run."""
    steps = of_run[0].run.steps
    return 0 if steps is None else steps[0]


def _begins_late(part: Part) -> bool:
    """Tell a file that has not the first steps of a run."""
    if part.run.steps is None:
        return False
    first, last = part.run.steps
    # by the mean first: of runs that each log at an interval of their own no record is read
    mean = (last - first) / max(part.run.lines - 1, 1)
    return first + 1 > LATE * mean and first + 1 > LATE * _interval(part)


def _interval(part: Part) -> float:
    """Give the usual steps from line to line of a file."""
    gaps = part.records["step"].drop_nulls().unique().sort().diff().drop_nulls().to_numpy()
    return float(np.median(gaps)) if len(gaps) else float("inf")


def _leads_up_to(part: Part, of_run: Sequence[Part], agree: Callable[[Part, Part], bool]) -> bool:
    """Tell whether a file goes on with a run: its facts, rates and losses are the same there."""
    last = of_run[-1]
    if not goes_on(last, part) or not agree(of_run[0], part):
        return False
    if not agree_in_seeds(part, of_run):
        return False
    here, there = _trained(part), _trained(last)
    both = here.join(there, on="step", suffix="_before").sort("step")
    if not both.height:
        return _schedule_goes_on(there, here) and _loss_goes_on(there, here)
    rates = both.select("lr", "lr_before").drop_nulls()
    if ((rates["lr"] - rates["lr_before"]).abs() > SAME * rates["lr_before"].abs()).any():
        return False  # a branch of another schedule
    return differ_by_noise(
        (both["train_loss"] - both["train_loss_before"]).drop_nulls().to_numpy()
    ) and (both.height > 1 or _loss_goes_on(there, here))


def _trained(part: Part) -> pl.DataFrame:
    """Give the rates and losses of a file by step."""
    trained = part.records.filter(pl.col("kind") == "train").select("step", "lr", "train_loss")
    return trained.drop_nulls("step").unique("step", keep="last").sort("step")


def _schedule_goes_on(before: pl.DataFrame, after: pl.DataFrame) -> bool:
    """Tell whether the rate behind a seam is what the schedule before it comes to."""
    old, new = before.drop_nulls("lr"), after.drop_nulls("lr")
    if old.height < 2 or new.height < 2:
        return True
    last, first = float(old["lr"][-1]), float(new["lr"][0])
    gone = (new["step"][0] - old["step"][-1]) / (old["step"][-1] - old["step"][-2])
    change = last - float(old["lr"][-2])
    slack = abs(change) * (gone + 1)
    if first < last:  # a decay may have begun at the seam
        slack = max(slack, 2 * max(float(new["lr"][0] - new["lr"][1]), 0.0) * gone)
    if abs(first - last - change * gone) > max(slack, SAME * abs(last)):
        return False
    had_ended = last <= DOWN * float(old["lr"].max())  # type: ignore[arg-type]
    goes_down = float(new["lr"][-1]) < (1 - FLAT) * last
    return goes_down or not had_ended


def _loss_goes_on(before: pl.DataFrame, after: pl.DataFrame) -> bool:
    """Tell whether losses behind a file's last are those that it would have gone on with."""
    sides = []
    last = before["step"].max()
    for side in (before, after.filter(pl.col("step") > last)):
        told = side.filter(pl.col("train_loss").is_finite(), pl.col("step") > 0)
        sides.append((told["step"].to_numpy().astype(float), told["train_loss"].to_numpy()))
    return go_on(sides[0], sides[1])

"""Launches of one run in files apart, whose names say so and which go on where another ended.

`N0/log_0.csv` and `N0/log_1.csv`, `2026-01-01.csv` and `2026-01-02.csv`, `job_11/` and `job_12/`,
`N0.jsonl` and `N0_resume.jsonl`: a run of its own begins at its first step.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.launch_files import seeds, which
from isoflop.ingest.sidefiles import stem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.ingest.runs import Part

SAME: Final = 0.01
"""Relative difference of two learning rates that are one."""
SIGMAS: Final = 4.0
"""Standard errors up to which a mean difference of losses is a batch's noise."""
DIGIT: Final = 1e-3
"""What losses differ by where they were written with few digits."""
_RESUMED: Final = re.compile(
    r"[-_. ]?(?:resumed?|restart(?:ed)?|cont(?:inued?|inuation)?|requeued?)(?=$|[-_. /0-9])"
)
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
    gaps = later.records["step"].drop_nulls().unique().sort().diff().drop_nulls().to_numpy()
    interval = float(np.median(gaps)) if len(gaps) else float("inf")
    return end > last and 1.5 * interval < first + 1 <= last + 1 + interval


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
        before = {
            other
            for key in _keys([part])
            for other in alike[key]
            if other != name
            and other in joined
            and not _begins_late(joined[other][0])
            and _leads_up_to(part, joined[other], agree)
        }
        if len(before) == 1:
            del joined[name]
            joined[before.pop()].append(replace(part, continues=True))
        elif before:
            files = sorted(joined[other][-1].log.file.name for other in before)
            begin = part.run.steps[0] if part.run.steps else 0
            joined[name] = [replace(part, goes_on_from=which(part, begin, files))]
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


LATE: Final = 1.5
"""Intervals of a log within which a run's first line comes."""


def _interval(part: Part) -> float:
    gaps = part.records["step"].drop_nulls().unique().sort().diff().drop_nulls().to_numpy()
    return float(np.median(gaps)) if len(gaps) else float("inf")


def _leads_up_to(part: Part, of_run: Sequence[Part], agree: Callable[[Part, Part], bool]) -> bool:
    """Tell whether a file goes on with a run: its facts, rates and losses are the same there."""
    last = of_run[-1]
    if not goes_on(last, part) or not agree(of_run[0], part):
        return False
    if any(len(seeds(part) | seeds(other)) > 1 for other in of_run):
        return False
    columns = ("step", "lr", "train_loss")
    both = (
        part.records.filter(pl.col("kind") == "train")
        .select(columns)
        .unique("step", keep="last")
        .join(
            last.records.filter(pl.col("kind") == "train").select(columns).unique("step"),
            on="step",
            suffix="_before",
        )
    )
    rates = both.select("lr", "lr_before").drop_nulls()
    if ((rates["lr"] - rates["lr_before"]).abs() > SAME * rates["lr_before"].abs()).any():
        return False  # a branch of another schedule
    apart = (both["train_loss"] - both["train_loss_before"]).drop_nulls().to_numpy()
    if len(apart) < 2:
        return True
    noise = max(float(np.std(apart, ddof=1)), DIGIT)
    return bool(abs(apart.mean()) <= SIGMAS * noise / len(apart) ** 0.5)

"""Launches of one run in files apart, whose names say so and which go on where another ended.

`N0/log_0.csv` and `N0/log_1.csv`, `2026-01-01.csv` and `2026-01-02.csv`, `job_11/` and `job_12/`,
`N0.jsonl` and `N0_resume.jsonl`: a run of its own begins at its first step. At the seam the rate
and the loss go on: what was begun from the end of a run on other data, or on a schedule of its own,
is another run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.runs.launch_files import agree_in_seeds, forking, put_behind
from isoflop.ingest.tables.same_losses import AT_SEAM, differ_by_noise, go_on
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.launch_names import (
    in_turn,
    is_rotated,
    keys,
    without_resume,
    without_rotation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.ingest.runs.logical_runs import Part

LATE: Final = 1.5
"""Intervals of a log within which a run's first line comes."""
SAME: Final = 0.01
"""Relative difference of two learning rates that are one."""
DOWN: Final = 0.15
"""Rate in the highest up to which a schedule has come down to its end, unless it goes on down."""
FEW: Final = 5
"""Losses from whose differences no noise is taken."""
FLAT: Final = 1e-4
"""Relative change of a rate that is none: the last hundredth of a cosine changes by more."""


def goes_on(earlier: Sequence[Part], later: Part) -> bool:
    """Tell by the steps whether a launch was resumed from a checkpoint of earlier ones.

    A new run's first line comes after one interval of its log; a resumed one's comes later than
    that, and no later than the earlier launches got.
    """
    _, reach = span(earlier)
    if reach < 0 or later.run.steps is None:
        return False
    first, end = later.run.steps
    interval = _interval(later)
    return end > reach and LATE * interval < first + 1 <= reach + 1 + interval


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
        if any(begins[key] < _first(of_run) for key in _keys(of_run)) and begins_late(of_run[0])
    ]
    late.sort(key=lambda name: in_turn(joined[name][0].log.file.name))
    launches = _Launches(joined, alike, late, agree)
    # what names do not order is tried again once what it goes on with is in its place
    while [name for name in tuple(launches.waiting) if launches.place(name)]:
        pass
    launches.take_branches_out()
    return _named_by_log(launches.joined)


@dataclass(frozen=True, slots=True)
class _Launches:
    """Files of runs, of which some go on with others.

    Attributes
    ----------
    joined : by name of the run its parts.
    alike : by what names share, the runs that have it.
    waiting : runs that begin late, and are not placed yet, in the order of their names.
    agree : as of `with_parts_joined`.
    """

    joined: dict[str, list[Part]]
    alike: Mapping[object, Sequence[str]]
    waiting: list[str]
    agree: Callable[[Part, Part], bool]

    def place(self, name: str) -> bool:
        """Put a file behind the run that it goes on with, or ask; tell whether that was done."""
        (part,) = self.joined[name]
        others = [*self._alike(part) - {*self.waiting}]
        bare = without_resume(part.log.file.name)
        named = [n for n in others if stem(self.joined[n][0].log.file.name).lower() in bare]
        others = [n for n in named or others if not begins_late(self.joined[n][0])]
        others.sort(key=lambda other: self.joined[other][0].log.file.name)
        before = [n for n in others if self._leads_up(self.joined[n], part)]
        put_behind(self.joined, name, before, f"step {_first([part])}, its first")
        done = bool(before) or any(self._forks(n, name) for n in others if n in self.joined)
        if done:
            self.waiting.remove(name)
        return done

    def take_branches_out(self) -> None:
        """Take out of runs what may be a branch as another file is one, and not what went on."""
        for name in self.waiting:
            (part,) = self.joined[name]
            for other in sorted(self._alike(part) & self.joined.keys()):
                of_run = self.joined[other]
                if len(of_run) < 2 or not begins_within(of_run[:1], part):
                    continue
                alike = self.agree(of_run[0], part) and agree_in_seeds(part, of_run[:1])
                if alike and (decays_from(*of_run[:2]) or not _have_rates(of_run[:2])):
                    self._take_out(other, 1, part)

    def _alike(self, part: Part) -> set[str]:
        """Give the runs whose names may be those of a file's run."""
        names = {name for key in _keys([part]) for name in self.alike[key]}
        return {name for name in names if name in self.joined and self.joined[name][0] is not part}

    def _leads_up(self, of_run: Sequence[Part], part: Part) -> bool:
        """Tell whether a file goes on with a run, or died and was followed by one that does."""
        _, reach = span(of_run)
        is_followed = False
        if part.run.steps is not None and part.run.steps[1] <= reach:
            turn = in_turn(part.log.file.name)
            behind = [self.joined[name][0] for name in self.waiting if name in self._alike(part)]
            is_followed = any(
                in_turn(other.log.file.name) > turn
                and span([other])[0] <= part.run.steps[1] + _interval(part)
                and span([other])[1] > reach
                for other in behind
            )
        return leads_up_to(part, of_run, self.agree, is_followed=is_followed)

    def _forks(self, other: str, name: str) -> bool:
        """Divide files that each go on from one step of a run; tell whether that was done."""
        of_run, (part,) = self.joined[other], self.joined[name]
        for length in range(len(of_run) - 1, 0, -1):
            if self._leads_up(of_run[:length], part):
                self.joined[name] = [_forking(part, of_run[:length], of_run[length])]
                self._take_out(other, length, part)
                return True
        return False

    def _take_out(self, other: str, length: int, beside: Part) -> None:
        """Make what goes on with a run behind its first parts a run of its own."""
        before, (head, *behind) = self.joined[other][:length], self.joined[other][length:]
        self.joined[other] = before
        head = _forking(replace(head, continues=False), before, beside)
        self.joined[head.called] = [head, *behind]


def _named_by_log(parts: Mapping[str, list[Part]]) -> dict[str, list[Part]]:
    """Name joined runs by what their logs were called before they were rotated."""
    named: dict[str, list[Part]] = {}
    for name, of_run in parts.items():
        path = of_run[0].log.file.name
        bare = without_rotation(path)
        is_free = bare not in parts and bare not in named
        named[bare if len(of_run) > 1 and is_rotated(path) and is_free else name] = of_run
    return named


def _keys(of_run: Sequence[Part]) -> list[object]:
    """Give what the names of files of one run share, with the format."""
    part = of_run[0]
    if len(of_run) > 1 or part.log.run is not None or part.run.name or part.run.steps is None:
        return []
    return [(part.log.format, key) for key in keys(part.log.file.name)]


def _first(of_run: Sequence[Part]) -> int:
    """Give the first step of a file's run."""
    steps = of_run[0].run.steps
    return 0 if steps is None else steps[0]


def span(of_run: Sequence[Part]) -> tuple[int, int]:
    """Give the first and the last step of parts."""
    steps = [part.run.steps for part in of_run if part.run.steps is not None]
    return min((each[0] for each in steps), default=0), max((each[1] for each in steps), default=-1)


def begins_late(part: Part) -> bool:
    """Tell a file that has not the first steps of a run."""
    if part.run.steps is None:
        return False
    first, last = part.run.steps
    if first == last:
        return first > 1  # one line, as of a launch that died
    # by the mean first: of runs that each log at an interval of their own no record is read
    mean = (last - first) / max(part.run.lines - 1, 1)
    return first + 1 > LATE * mean and first + 1 > LATE * _interval(part)


def begins_within(of_run: Sequence[Part], part: Part) -> bool:
    """Tell whether a file begins behind the first step of a run, and no later than it got."""
    if part.run.steps is None or not of_run:
        return False
    (begin, reach), first = span(of_run), part.run.steps[0]
    return begin < first <= reach + _interval(part)


def _interval(part: Part) -> float:
    """Give the usual steps from line to line of a file."""
    gaps = part.records["step"].drop_nulls().unique().sort().diff().drop_nulls().to_numpy()
    return float(np.median(gaps)) if len(gaps) else float("inf")


def leads_up_to(
    part: Part,
    of_run: Sequence[Part],
    agree: Callable[[Part, Part], bool],
    *,
    is_followed: bool = False,
) -> bool:
    """Tell whether a file goes on with a run: its facts, rates and losses are the same there.

    Parameters
    ----------
    part : the file.
    of_run : the run's parts, in their order.
    agree : as of `with_parts_joined`.
    is_followed : whether another file goes on from a step of this one: it may have died before it
        got as far as the run had.
    """
    if not is_followed and not goes_on(of_run, part):
        return False
    if is_followed and not (begins_within(of_run, part) and begins_late(part)):
        return False
    if not agree(of_run[0], part) or not agree_in_seeds(part, of_run):
        return False
    here, there = trained([part]), trained(of_run)
    both = here.join(there, on="step", suffix="_before").sort("step")
    if not both.height:
        return _schedule_goes_on(there, here) and _loss_goes_on(there, here)
    if rates_differ(part, of_run):
        return False  # a branch of another schedule
    apart = (both["train_loss"] - both["train_loss_before"]).drop_nulls().to_numpy()
    return differ_by_usual_noise(apart, there) and (both.height > 1 or _loss_goes_on(there, here))


def rates_differ(part: Part, of_run: Sequence[Part]) -> bool:
    """Tell whether a file has other rates than a run at any of the steps of both."""
    both = trained([part]).join(trained(of_run), on="step", suffix="_before")
    rates = both.select("lr", "lr_before").drop_nulls()
    return ((rates["lr"] - rates["lr_before"]).abs() > SAME * rates["lr_before"].abs()).any()


def differ_by_usual_noise(apart: NDArray[np.float64], losses: pl.DataFrame) -> bool:
    """Tell whether losses at the same steps are of one run; a few tell no noise of their own."""
    near = losses["train_loss"].tail(AT_SEAM).diff().drop_nulls().to_numpy()
    usual = float(np.mean(near**2)) ** 0.5 if len(apart) < FEW and len(near) else 0.0
    return differ_by_noise(apart, usual)


def trained(of_run: Sequence[Part]) -> pl.DataFrame:
    """Give the rates and losses of a run by step, those of its last launch that made it."""
    told = pl.concat(
        [
            part.records.filter(pl.col("kind") == "train").select("step", "lr", "train_loss")
            for part in of_run
        ]
    )
    return told.drop_nulls("step").unique("step", keep="last").sort("step")


def _have_rates(parts: Sequence[Part]) -> bool:
    """Tell whether each file says its learning rates."""
    return all(trained([part])["lr"].drop_nulls().len() for part in parts)


def decays_from(before: Part, after: Part) -> bool:
    """Tell whether a file's rates come down right from the end of another's, which were steady."""
    old, new = (trained([part]).drop_nulls("lr") for part in (before, after))
    if old.height < 2 or new.is_empty() or new["step"][0] <= old["step"][-1]:
        return False
    last = float(old["lr"][-1])
    is_steady = abs(last - float(old["lr"][-2])) <= FLAT * last
    return is_steady and float(new["lr"][-1]) < (1 - FLAT) * last


def _forking(part: Part, of_run: Sequence[Part], beside: Part) -> Part:
    """Ask whether a file goes on with a run that another goes on with; not of what decays it."""
    return part if decays_from(of_run[-1], part) else forking(part, of_run[0], beside)


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

"""Which part of a run came first: a later one replaces what an earlier one has of the same steps.

The time that the parts' lines print says it. Where they print none, files stand in the order of
their names, unless the steps contradict that: a part that goes on from a step which only a part
behind it has reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.runs.joining import is_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.runs.logical_runs import Part

SLACK: Final = 0.5
"""Share of the distance between two lines by which a part may begin late."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The parts of a run.

    Attributes
    ----------
    parts : in the order in which they were written.
    note : what their order rests on, where it counts and the logs' own times do not settle it.
    conflict : how times and steps contradict each other, with both ways out.
    """

    parts: tuple[Part, ...]
    note: str | None = None
    conflict: str | None = None


def in_order(name: str, parts: Sequence[Part]) -> Ordered:
    """Order the parts of one run.

    Parameters
    ----------
    name : of the run.
    parts : in order of their files' names.
    """
    given = tuple(parts)
    if all(part.joins for part in given):
        ends_last = tuple(sorted(given, key=is_end))
        words = f"its files are joined by step, as their values agree: {_listed(ends_last)}"
        return Ordered(ends_last, note=words)
    return _of_launches(name, given)


def _of_launches(name: str, given: tuple[Part, ...]) -> Ordered:
    """Order parts of which a later one replaces what an earlier one has of the same steps."""
    if len(given) == 1 or any(part.continues for part in given):
        # those that go on were put together by their steps
        words = f"its files go on where one another ended: {_listed(given)}"
        return Ordered(given, note=words if len(given) > 1 else None)
    times = [part.written[0] for part in given if part.written is not None]
    if len(times) == len(given):
        # of equal times, as a copied or coarse clock gives them, the steps decide
        begins = [_begin(part) for part in given]
        timed = tuple(given[place] for place in np.lexsort((begins, times)))
        early = _too_early(timed)
        return Ordered(timed, conflict=None if early is None else _conflict(*early))
    if not all(part.log.run == name for part in given):
        return Ordered(given)  # files of one folder or key, in the order of their launches' names
    if _too_early(given) is not None:
        resumed = tuple(sorted(given, key=_begin))
        return Ordered(
            resumed,
            note="its files print no time and stand in the order of the steps from which they go "
            f"on: {_listed(resumed)}",
        )
    overlap = any(
        part.run.steps is not None and part.run.steps[0] <= _reach(given[:place])
        for place, part in enumerate(given)
    )
    if not overlap:
        return Ordered(given)
    return Ordered(
        given,
        note="its files print no time and stand in the order of their names, a later one replacing "
        f"the steps that an earlier one has, too: {_listed(given)}",
    )


def _too_early(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """Find a part that goes on from a step which only a part behind it has reached, and that."""
    for place, part in enumerate(parts):
        if part.run.steps is None:
            continue
        first, reach = part.run.steps[0], _reach(parts[:place])
        behind = [
            other
            for other in parts[place + 1 :]
            if other.run.steps is not None and other.run.steps[0] < first
        ]
        if first <= reach or not behind:
            continue
        late = SLACK * _interval(part)
        if _begin(part) <= max(reach, 0) + late:
            continue
        for other in behind:
            if _reach([other]) + late >= _begin(part):
                return part, other
    return None


def _reach(parts: Sequence[Part]) -> int:
    """Give the last step of parts; -1 without any."""
    return max((part.run.steps[1] for part in parts if part.run.steps is not None), default=-1)


def _begin(part: Part) -> float:
    """Give the step that a part goes on from: the printed one, or an interval before its first."""
    if part.run.steps is None:
        return 0.0
    head = part.records.head(1)
    printed = head["step"][0] if head.height and head["kind"][0] == "restart" else None
    return float(printed) if printed is not None else max(part.run.steps[0] - _interval(part), 0.0)


def _interval(part: Part) -> float:
    """Give the usual distance of a part's lines in steps; that to 0 where it has one line."""
    assert part.run.steps is not None  # noqa: S101  the caller asks of parts with steps
    gaps = part.records["step"].drop_nulls().unique().sort().diff().drop_nulls().to_numpy()
    return float(np.median(gaps)) if len(gaps) else float(part.run.steps[0])


def _conflict(early: Part, late: Part) -> str:
    """Refuse parts whose times and steps contradict each other, with both ways out."""
    first, second = early.log.file.name, late.log.file.name
    steps, others = early.run.steps, late.run.steps
    assert steps is not None  # noqa: S101  such parts have steps
    assert others is not None  # noqa: S101
    return (
        f"by the times that they print, {first} was written before {second}, but it begins at step "
        f"{steps[0]}, which only {second} leads up to (steps {others[0]} to {others[1]}). If they "
        f"are two runs, give each its own 'run:' in {side.SIDECAR}; if they are one, take out the "
        f"file that does not count, ignore: [{{{side.rule_for(second)}, reason: <why>}}]"
    )


def _listed(parts: Sequence[Part]) -> str:
    return ", ".join(part.log.file.name for part in parts)

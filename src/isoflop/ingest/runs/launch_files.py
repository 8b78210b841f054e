"""Launches of one run that each wrote a file of its own, by the step that they print to resume at.

A job that goes on from a checkpoint prints its step. The run that it goes on with is the one in its
folder, of the same size, rate, batch and seed, that had got so far; where there are several, nobody
but who started it knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from isoflop.ingest.facts.sidecar import SIDECAR, rule_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.ingest.runs.logical_runs import Part


def with_launches_joined(
    parts: Mapping[str, Sequence[Part]], agree: Callable[[Part, Part], bool]
) -> dict[str, list[Part]]:
    """Join files that go on from a printed step with the run in their folder that leads up to it.

    Parameters
    ----------
    parts : by name of the run.
    agree : tells whether two parts say nothing else of what one run has once.
    """
    joined = {name: [*of_run] for name, of_run in parts.items()}
    resumed = {
        name: step
        for name, of_run in joined.items()
        if len(of_run) == 1 and (step := _resumed_at(of_run[0])) is not None
    }
    for name in sorted(resumed, key=lambda name: (resumed[name], name)):
        (part,) = joined[name]
        before = [
            other
            for other, of_run in joined.items()
            if other != name and _leads_up_to(part, of_run, resumed[name], agree)
        ]
        put_behind(joined, name, before, f"step {resumed[name]}, as its log prints")
    return joined


def put_behind(joined: dict[str, list[Part]], name: str, before: Sequence[str], begin: str) -> None:
    """Put a launch behind the one run that leads up to it; where several do, ask which.

    Parameters
    ----------
    joined : by name of the run its parts, which this changes.
    name : the launch's, which has one part.
    before : names of the runs that lead up to it.
    begin : where it begins, in words.
    """
    (part,) = joined[name]
    if len(before) == 1:
        del joined[name]
        joined[before[0]].append(replace(part, continues=True))
    elif before:
        files = [joined[other][0].log.file.name for other in before]
        joined[name] = [replace(part, goes_on_from=_which(part, begin, files))]


def _resumed_at(part: Part) -> int | None:
    """Give the step that a file prints to go on from before its first line; None of others."""
    run = part.run
    if part.log.run is not None or not run.restarts or run.steps is None or run.steps[0] <= 1:
        return None
    head = part.records.head(1)
    if not head.height or head["kind"][0] != "restart":
        return None
    step = head["step"][0]
    return int(step) if step is not None and 0 < step <= run.steps[0] else None


def _leads_up_to(
    part: Part, of_run: Sequence[Part], step: int, agree: Callable[[Part, Part], bool]
) -> bool:
    """Tell whether a run in a part's folder got to a step, and may go on there."""
    folder = part.log.file.name.rpartition("/")[0]
    alike = all(
        other.log.format == part.log.format
        and other.log.run is None
        and other.log.file.name.rpartition("/")[0] == folder
        and other.log.file.name != part.log.file.name
        for other in of_run
    )
    steps = [other.run.steps for other in of_run if other.run.steps is not None]
    if not alike or not steps:
        return False
    first, last = min(each[0] for each in steps), max(each[1] for each in steps)
    # a checkpoint may be later than the last line that was printed
    interval = max(each[0] for each in steps) if len(steps) == 1 else 0
    if not agree_in_seeds(part, of_run):
        return False
    known = part.shared_facts().keys() & of_run[0].shared_facts().keys()
    return first < step <= last + max(interval, 1) and bool(known) and agree(of_run[0], part)


def agree_in_seeds(part: Part, of_run: Sequence[Part]) -> bool:
    """Tell whether a file tells no other seed than any of a run's."""
    return all(len(_seeds(part) | _seeds(other)) < 2 for other in of_run)


def _seeds(part: Part) -> set[object]:
    """Give the seeds that a file, or the settings beside it, tell."""
    told = [*part.logged_facts(), part.settings()]
    return {facts["seed"].value for facts in told if "seed" in facts}


def _which(part: Part, begin: str, files: Sequence[str]) -> str:
    """Ask which run a file goes on with, with both ways out."""
    mine = rule_for(part.log.file.name)
    return (
        f"it goes on from {begin}, and {len(files)} logs beside it lead up "
        f"to that: {', '.join(files)}. Say in {SIDECAR} which run it is a part of, runs: "
        f"[{{{rule_for(files[0])}, run: a}}, {{{mine}, run: a}}], or that it is a run of its own, "
        f"runs: [{{{mine}, run: <its name>}}]"
    )


def forking(part: Part, lead: Part, beside: Part) -> Part:
    """Ask of a file whether it goes on with a run, from a step of which another goes on, too."""
    begin, mine = part.run.steps[0] if part.run.steps else 0, rule_for(part.log.file.name)
    of_run = rule_for(lead.log.file.name)
    return replace(
        part,
        goes_on_from=f"it goes on from step {begin}, its first, to which {lead.log.file.name} "
        f"leads up, and {beside.log.file.name} goes on from a step of that, too: a run goes on "
        f"once, and what else was begun from it is a run of its own. Say in {SIDECAR} that it is "
        f"a part of that run, runs: [{{{of_run}, run: a}}, {{{mine}, run: a}}], or one of its own, "
        f"runs: [{{{mine}, run: <its name>}}]",
    )

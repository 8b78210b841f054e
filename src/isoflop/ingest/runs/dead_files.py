"""Launches of one run that each began anew, and wrote a file of its own: the first of them died.

`N0/attempt_0.csv` and `N0/attempt_1.csv`, `log_0.csv` and `log_1.csv`, `N0.csv` and `N0_retry.csv`.
Nothing but the name says that they are one run, so the shorter is asked about: it is left out until
then, unless its schedule was done.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from isoflop.ingest.facts.sidecar import SIDECAR, rule_for
from isoflop.ingest.runs.late_files import may_be_asked
from isoflop.ingest.runs.launch_files import agree_in_seeds
from isoflop.ingest.runs.part_files import (
    DOWN,
    begins_late,
    differ_by_usual_noise,
    rates_differ,
    span,
    trained,
)
from isoflop.ingest.tables.attempts import DEAD, comes_down
from isoflop.ingest.tables.same_losses import LEAST
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.launch_names import keys, without_resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from isoflop.ingest.runs.logical_runs import Part

_ATTEMPT: Final = re.compile(
    r"(?:^|[-_. /])(?:re)?(?:attempt|try|tries|launch|start)[-_. ]?#", re.IGNORECASE
)
"""What only launches of one run are called."""
_LAUNCH: Final = re.compile(
    r"(?:^|[-_. /])(?:log|part|job|slurm|session|segment)[-_. ]?#", re.IGNORECASE
)
"""What launches of one run may be called, and runs, too."""


def with_dead_asked(
    parts: Mapping[str, Sequence[Part]], agree: Callable[[Part, Part], bool]
) -> dict[str, list[Part]]:
    """Ask of files that end before another launch of their run does, by name, rate and losses.

    Parameters
    ----------
    parts : by name of the run.
    agree : tells whether two parts say nothing else of what one run has once.
    """
    told = {name: [*of_run] for name, of_run in parts.items()}
    for names, is_attempt in _launches(told):
        longest = max(names, key=lambda name: span(told[name])[1])
        for name in names:
            (part, *more), of_run = told[name], told[longest]
            if more or part.goes_on_from or span([part])[1] >= span(of_run)[1]:
                continue
            if agree(part, of_run[0]) and _has_died(part, of_run, is_attempt=is_attempt):
                told[name] = [replace(part, goes_on_from=_words(part, of_run))]
    return told


def _launches(parts: Mapping[str, Sequence[Part]]) -> Iterator[tuple[list[str], bool]]:
    """List the runs that names call launches of one, and whether such names say nothing else."""
    alike: dict[tuple[str | None, str], list[str]] = {}
    of_path: dict[tuple[str | None, str], str] = {}
    able = {name: of_run[0] for name, of_run in parts.items() if may_be_asked(of_run)}
    for name, part in able.items():
        of_path[part.log.format, stem(part.log.file.name).lower()] = name
        for key in keys(part.log.file.name):
            if _ATTEMPT.search(key) or _LAUNCH.search(key):
                alike.setdefault((part.log.format, key), []).append(name)
    for (_, key), names in alike.items():
        if len(names) > 1:
            yield names, _ATTEMPT.search(key) is not None
    for name, part in able.items():
        for bare in sorted(without_resume(part.log.file.name)):
            if (first := of_path.get((part.log.format, bare))) is not None:
                yield [first, name], True


def _has_died(part: Part, of_run: Sequence[Part], *, is_attempt: bool) -> bool:
    """Tell whether a file is of the schedule of a longer one, and was not done."""
    if begins_late(part) or begins_late(of_run[0]) or not agree_in_seeds(part, of_run):
        return False
    here, there = trained([part]), trained(of_run)
    both = here.join(there, on="step", suffix="_before").sort("step")
    apart = (both["train_loss"] - both["train_loss_before"]).drop_nulls().to_numpy()
    if len(apart) < LEAST or rates_differ(part, of_run) or not differ_by_usual_noise(apart, here):
        return False
    rates = here["lr"].drop_nulls()
    if rates.len() and float(rates[-1]) <= DOWN * float(rates.max()):  # type: ignore[arg-type]
        return False  # its schedule was done
    return is_attempt or comes_down(here) or span([part])[1] < DEAD * span(of_run)[1]


def _words(part: Part, of_run: Sequence[Part]) -> str:
    """Ask of a file whether it is a launch that died, with both ways out."""
    mine, other = rule_for(part.log.file.name), of_run[0].log.file.name
    return (
        f"it ends at step {span([part])[1]}, and {other}, a launch of the same run by its name, "
        f"begins anew with the same N and rate, and goes on to step {span(of_run)[1]}: a start "
        f"that died, or a shorter run? Say in {SIDECAR} that it does not count, ignore: [{{{mine}, "
        f"reason: <why>}}], or that it is a run of its own, runs: [{{{mine}, run: <its name>}}]"
    )

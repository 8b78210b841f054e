"""Checkpoints of the HF Trainer: each has the run's history until then, so they are one run."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from isoflop.ingest.reading.log import Log

_CHECKPOINT: Final = (
    r"(?:(?:checkpoint|ckpt|global_step|step|epoch|iter)[-_]?(?:[0-9]+|best|last|latest|final)"
    r"|(?:best|last|latest|final)[-_](?:checkpoint|ckpt|model))/"
)
STATE: Final = re.compile(rf"(.*?)((?:(?<=/)|^){_CHECKPOINT})?trainer_state\.json")
"""The Trainer's state, in the folder of its run or in that of a checkpoint."""


def without_earlier_states(logs: Sequence[Log]) -> list[Log]:
    """Ignore states whose history another of their folder has, or replaced from some step on."""
    states: dict[tuple[str, str | None], list[Log]] = {}
    for log in logs:
        match = STATE.fullmatch(log.file.name)
        if match and log.format == "trainer_state" and log.fate == "used":
            states.setdefault((match[1], log.run), []).append(log)
    why: dict[str, str] = {}
    several: dict[str, str] = {}
    alone: dict[str, str] = {}
    for (home, _), of_folder in states.items():
        why |= _why_earlier(of_folder) if len(of_folder) > 1 else {}
        names = sorted(log.file.name for log in of_folder if log.file.name not in why)
        if len(names) == 1:
            alone[names[0]] = f"{home}trainer_state"
        else:
            several |= {name: next(each for each in names if each != name) for name in names}
    return [_judged(log, why, several, alone) for log in logs]


def _judged(
    log: Log, why: Mapping[str, str], several: Mapping[str, str], alone: Mapping[str, str]
) -> Log:
    """Say what a state is beside the others of its folder.

    Parameters
    ----------
    why : by file, why it has nothing that counts.
    several : by file, another of its folder that has a history of its own.
    alone : by file, what its run is called, which has all of the folder's histories.
    """
    name = log.file.name
    if name in why:
        return log.ignored(why[name])
    if name in several:
        return log.noted(
            f"its history is none of {several[name]}'s: the runs of one folder, of which a later "
            f"one wrote over an earlier one, are as many runs; 'ignore:' leaves one out"
        )
    return replace(log, called=alone[name]) if name in alone else log


def _why_earlier(states: Sequence[Log]) -> dict[str, str]:
    """Say by their names which states have nothing that counts beside another one."""
    records = {log.file.name: log.parsed.records for log in states if log.parsed is not None}
    # of equals the run's own stands before its checkpoints'
    order = sorted(records, key=lambda name: (-records[name].height, _is_checkpoint(name)))
    why: dict[str, str] = {}
    ends: list[str] = []
    for name in order:
        longer_ones = (each for each in ends if _shared(records[name], records[each])[1])
        if (longer := next(longer_ones, None)) is None:
            ends.append(name)
        else:
            why[name] = f"its history is the beginning of that of {longer}, or all of it"
    kept: list[str] = []
    for name in sorted(ends, key=_is_checkpoint):  # what the run has left at its end counts
        shared = {each: _shared(records[name], records[each])[0] for each in kept}
        if (other := next((each for each in kept if shared[each]), None)) is None:
            kept.append(name)
        else:
            step = records[name]["step"][shared[other] - 1]
            why[name] = (
                f"an earlier launch of its run: its history is that of {other} up to step {step}, "
                f"from where that went on otherwise"
            )
    return why


def _is_checkpoint(name: str) -> bool:
    match = STATE.fullmatch(name)
    return match is not None and match[2] is not None


def _shared(records: pl.DataFrame, others: pl.DataFrame) -> tuple[int, bool]:
    """Count the records that two histories begin with, and tell whether these are all of one's."""
    if records.equals(others.head(records.height)):
        return records.height, True
    pairs = zip(records.iter_rows(), others.iter_rows(), strict=False)
    # by their words: NaN equals no NaN
    same = sum(1 for _ in takewhile(lambda pair: repr(pair[0]) == repr(pair[1]), pairs))
    return same, same == records.height

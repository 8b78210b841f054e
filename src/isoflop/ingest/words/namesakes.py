"""Which run the names of files are of, words of splits and of kinds of files aside.

`N0.csv`, `N0/metrics.csv`, `curves/N0.jsonl`, `N0_train.csv` and `results/N0.json` are of one run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.split_words import EVALUATED, TRAINED

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS: Final = frozenset(
    {
        "all", "best", "curve", "curves", "data", "final", "history", "last", "log", "logs", "loss",
        "losses", "metric", "metrics", "output", "outputs", "record", "records", "result",
        "results", "run", "runs", "stats", "summary", "summaries",
    }
)  # fmt: skip
"""Words for what a file has, of whatever run."""
_MARKS: Final = re.compile(r"[-_. ]+")
_CHECKPOINT: Final = re.compile(
    r"(?:^|[-_. ])(?:ckpt|checkpoint|step|iter|iteration)[-_. ]?[0-9]+(?=$|[-_. ])"
)


def run_in(path: str, *, at_checkpoint: bool = False) -> tuple[str, ...]:
    """Give what is left of a path without words of splits and of kinds of files.

    Parameters
    ----------
    path : below the sweep's folder.
    at_checkpoint : whether the number of a checkpoint names no run, as in `N0/ckpt_500.json`.

    Examples
    --------
    >>> run_in("runs/N0/eval.csv"), run_in("N0_train.jsonl"), run_in("metrics.csv")
    (('n0',), ('n0',), ())
    >>> run_in("N0/ckpt_500.json", at_checkpoint=True)
    ('n0',)
    """
    pieces = []
    for folder in stem(path).lower().split("/"):
        name = _CHECKPOINT.sub("", folder) if at_checkpoint else folder
        words = (word for word in _MARKS.split(name) if word)
        pieces.append("_".join(word for word in words if word not in _KINDS | TRAINED | EVALUATED))
    return tuple(filter(None, pieces))


def may_be_of(path: str, other: str) -> bool:
    """Tell whether the name of a file speaks of the run that another's does, or of none.

    Examples
    --------
    >>> may_be_of("a/results.json", "a/metrics.csv"), may_be_of("a/lr4.json", "a/lr1.csv")
    (True, False)
    """
    its = run_in(path.rpartition("/")[2], at_checkpoint=True)
    run = run_in(other.rpartition("/")[2], at_checkpoint=True)
    if not its or not run:
        return True
    shorter, longer = sorted((its[0], run[0]), key=len)
    more = longer.removeprefix(shorter)
    return longer.startswith(shorter) and not re.search(r"^[^_]|[0-9]", more)


def by_run(paths: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Sort paths by the run that they name."""
    sorted_by: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in paths:
        sorted_by[run_in(path)].append(path)
    return sorted_by


def by_last(paths: Iterable[str]) -> dict[str, list[str]]:
    """Sort paths by the last piece of the run that they name, and by its first words.

    Examples
    --------
    >>> sorted(by_last(["x/N0_s0.csv"]))
    ['n0', 'n0_s0']
    """
    sorted_by: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for last in run_in(path)[-1:]:
            words = last.split("_")
            for count in range(1, len(words) + 1):
                sorted_by["_".join(words[:count])].append(path)
    return sorted_by

"""What names of files say of launches: numbers, dates, words such as `resume`, rotated logs."""

from __future__ import annotations

import re
from typing import Final

from isoflop.ingest.words.file_names import stem

_WORDS: Final = r"(?:resumed?|restart(?:ed)?|cont(?:inued?|inuation)?|requeued?)"
_RESUMED: Final = re.compile(rf"(?:^|(?<=/)){_WORDS}[-_. ]|[-_. ]?{_WORDS}(?=$|[-_. /0-9])")
_RESUMED_LAST: Final = re.compile(rf"(?:{_RESUMED.pattern})[-_. ]?[0-9]*$")
"""The same with the launch's number at the end of a name."""
_DATE: Final = (
    r"[0-9]{4}[-_.]?[0-9]{2}[-_.]?[0-9]{2}(?:[-_T. ]?[0-9]{2}[-_:.]?[0-9]{2}(?:[-_:.]?[0-9]{2})?)?"
)
_NUMBER: Final = re.compile(
    rf"(?<![0-9])(?:{_DATE}|[0-9]+)(?![0-9])(?!\.[0-9])(?![kmbt](?![a-z]))", re.IGNORECASE
)
"""A date, or a number that is no size of a model or of data."""
_SEED: Final = re.compile(r"(?:^|[-_. /])s(?:eed)?[-_.= ]?$")
"""What stands before a number that tells seeds, and no launches."""
_OF_RUNS: Final = re.compile(r"seed[0-9]+|[a-z]?[0-9]+[kmbt]")
"""Words that tell runs apart: of seeds, of sizes of models or data."""
_ROTATED: Final = re.compile(
    rf"(?P<log>.*\.[A-Za-z]\w{{0,9}})(?:\.(?P<number>[0-9]{{1,3}})|[-.](?P<date>{_DATE}))"
    r"(?:\.(?:gz|bz2|xz|zst))?"
)
"""What a log is called once a newer one has its name: `train.log.2`, `train.log-20260101`."""


def keys(path: str) -> list[str]:
    """Give what the names of files of one run share, by each number that may be of a launch."""
    name = stem(path).lower()
    bare = _RESUMED.sub("", name)
    numbers = [n for n in _NUMBER.finditer(bare) if not _SEED.search(bare, 0, n.start())]
    masked = [f"{bare[: each.start()]}#{bare[each.end() :]}" for each in numbers]
    # `N0` and its `N0_resume2`: a number that ends the name may be of launches alone
    last = re.sub(r"[-_. ]?#$", "", masked[-1]) if masked and bare != name else bare
    return [*dict.fromkeys([bare, last, *masked, without_rotation(path).lower()])]


def words(path: str) -> frozenset[str]:
    """Give the words of a file's name and folders, a seed's number as one with its word."""
    name = re.sub(r"(?<![a-z])s(?:eed)?[-_.= ]?([0-9]+)", r"seed\1", stem(path).lower())
    return frozenset(filter(None, re.split(r"[-_. /()+=]+", name)))


def are_related(path: str, other: str) -> bool:
    """Tell whether one name is the other with more words, or with another one.

    Seeds and sizes of two runs are no such words.

    Examples
    --------
    >>> are_related("N0.csv", "resume_N0.csv"), are_related("N0_old.csv", "N0_new.csv")
    (True, True)
    >>> are_related("N0_s0.csv", "N0_s1.csv"), are_related("x_25M.csv", "x_50M.csv")
    (False, False)
    """
    more, less = words(path) - words(other), words(other) - words(path)
    if not more or not less:
        return True
    return len(more) == len(less) == 1 and not all(map(_OF_RUNS.fullmatch, (*more, *less)))


def without_rotation(path: str) -> str:
    """Give a file's name without its endings, as it was before the log was rotated."""
    rotated = _ROTATED.fullmatch(path)
    return stem(rotated["log"] if rotated else path)


def is_rotated(path: str) -> bool:
    """Tell whether a newer log has had a file's name: `train.log.1`."""
    return _ROTATED.fullmatch(path) is not None


def without_resume(path: str) -> set[str]:
    """Give the names, without endings, of the run that a file's word for a resume is of."""
    name = stem(path).lower()
    return {_RESUMED.sub("", name), _RESUMED_LAST.sub("", name)} - {name}


def in_turn(path: str) -> tuple[object, ...]:
    """Order launches by their names: part2 before part10, and logs from the oldest rotated on."""
    rotated = _ROTATED.fullmatch(path)
    if rotated is None:
        return (natural(stem(path)), 1)
    if rotated["number"]:
        return (natural(stem(rotated["log"])), 0, -int(rotated["number"]))
    return (natural(stem(rotated["log"])), 0, natural(rotated["date"]))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Order part2 before part10."""
    pieces = re.split(r"(\d+)", name)
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in pieces if p]

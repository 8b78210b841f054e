"""What names of files say of launches: numbers, dates, words such as `resume`, rotated logs."""

from __future__ import annotations

import re
from typing import Final

from isoflop.ingest.sidefiles import stem

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
_ROTATED: Final = re.compile(
    rf"(?P<log>.*\.[A-Za-z]\w{{0,9}})(?:\.(?P<number>[0-9]{{1,3}})|[-.](?P<date>{_DATE}))"
    r"(?:\.(?:gz|bz2|xz|zst))?"
)
"""What a log is called once a newer one has its name: `train.log.2`, `train.log-20260101`."""


def keys(path: str) -> list[str]:
    """Give what the names of files of one run share, by each number that may be of a launch."""
    name = stem(path).lower()
    bare = _RESUMED.sub("", name)
    numbers = [*_NUMBER.finditer(bare)]
    masked = [f"{bare[: each.start()]}#{bare[each.end() :]}" for each in numbers]
    # `N0` and its `N0_resume2`: a number that ends the name may be of launches alone
    last = re.sub(r"[-_. ]?#$", "", masked[-1]) if masked and bare != name else bare
    return [*dict.fromkeys([bare, last, *masked, without_rotation(path).lower()])]


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

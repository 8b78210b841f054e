"""The number of parameters that a run's name tells: `gpt-25M`, `25M-0.5B-tokens`, `N1238144_D5`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_POWERS: Final = {"m": 6, "b": 9}
_SIZE: Final = re.compile(r"(?i)([0-9]+(?:\.[0-9]+)?)([mb])")
_BEFORE_TOKENS: Final = re.compile(r"(?i)d|data|budget|tok(?:en)?s?")
_AFTER_TOKENS: Final = re.compile(r"(?i)tok(?:en)?s?|data")
_BEFORE_OTHERS: Final = re.compile(r"(?i)batch|g?bsz?|vocab|ctx|context|seq|sample|subset|step|lr")
_DATA: Final = re.compile(
    r"(?i)m?c4|pile|.*pajama|fineweb|edu|dclm|openwebtext2?|owt2?|dolma|refinedweb|stack|wiki.*"
    r"|books?|text|web|webtext|corpus|starcoder|oscar|culturax|cosmopedia|tinystories|lm1b|cc"
    r"|ds|data|dataset|tok(?:en)?s?"
)
"""Words of data: a size behind or beside them may be theirs."""
_SHAPE: Final = re.compile(r"(?i)[dl][0-9]+")
"""What tells a model by its shape, so that a size beside it may be of anything: d512, L8."""
_NAMED: Final = re.compile(r"(?i)(?:n|params)(?:([0-9]{5,})|([0-9]+(?:\.[0-9]+)?[mb]))")
"""A size behind its letter."""
COUNTED: Final = 3
"""Names in a row whose numbers follow each other from 1, from which these count them."""
NEAR: Final = 1.25
"""A size within this factor of D is D."""


def count_files(names: Sequence[str]) -> bool:
    """Tell whether names that look like sizes count their bearers: exp-1b, exp-2b, exp-3b."""
    numbers = [re.fullmatch(r"(?i)(.*?)([0-9]+)[mb]", name) for name in names]
    told = {(match[1], int(match[2])) for match in numbers if match}
    counts = sorted(count for _, count in told)
    one_kind = len({begin for begin, _ in told}) == 1 and len(told) == len(names)
    return one_kind and len(counts) >= COUNTED and counts == [*range(1, len(counts) + 1)]


def size_in(name: str, tokens: float | None) -> str | None:
    """Propose N by a run's name where one size in it can be that and no other.

    Parameters
    ----------
    tokens : D of the run, as far as it is known.

    Returns
    -------
    The line of sweep.yaml; None where no size can be N, or several can.
    """
    words = ["", *filter(None, re.split(r"[^A-Za-z0-9.]+", name)), ""]
    named = {match[1] or match[2].lower() for word in words if (match := _NAMED.fullmatch(word))}
    if len(named) == 1:
        (told,) = named
        return _line(told if told.isdigit() else f"{told[:-1]}e{_POWERS[told[-1]]}")
    left = {
        word: at
        for at, word in enumerate(words)
        if _SIZE.fullmatch(word) and not _is_of_tokens(words, at, tokens)
    }
    if len({word.lower() for word in left}) != 1 or any(map(_SHAPE.fullmatch, words)):
        return None
    ((size, at),) = [*left.items()][:1]
    is_of_data = any(map(_DATA.fullmatch, words[: at + 2]))
    too_large = tokens is not None and _count(size) > tokens
    if is_of_data or too_large or _BEFORE_OTHERS.fullmatch(words[at - 1]):
        return None
    number, unit = size[:-1], size[-1].lower()
    return _line(f"{number}e{_POWERS[unit]}")


def _line(number: str) -> str:
    """Write the line that says N."""
    return f"params: {{total: {number}}}   # by its name: is that all of it?"


def _is_of_tokens(words: Sequence[str], at: int, tokens: float | None) -> bool:
    """Tell a size that is of tokens: words beside it say so, or D is as much."""
    if _BEFORE_TOKENS.fullmatch(words[at - 1]) or _AFTER_TOKENS.fullmatch(words[at + 1]):
        return True
    return tokens is not None and tokens > 0 and 1 / NEAR < _count(words[at]) / tokens < NEAR


def _count(size: str) -> float:
    return float(f"{size[:-1]}e{_POWERS[size[-1].lower()]}")

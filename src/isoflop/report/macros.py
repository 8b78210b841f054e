"""A TeX macro for each headline number, so that a paper types none: tables/numbers.tex.

Each has its sweep in its name, so that a paper may read those of several.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from isoflop.escape import bibtex
from isoflop.numbers import MINUS, fixed
from isoflop.report.sections.first_screen import headline_budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs

DIGITS = 3
DIGIT_NAMES: Final = dict(
    zip(
        "0123456789",
        ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"),
        strict=True,
    )
)


def numbers_tex(inputs: ReportInputs) -> str:
    r"""Write the macros; siunitx's \num prints them where a paper loads it, before or behind."""
    prefix = f"\\iso{sweep_in_letters(inputs.sweep)}"
    lines = [
        f"% Headline numbers of the report of sweep {bibtex(inputs.sweep)}: \\input this file.",
        f"% {prefix}N, {prefix}D, ...: a paper may read those of other sweeps, too.",
        "% With siunitx they are printed by \\num. Lo, Hi: ends of the 95 % interval; loss in nats",
        "% per token.",
        # asked when a number is printed: siunitx may be loaded behind this file
        r"\providecommand{\isonum}[1]{\ifdefined\num\num{#1}\else#1\fi}",
    ]
    lines += [f"\\newcommand{{{prefix}{name}}}{{{value}}}" for name, value in _macros(inputs)]
    return "\n".join(lines) + "\n"


def sweep_in_letters(sweep: str) -> str:
    """Write a sweep's name in letters alone, as names of TeX have them: novels-gpu2, NovelsGpuTwo.

    Two sweeps whose names give the same letters clash aloud: TeX defines no macro twice.
    """
    plain = unicodedata.normalize("NFKD", sweep)
    words = re.findall(r"[A-Za-z]+|[0-9]", plain)
    return "".join(DIGIT_NAMES.get(word, word[0].upper() + word[1:]) for word in words)


def _macros(inputs: ReportInputs) -> Iterator[tuple[str, str]]:
    chosen = inputs.recommended
    flops = headline_budget(inputs)
    if chosen is None or flops is None:
        return
    estimate = chosen.answer
    optimum = inputs.answered(flops)[chosen.key]
    yield "Approach", bibtex(chosen.key)
    yield "Budget", _num(flops)
    quantities = {
        "N": optimum.params,
        "D": optimum.tokens,
        "Ratio": optimum.tokens_per_param,
        "Loss": optimum.loss,
        "A": estimate.a,
        "B": estimate.b,
    }
    for name, quantity in quantities.items():
        if quantity is not None:
            yield from _with_ends(name, quantity, PRINTED.get(name, _num))
    yield "Runs", f"\\isonum{{{estimate.n_runs}}}"
    for approach, fit in inputs.fitted.items():
        yield from _with_ends(f"A{approach.replace('_', '')}", fit.a, _fixed)


def _with_ends(
    name: str, quantity: Quantity, write: Callable[[float], str]
) -> Iterator[tuple[str, str]]:
    yield name, write(quantity.value)
    ends = quantity.intervals.get("0.95")
    if ends is not None:
        yield f"{name}Lo", write(ends[0])
        yield f"{name}Hi", write(ends[1])
    elif "0.95" in quantity.levels:
        # a paper that prints an end goes on compiling, and shows that there is none
        yield f"{name}Lo", "---"
        yield f"{name}Hi", "---"


def _num(value: float) -> str:
    """Write a number for siunitx with its significant digits: 4.44e5, 50.8, 0.455."""
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if -3 < exponent < 4:
        text = f"{value:.{max(DIGITS - 1 - exponent, 0)}f}"
        return f"\\isonum{{{text}}}"
    mantissa, power = f"{value:.{DIGITS - 1}e}".split("e")
    return f"\\isonum{{{mantissa}e{int(power)}}}"


def _fixed(value: float) -> str:
    """Write a loss or an exponent with the decimals that the page gives it."""
    return f"\\isonum{{{fixed(value).replace(MINUS, '-')}}}"


PRINTED: Final = {"Loss": _fixed, "A": _fixed, "B": _fixed}
"""How the page prints what has a number of decimals instead of a number of digits."""

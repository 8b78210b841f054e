"""The page of published numbers beside reproduced ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from isoflop.files import write_text
from isoflop.page import stylesheet
from isoflop.published.forest import draw, groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate, Refusal
    from isoflop.published.catalogue import Catalogue, PublishedResult
    from isoflop.published.results import Verdict
    from isoflop.reference import Reference

SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def render_published(
    catalogue: Catalogue,
    found: Sequence[Verdict],
    own: Mapping[str, Mapping[Approach, Estimate | Refusal]],
    reference: Reference,
    out: Path,
) -> None:
    """Write the page: a table of numbers with verdicts, and a forest of all exponents.

    Parameters
    ----------
    catalogue : the catalogue of published studies.
    found : every number's verdict.
    own : estimates of the reader's own sweeps, by name.
    reference : the papers' exponents.
    out : page to write; it loads nothing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("isoflop.published"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template("index.html.j2").render(
        style=Markup(stylesheet()),  # noqa: S704  our own file
        rows=found,
        good=sum(verdict.ok for verdict in found),
        missed=[verdict for verdict in found if not verdict.ok],
        studies=[
            (study, [verdict for verdict in found if verdict.study == study])
            for study in catalogue.studies
        ],
        forest=draw(groups(found, own, reference)),
        number=number,
        like=like,
    )
    write_text(out, page)


def number(value: float | None, digits: int = 8, *, sign: bool = False) -> str:
    """Write a number with at most so many digits: 0.0010182740, 73.2B, 3.03T.

    Parameters
    ----------
    value : the number; None gives a dash.
    digits : significant digits at most.
    sign : whether a plus is written.
    """
    if value is None:
        return "–"
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return number(value / size, digits, sign=sign) + suffix
    text = f"{value:{'+' if sign else ''}.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = int(exponent)
        # 1.43e+03 is 1430; only small numbers need a power of ten
        text = (
            f"{float(text):{'+' if sign else ''}.0f}"
            if power > 0
            else (f"{mantissa} × 10{str(power).translate(SUPERSCRIPTS)}")
        )
    return text.replace("-", "−")


def like(value: float | None, result: PublishedResult) -> str:
    """Write a reproduced number as finely as the tolerance asks, one digit more."""
    if value is None or value == 0.0:
        return number(value)
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(result.tolerance)) + 2
    return number(value, min(max(digits, 4), 12))

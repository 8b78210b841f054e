"""The page of the backtest: every way to forecast, over every study with its upper part hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.drawing.svg import inline
from isoflop.files import write_text
from isoflop.page import stylesheet
from isoflop.published.backtest_figure import draw

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.estimates.backtest import Backtest

SHOWN = ("parametric", "nested", "root", "kaplan_law", "product", "mixture")
"""Candidates whose rms is shown cell by cell."""


def render_backtest(found: Backtest, out: Path) -> None:
    """Write the page.

    Parameters
    ----------
    found : the backtest.
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
    figure = draw(found)
    labels = {candidate.key: candidate.label for candidate in found.candidates}
    page = environment.get_template("backtest.html.j2").render(
        style=Markup(stylesheet()),  # noqa: S704  our own file
        found=found,
        default=found.candidate(found.default) if found.candidates else None,
        shown=[key for key in SHOWN if key in labels],
        labels=labels,
        figure=Markup(inline(figure.figure, "gammas")),  # noqa: S704
        figure_words=figure.alt,
        ratio=lambda value: f"{value:.2f}",
        third=lambda value: f"{value:.3f}",
        fourth=lambda value: f"{value:.4f}",
        share=lambda value: f"{100.0 * value:.0f} %",
    )
    write_text(out, page)

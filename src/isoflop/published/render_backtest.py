"""The page of the backtest: every way to forecast, over every study with its upper part hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.drawing.svg import inline
from isoflop.published.backtest_figure import draw
from isoflop.published.page import write_page

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.estimates.backtest import Backtest
    from isoflop.laws import KaplanLaw

SHOWN = ("parametric", "nested", "root", "kaplan_law", "product", "mixture")
"""Candidates whose rms is shown cell by cell."""


def render_backtest(backtest: Backtest, out: Path, *, kaplan: KaplanLaw) -> None:
    """Write the page.

    Parameters
    ----------
    backtest : the backtest.
    kaplan : the paper's L(N, D), a point of the plane of E and gamma.
    out : page to write; it loads nothing.
    """
    from markupsafe import Markup

    figure = draw(backtest, kaplan.alpha_D)
    labels = {candidate.key: candidate.label for candidate in backtest.candidates}
    write_page(
        "backtest.html.j2",
        out,
        backtest=backtest,
        default=backtest.candidate(backtest.default) if backtest.candidates else None,
        shown=[key for key in SHOWN if key in labels],
        labels=labels,
        laws_of=lambda choice: "; ".join(labels.get(law, law) for law in choice.laws),
        figure=Markup(inline(figure.figure, "gammas")),  # noqa: S704
        figure_words=figure.alt,
        ratio=lambda value: f"{value:.2f}",
        third=lambda value: f"{value:.3f}",
        fourth=lambda value: f"{value:.4f}",
        share=lambda value: f"{100.0 * value:.0f} %",
    )

"""E and gamma of every study: what its runs leave of the plane that holds both papers' laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.drawing import style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.estimates.backtest import Backtest, Gamma

WIDTH: Final = 7.6
ACROSS: Final = 3
"""Panels in a row."""
MARKS: Final = "os^DvP<>Xpd*"
RANGE: Final = (0.04, 12.0)
"""Of gamma: the fit's bounds, with room for a mark."""


def draw(backtest: Backtest, kaplan: float) -> style.Drawn:
    """Plot E and gamma of each sweep and of its resamples, a panel a study, and both papers' laws.

    Parameters
    ----------
    backtest : its sweeps, seen whole.
    kaplan : gamma of Kaplan et al.'s L(N, D), whose E is 0: their alpha_D.
    """
    from matplotlib import rc_context

    style.register_fonts()
    studies = list(dict.fromkeys(gamma.study for gamma in backtest.gammas))
    with rc_context(style.RC):
        rows = max(1, -(-len(studies) // ACROSS))
        figure = style.new_figure(width=WIDTH, height=0.5 + 2.1 * rows)
        panels = figure.subplots(rows, ACROSS, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(studies) :]:
            axes.set_visible(False)
        for place, study in enumerate(studies):
            axes = panels.flat[place]
            _study(axes, [gamma for gamma in backtest.gammas if gamma.study == study], kaplan)
            axes.set_title(style.outside(study))
            axes.tick_params(labelbottom=place + ACROSS >= len(studies))
        first = panels[0, 0]
        first.set_yscale("log")
        first.set_ylim(*RANGE)
        first.set_yticks([0.1, 0.2, 0.5, 1.0, 2.0, 5.0], ["0.1", "0.2", "0.5", "1", "2", "5"])
        first.minorticks_off()
        first.set_xlim(left=-0.15)
        figure.supxlabel("Irreducible loss $E$ (nats per token)", fontsize=style.SMALL + 1)
        figure.supylabel("Exponent $\\gamma$", fontsize=style.SMALL + 1)
        svg.settle(figure)
    words = "; ".join(f"{g.sweep} {g.gamma:.2f} at E = {g.E:.2f}" for g in backtest.gammas)
    return style.Drawn(
        figure,
        "A panel for each study: gamma of the nested law against E, a mark for each sweep and a "
        "dot for each of its resamples; dashed Hoffmann's law, gamma = 1, dotted the root law, "
        f"gamma = 1/2, and Kaplan's published law as a star at E = 0, gamma = {kaplan:.3f}. "
        f"{words}.",
    )


def _study(axes: Axes, gammas: list[Gamma], kaplan: float) -> None:
    """Draw one study's sweeps."""
    axes.axhline(1.0, color=style.QUIET, lw=0.8, ls=(0, (4, 2)), zorder=1)
    axes.axhline(0.5, color=style.QUIET, lw=0.8, ls=(0, (1, 1.5)), zorder=1)
    axes.plot(0.0, kaplan, ls="", marker="*", ms=7, color=style.PUBLISHED, zorder=4, gid="kaplan")
    colours = style.shades(range(1, len(gammas) + 1))
    for place, gamma in enumerate(gammas):
        floors, powers = zip(*gamma.draws, strict=True) if gamma.draws else ((), ())
        axes.scatter(
            floors, powers, s=3.0, color=colours[place], alpha=0.35, linewidths=0, zorder=2,
            gid=f"draws-{gamma.sweep}",
        )  # fmt: skip
        axes.plot(
            gamma.E,
            gamma.gamma,
            ls="",
            marker=MARKS[place % len(MARKS)],
            ms=5,
            mew=0.4,
            mec="white",
            color=colours[place],
            label=style.outside(gamma.sweep),
            gid=f"gamma-{gamma.sweep}",
            zorder=3,
        )
    axes.legend(loc="upper left", fontsize=style.SMALL - 0.5, frameon=False, handletextpad=0.2)

"""E and gamma of every study, and what each way to forecast was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.drawing import style, svg

if TYPE_CHECKING:
    from isoflop.estimates.backtest import Backtest

WIDTH: Final = 7.6
MARKS: Final = "os^DvP<>Xpd*"


def draw(backtest: Backtest) -> style.Drawn:
    """Plot the free gamma of each sweep against its E, with both papers' laws."""
    from matplotlib import rc_context

    style.register_fonts()
    with rc_context(style.RC):
        figure = style.new_figure(width=WIDTH, height=3.2)
        axes = figure.subplots()
        for height, label in ((1.0, r"Hoffmann: $\gamma = 1$"), (0.5, r"root law: $\gamma = 1/2$")):
            axes.axhline(height, color=style.QUIET, lw=0.8, zorder=1)
            axes.annotate(
                label,
                (0.995, height),
                xycoords=axes.get_yaxis_transform(),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=style.SMALL,
                color=style.QUIET,
            )
        studies = list(dict.fromkeys(gamma.study for gamma in backtest.gammas))
        colours = style.shades(range(1, len(studies) + 1))
        for place, study in enumerate(studies):
            of_study = [gamma for gamma in backtest.gammas if gamma.study == study]
            axes.plot(
                [gamma.E for gamma in of_study],
                [gamma.gamma for gamma in of_study],
                ls="",
                marker=MARKS[place % len(MARKS)],
                ms=5,
                mew=0.4,
                mec="white",
                color=colours[place],
                label=study,
                gid=f"gamma-{place}",
                zorder=3,
            )
        axes.set_yscale("log")
        axes.set_yticks([0.1, 0.2, 0.5, 1.0, 2.0], ["0.1", "0.2", "0.5", "1", "2"])
        axes.minorticks_off()
        axes.set_xlim(left=0.0)
        axes.set(xlabel="Irreducible loss $E$ (nats per token)", ylabel="Exponent $\\gamma$")
        if studies:
            axes.legend(loc="lower left", fontsize=style.SMALL, frameon=False)
        svg.settle(figure)
    words = "; ".join(f"{g.sweep} {g.gamma:.2f} at E = {g.E:.2f}" for g in backtest.gammas)
    return style.Drawn(
        figure, f"Gamma of the nested law against E, a mark for each sweep: {words}."
    )

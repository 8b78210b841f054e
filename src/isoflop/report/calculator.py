"""What the calculator on the page computes with: every law's frontier, and thinned draws of it.

Along its frontier every law here but the one with a product term is N = n C**a, D = d C**b and
L = E + K C**-e; a row of seven numbers then stands for a draw, whatever its law, and the page needs
none of the laws' formulas.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.approach import NAMES
from isoflop.estimates.allocation import REACH, simulations_of
from isoflop.estimates.intervals import calibrated_levels
from isoflop.estimates.laws import PowerLaws
from isoflop.estimates.recommendation import recommend
from isoflop.report.sections.first_screen import headline_budget

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.laws import LawOfLoss
    from isoflop.report.inputs import ReportInputs

    Floats = NDArray[np.float64]

DRAWS: Final = 400
"""Draws per law on the page: enough for the ends of a 95 % interval, and some 20 kB."""
LEVEL: Final = 0.95
STEP: Final = 100.0
"""Factor between the computes at which a frontier is read."""
ACCURACY: Final = 1e-6
"""Relative error at a fourth compute below which a frontier is one of these power laws."""


def frontier(law: LawOfLoss, rows: Floats, flops: float) -> Floats | None:
    """Write each row's frontier as log n, a, log d, b, E, log K and e, (rows, 7).

    Parameters
    ----------
    law : the law that the parameters belong to.
    rows : (rows, parameters).
    flops : a compute in the middle of where the frontier is used [FLOP].

    Returns
    -------
    NaN in the last three where no loss is predicted. None where the frontier is no such law.
    """
    # a power law's loss is refused beyond the data, and the page refuses it by itself
    everywhere = PowerLaws(loss_up_to=np.inf) if isinstance(law, PowerLaws) else law
    places = flops * STEP ** np.array([-1.0, 0.0, 1.0, 2.0])
    optima = everywhere.optima(rows, places)
    log_c, step = np.log(places), np.log(STEP)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_n, log_d = np.log(optima.params), np.log(optima.tokens)
        a, b = (log_n[:, 2] - log_n[:, 0]) / (2 * step), (log_d[:, 2] - log_d[:, 0]) / (2 * step)
        first, second = optima.loss[:, 0] - optima.loss[:, 1], optima.loss[:, 1] - optima.loss[:, 2]
        e = np.log(first / second) / step
        k = first / (places[0] ** -e - places[1] ** -e)
        floor = optima.loss[:, 1] - k * places[1] ** -e
        if isinstance(law, PowerLaws):
            e = -np.log(optima.loss[:, 2] / optima.loss[:, 0]) / (2 * step)
            floor, k = np.zeros_like(e), optima.loss[:, 1] * places[1] ** e
        found = np.stack(
            [log_n[:, 1] - a * log_c[1], a, log_d[:, 1] - b * log_c[1], b, floor, np.log(k), e],
            axis=-1,
        )
        again = np.exp(found[:, 0] + a * log_c[3]), floor + k * places[3] ** -e
        errors = [again[0] / optima.params[:, 3] - 1.0, again[1] / optima.loss[:, 3] - 1.0]
    worst = max((float(np.nanmax(np.abs(x))) for x in errors if np.isfinite(x).any()), default=0.0)
    return found if worst < ACCURACY else None


def calculator_json(inputs: ReportInputs) -> str | None:
    """Write what the page's calculator needs, as JSON; None where nothing can be asked."""
    chosen = recommend(inputs.fitted, inputs.forecasts)
    flops = headline_budget(inputs)
    if chosen is None or flops is None:
        return None
    order = sorted(inputs.fitted, key=lambda name: name != chosen.approach)
    laws = [
        found
        for name in order
        if (found := _law(inputs.fitted[name], inputs.draws.get(name), flops)) is not None
    ]
    if not laws:
        return None
    content = {
        "flops": flops,
        "level": LEVEL,
        "reach": [[most if np.isfinite(most) else None, words] for most, words in REACH],
        "laws": laws,
        "cards": [
            {"key": card.key, "name": card.name, "peak": card.peak_flops}
            for card in inputs.reference.accelerators.rows
        ],
    }
    # a name that says </script> ends no script
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _law(estimate: Estimate, draws: pl.DataFrame | None, flops: float) -> dict[str, Any] | None:
    """Describe one law; None where its frontier is no power law."""
    point = frontier(estimate.law, estimate.row, flops)
    if point is None:
        return None
    thinned: Floats = np.empty((0, point.shape[1]))
    if draws is not None and not draws.is_empty():
        drawn = frontier(estimate.law, estimate.rows(draws), flops)
        if drawn is None:
            return None
        known = drawn[np.isfinite(drawn[:, :4]).all(axis=1)]
        places = np.unique(np.linspace(0, len(known) - 1, min(DRAWS, len(known))).astype(np.int64))
        thinned = known[places] if len(known) else known
    law = estimate.law
    return {
        "key": estimate.approach,
        "name": NAMES[estimate.approach],
        "counting": estimate.counting.params,
        "data": list(estimate.flops_range),
        "lossUpTo": law.loss_up_to if isinstance(law, PowerLaws) else None,
        "levels": _levels(estimate, draws, flops),
        "point": _numbers(point[0]),
        "draws": [_numbers(row, 10) for row in thinned],
    }


def _numbers(row: Floats, digits: int = 17) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in row]


def _levels(estimate: Estimate, draws: pl.DataFrame | None, flops: float) -> dict[str, float]:
    """Give the nominal level at which each quantity's interval is read off the draws."""
    names = ("params_opt", "tokens_opt", "tokens_per_param", "loss")
    levels = dict.fromkeys(names, LEVEL)
    simulations = None if draws is None else simulations_of(estimate, draws)
    if simulations is not None:
        ranks = simulations.of(estimate.law, np.array([flops]))
        key = repr(float(flops))
        for name in names:
            if f"{name}_{key}" in ranks:
                levels[name] = calibrated_levels(ranks[f"{name}_{key}"][0])[LEVEL]
    return {
        "params": levels["params_opt"],
        "tokens": levels["tokens_opt"],
        "ratio": levels["tokens_per_param"],
        "loss": levels["loss"],
        # C is asked for by what it buys
        "flops": levels["params_opt"],
    }

"""Approach 1: the envelope of all training curves (Hoffmann et al. 2022, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import closed_form, spread
from isoflop.approaches.estimators.curvature import Curvature, quadratic_term, slopes
from isoflop.approaches.estimators.frontier import grid_curves, hull_points, require_curves
from isoflop.approaches.estimators.power_laws import (
    fit_frontiers,
    fitted_part,
    winners,
)
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import LATE, EnvelopeDiagnostics
from isoflop.estimates.laws import PowerLaws
from isoflop.numbers import number_of, per_cent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.frontier import Frontiers, GridCurves, HullPoints
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import EnvelopeSettings

    Floats = NDArray[np.float64]

LEAST_SIZES: Final = 3
"""Sizes that must win in a third of the frontier for it to have an exponent."""
EDGE_NOTE: Final = ", the smallest and the largest not counted"


@dataclass(frozen=True, eq=False)
class EnvelopeFit(Fit):
    """The envelope's power laws, and what they came from."""

    approach: ClassVar[Approach] = "envelope"
    law: ClassVar[PowerLaws] = PowerLaws()
    takes_losses: ClassVar[bool] = False

    observations: Observations
    settings: EnvelopeSettings
    curves: GridCurves | HullPoints

    @property
    def n_parameters(self) -> int:
        """Two: the line of log N on log C."""
        return 2

    @cached_property
    def parameters(self) -> Floats:
        """The power laws' coefficients and exponents."""
        return np.asarray(fit_frontiers(self.frontier)[0])

    @cached_property
    def untrimmed(self) -> Frontiers:
        """The envelope of all runs, edges included."""
        return self.curves.frontiers(np.ones((1, self.observations.n_runs), dtype=np.bool_))

    @cached_property
    def frontier(self) -> Frontiers:
        """The part of the envelope of all runs that is fitted."""
        present = np.ones((1, self.observations.n_runs), dtype=np.bool_)
        return fitted_part(self.untrimmed, present, self.observations, self.settings.edge)

    @cached_property
    def thirds(self) -> Floats:
        """Ends of the fitted part's thirds in log C, (4,)."""
        frontier = self.frontier
        log_flops = frontier.log_flops[0][frontier.run[0] >= 0]
        return np.linspace(log_flops.min(), log_flops.max(), 4)

    @property
    def fitted(self) -> Floats:
        """Nothing: an envelope has no residuals."""
        return np.full(len(self.observations.loss), np.nan)

    @property
    def n_used(self) -> tuple[int, int]:
        """All of them: every point of a curve may lie on the frontier."""
        return self.observations.n_runs, len(self.observations.loss)

    def refit(self, resamples: Resamples) -> Refits:
        """Find the envelope of each resample; how often a run is drawn does not matter."""
        present = resamples.weights > 0
        parameters = np.empty((len(present), len(self.names)))
        sizes = np.empty(len(present), dtype=np.intp)
        bends, thirds = np.empty(len(present)), np.empty((len(present), 3))
        for start in range(0, len(present), self.curves.at_once):
            block = slice(start, start + self.curves.at_once)
            frontiers = self.curves.frontiers(present[block])
            frontiers = fitted_part(
                frontiers, present[block], self.observations, self.settings.edge
            )
            parameters[block] = fit_frontiers(frontiers)
            sizes[block] = frontiers.distinct_sizes(self.observations.sizes)
            frontier = (frontiers.log_flops, frontiers.log_params, frontiers.weights)
            bends[block] = quadratic_term(*frontier, float(self.thirds.mean()))
            steps = frontiers.distinct_sizes_in(self.observations.sizes, self.thirds)
            # a line through two sizes is the place of one step
            thirds[block] = np.where(steps < LEAST_SIZES, np.nan, slopes(*frontier, self.thirds))
        few = sizes < self.settings.min_sizes
        parameters[few] = np.nan
        reason = f"fewer than {self.settings.min_sizes} distinct sizes on the envelope"
        curvature = Curvature(bends, thirds, self.thirds).without(few)
        return Refits(parameters, np.where(few, reason, ""), curvature)

    def refit_losses(self, observations: Observations) -> EnvelopeFit:
        """Find the envelope of other losses."""
        return fit_envelope(observations, self.settings)

    @cached_property
    def _diagnostics(self) -> EnvelopeDiagnostics:
        wins = winners(self.observations, self.untrimmed, self.frontier)
        late, fitted = np.array(wins.late), np.array(wins.fitted)
        residuals = self._residuals()
        points = len(residuals)
        return EnvelopeDiagnostics(
            account=closed_form(
                float(residuals @ residuals),
                kind="least squares of log N on log C",
                points=points,
                parameters=self.n_parameters,
                condition_number=None,
            ),
            residuals=spread(residuals),
            frontier=self.settings.frontier,
            points_on_frontier=len(fitted),
            points_fitted=points,
            late_winners=float(late[fitted].mean()),
            sizes_that_win=int(self.frontier.distinct_sizes(self.observations.sizes)[0]),
            sizes=int(self.observations.sizes.max()) + 1,
            residual_sd=float(residuals.std()),
            winners=wins,
        )

    def diagnostics(self) -> EnvelopeDiagnostics:
        """Say who wins where, and how late in its run."""
        return self._diagnostics

    def _residuals(self) -> Floats:
        """Give log N of the fitted winners less the power law's."""
        frontier = self.frontier
        won = frontier.run[0] >= 0
        n, a = self.parameters[:2]
        fitted = np.log(n) + a * frontier.log_flops[0][won]
        return np.asarray(frontier.log_params[0][won] - fitted)

    def cautions(self) -> list[str]:
        """Warn of few winning sizes, early winners and an edge of the grid."""
        diagnostics = self.diagnostics()
        cautions = []
        left = diagnostics.points_on_frontier - diagnostics.points_fitted
        if left > diagnostics.points_fitted:
            cautions.append(
                f"Of {number_of(diagnostics.points_on_frontier, 'point')} of the envelope "
                f"{left} are left out, "
                "where the smallest or the largest size wins, and beyond: the best size is only "
                "known to be that small or smaller, that large or larger."
            )
        if diagnostics.sizes_that_win < 5:
            cautions.append(
                f"Only {diagnostics.sizes_that_win} of "
                f"{number_of(diagnostics.sizes, 'size')} ever have the "
                "lowest loss, so the envelope's exponent rests on a few steps between them."
            )
        if diagnostics.late_winners < 0.5:
            cautions.append(
                f"Only {per_cent(diagnostics.late_winners)} of the envelope's points lie in the "
                f"last {per_cent(1.0 - LATE)} of their run. Where a learning rate was still to "
                "decay after the others, their loss is too high."
            )
        return cautions


def fit_envelope(observations: Observations, settings: EnvelopeSettings) -> EnvelopeFit:
    """Fit N_opt and D_opt to the lowest loss over all curves at each C.

    Parameters
    ----------
    observations : the sweep's points, counted.
    settings : frontier rule and number of places.

    Raises
    ------
    UnderdeterminedError : no run has a curve, or fewer than ``settings.min_sizes`` sizes win.

    References
    ----------
    Hoffmann et al. 2022, section 3.1; McLeish et al. 2025, section 4.1 for the hull.
    """
    scheduled = _far_enough(observations, settings.min_schedule_fraction)
    if settings.frontier == "grid":
        or_hull = partial(_or_hull, observations, settings)
        require_curves("envelope", observations, settings, otherwise=or_hull)
    curves = (
        grid_curves(scheduled, settings.grid_points)
        if settings.frontier == "grid"
        else hull_points(scheduled)
    )
    fit = EnvelopeFit(observations, settings, curves)
    sizes = int(fit.frontier.distinct_sizes(observations.sizes)[0])
    if sizes < settings.min_sizes:
        raise UnderdeterminedError(
            f"approach 'envelope' needs {settings.min_sizes} distinct sizes that have the lowest "
            f"loss somewhere{EDGE_NOTE if settings.edge == 'trim' else ''}; {observations.sweep} "
            f"has {sizes}. Add runs of other sizes, or lower approaches.envelope.min_sizes."
        )
    return fit


def _or_hull(observations: Observations, settings: EnvelopeSettings) -> str:
    """Name the hull as a way out where these runs have one: of ends alone it takes many."""
    try:
        fit_envelope(observations, settings.model_copy(update={"frontier": "hull"}))
    except UnderdeterminedError:
        return ""
    return ", or choose approaches.envelope.frontier: hull"


def _far_enough(observations: Observations, fraction: float) -> Observations:
    """Keep the points with enough of their schedule done; all where nothing is asked.

    A run whose schedule is unknown is taken to have had one as long as itself.
    """
    if fraction == 0.0:
        return observations
    end = np.zeros(observations.n_runs)
    np.maximum.at(end, observations.run, observations.tokens)
    progress = observations.tokens / end[observations.run]
    share = np.where(
        np.isnan(observations.schedule_fraction), progress, observations.schedule_fraction
    )
    kept = share >= fraction
    if not kept.any():
        raise UnderdeterminedError(
            f"no point of {observations.sweep} has {per_cent(fraction)} of its schedule done. "
            "Lower approaches.envelope.min_schedule_fraction, or add longer runs."
        )
    return observations.at(kept)

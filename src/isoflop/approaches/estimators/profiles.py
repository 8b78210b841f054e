"""Approach 2: IsoFLOP profiles (Hoffmann et al. 2022, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

import numpy as np

from isoflop.approaches.estimators.account import (
    closed_form,
    residuals_of,
    scaled_condition,
    spread,
    trends_of,
)
from isoflop.approaches.estimators.budgets import (
    TILT,
    BudgetGroup,
    budget_groups,
    require_budgets,
    require_equal_compute,
    tilt_of,
    told_of_logged,
    told_of_off,
)
from isoflop.approaches.estimators.curvature import Curvature, quadratic_term
from isoflop.approaches.estimators.identifiability import require_effects
from isoflop.approaches.estimators.noise_parts import parts_of
from isoflop.approaches.estimators.power_laws import fit_power_laws
from isoflop.approaches.estimators.valley_window import Budget, lowest_sizes, widest_window
from isoflop.approaches.numerics.akima import akima_minima
from isoflop.approaches.numerics.least_squares import Parabolas, fit_parabolas
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.cells import cells_of_logs, merged, number_of_cells
from isoflop.config.approaches import LEAST_SIZES
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import (
    AlongAxis,
    Coefficients,
    LeftOutRun,
    Minimum,
    Profile,
    ProfilesDiagnostics,
)
from isoflop.estimates.laws import PowerLaws
from isoflop.numbers import number_of, per_cent
from isoflop.spikes import TELLS_NOTHING, TO_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ProfilesSettings
    from isoflop.estimates.diagnostics import NoiseParts, Spread

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Axis = Literal["params", "tokens"]
AXES: Final[tuple[Axis, ...]] = ("params", "tokens")
NEAR_BUDGET: Final = 2.0
"""Factor in C within which a run may have been meant for a budget."""
LEAST_BEND: Final = 1e-9
"""Change of log L between middle and ends of a budget below which a curvature is rounding."""
NO_VALLEY: Final = 0.01
"""p-value of the budgets' common curvature above which they show no valley."""
LEAST_JUDGED: Final = 5
"""Runs of a budget beyond which one of them can be judged by the others."""
FAR: Final = 4.0
"""Residuals beyond this many standard deviations are named."""
CARRIES: Final = 8
"""Times that the slope is sought along which runs are carried to equal C."""
LEAST_BUDGETS: Final = 4
"""Minima that a parabola through them needs to leave a degree of freedom."""


class Valley(NamedTuple):
    """One budget's minimum along one axis, each array (rows,).

    Attributes
    ----------
    place : log of the axis.
    log_loss : there.
    accepted : whether there is a minimum and it lies inside the sizes.
    """

    place: Floats
    log_loss: Floats
    accepted: Bools


@dataclass(frozen=True, eq=False)
class Valleys:
    """The minimum of each budget's profile, each array (rows, budgets).

    Attributes
    ----------
    log_params, log_tokens, log_loss : at the minimum.
    accepted : whether there is a minimum and it lies inside the sizes.
    """

    log_params: Floats
    log_tokens: Floats
    log_loss: Floats
    accepted: Bools


@dataclass(frozen=True, eq=False)
class ProfilesFit(Fit):
    """The power laws through the valleys, and what they came from."""

    approach: ClassVar[Approach] = "profiles"
    law: ClassVar[PowerLaws] = PowerLaws()

    observations: Observations
    settings: ProfilesSettings
    groups: tuple[BudgetGroup, ...]
    left_out: tuple[LeftOutRun, ...]
    carried: tuple[float, float] | None = None
    """Least and largest slope of log L in log C along which runs were carried to the C of their
    budget; None where they were not."""

    @property
    def n_parameters(self) -> int:
        """Three of each budget's parabola."""
        return 3 * len(self.groups)

    @cached_property
    def outlying(self) -> NDArray[np.intp]:
        """Runs far off the parabola through the others of their budget, by the outlier rule.

        Judged once, on all runs: in a resample that draws an outlier twice, each would hide the
        other.
        """
        limit = self.settings.outliers
        if limit is None:
            return np.empty(0, dtype=np.intp)
        return np.concatenate(
            [g.run[_deleted_residuals(*self._axes(g, g.loss[None])) > limit] for g in self.groups]
        )

    @cached_property
    def suspects(self) -> dict[int, float]:
        """Runs far off the parabola through the others of their budget, and how far in log L.

        The scale is that of the median residual over all budgets, so that a few wild runs do not
        hide one another; of one budget the farthest is taken first, and the rest judged without it.
        """
        kept = [np.flatnonzero(~np.isin(g.run, self.outlying)) for g in self.groups]
        off = [_log_residuals(self._axes(g, g.loss[None])[0][k], g.loss[k])
               for g, k in zip(self.groups, kept, strict=True)]  # fmt: skip
        sizes = np.abs(np.concatenate([studentised for _, studentised in off]))
        scale = max(TO_SIGMA * float(np.median(sizes)), TELLS_NOTHING)
        minima: dict[int, float] = {}
        for group, points in zip(self.groups, kept, strict=True):
            left = points
            while len(left) > LEAST_JUDGED:
                x, _ = self._axes(group, group.loss[None])
                deleted, studentised = _log_residuals(x[left], group.loss[left])
                worst = int(np.abs(studentised).argmax())
                if abs(studentised[worst]) <= FAR * scale:
                    break
                minima[int(group.run[left[worst]])] = float(deleted[worst])
                left = np.delete(left, worst)
        return minima

    @cached_property
    def window(self) -> int | None:
        """How many sizes of a budget are fitted, where that is chosen by rule: ``valley_window``.

        Chosen once, by all runs but those far off: the window is the sweep's, not a resample's.
        """
        if self.settings.window != "rule" or self.settings.curve == "akima":
            return None
        far = [*self.outlying, *self.suspects]
        near = [group.take(np.flatnonzero(~np.isin(group.run, far))) for group in self.groups]
        return widest_window([self._budget(group) for group in near], self.settings.min_sizes)

    @cached_property
    def within(self) -> dict[float, Bools]:
        """Points of each budget that the window by rule takes; all where there is none."""
        if self.window is None:
            return {group.budget: np.ones(len(group.run), dtype=np.bool_) for group in self.groups}
        return {g.budget: lowest_sizes(self._budget(g), self.window) for g in self.groups}

    def _budget(self, group: BudgetGroup) -> Budget:
        """Give a budget's points as its parabola is fitted to them."""
        x, y = self._axes(group, group.loss[None])
        logs = self.settings.curve == "log_parabola"
        return Budget(float(np.log(group.budget)), x, np.log(y[0]) if logs else y[0])

    @cached_property
    def noise_parts(self) -> NoiseParts | None:
        """Tell the parts of the scatter about all budgets' parabolas apart; see ``noise_parts``.

        Only runs that a parabola is fitted to count, each once; None along a spline, which passes
        through all of them.
        """
        if self.settings.curve == "akima":
            return None
        blocks, residuals, params, tokens, runs = [], [], [], [], []
        for group in self.groups:
            x, y = self._axes(group, group.loss[None])
            left = np.flatnonzero(self._kept(group, y, np.ones_like(y))[0] > 0)
            if number_of_cells(cells_of_logs(x[left])) < LEAST_SIZES:
                continue
            t = x[left] - x[left].mean()
            design = np.stack([np.ones_like(t), t, t * t], axis=1)
            log_loss = np.log(group.loss[left])
            basis = np.linalg.qr(design)[0]
            blocks.append(design)
            residuals.append(log_loss - basis @ (basis.T @ log_loss))
            params.append(np.exp(group.log_params[left]))
            tokens.append(np.exp(group.log_tokens[left]))
            runs.append(group.run[left])
        if not blocks:
            return None
        from scipy.linalg import block_diag

        jacobian = block_diag(*blocks)
        settings, of_runs = self.observations.run_settings, np.concatenate(runs)
        once = self.observations.once[of_runs]
        of_points = None if settings is None else settings[of_runs[once]]
        left_over, n, d = (np.concatenate(c)[once] for c in (residuals, params, tokens))
        return parts_of(jacobian[once], left_over, n, d, of_points)

    def require_valleys(self) -> None:
        """Refuse losses that curve over the sizes no more than they scatter.

        One curvature for all budgets is compared with zero by Student's t, with the scatter about
        each budget's own parabola; where no freedom is left for a scatter, with rounding alone.

        Of scatter alone half of the parabolas open upwards, and many have their vertex inside the
        sizes: minima of nothing.

        Raises
        ------
        UnderdeterminedError : the losses show no valley.
        """
        from scipy.special import stdtr

        weighted, weight, squares, freedom, bend = 0.0, 0.0, 0.0, 0, 0.0
        for group in self.groups:
            left = np.flatnonzero(~np.isin(group.run, [*self.outlying, *self.suspects]))
            x, _ = self._axes(group, group.loss[None])
            if number_of_cells(cells_of_logs(x[left])) < LEAST_SIZES:
                continue
            # over a standard range, so that the curvature is the loss that the ends gain
            s = 2.0 * (x[left] - x[left].mean()) / np.ptp(x[left])
            design = np.stack([np.ones_like(s), s, s * s], axis=1)
            y = np.log(group.loss[left])
            coefficients, *_ = np.linalg.lstsq(design, y)
            precision = 1.0 / np.linalg.inv(design.T @ design)[2, 2]
            weighted, weight = weighted + precision * float(coefficients[2]), weight + precision
            rest = y - design @ coefficients
            squares, freedom = squares + float(rest @ rest), freedom + len(s) - LEAST_SIZES
            bend = max(bend, float(coefficients[2]))
        sweep = self.observations.sweep
        if bend <= LEAST_BEND:
            raise UnderdeterminedError(
                f"profiles finds no valley in sweep {sweep}: at no budget is the loss lower "
                "between the sizes than at their ends, by more than rounding. Check the column "
                "that the losses are read from, or add sizes farther from the best."
            )
        if freedom == 0 or squares <= 0.0:
            return
        statistic = weighted / weight / np.sqrt(squares / freedom / weight)
        p_value = float(stdtr(freedom, -statistic))
        if p_value > NO_VALLEY:
            raise UnderdeterminedError(
                f"profiles finds no valley in sweep {sweep}: over the sizes of a budget the losses "
                f"curve no more than by their scatter of {per_cent(np.sqrt(squares / freedom), 2)} "
                f"(p = {p_value:.2g}). Add sizes farther from the best, or repeat runs with other "
                "seeds; if losses should differ, check the columns of loss and N."
            )

    @cached_property
    def valleys(self) -> Valleys:
        """The minima from all runs."""
        return self.resampled_valleys(Resamples(np.ones((1, self.observations.n_runs))))

    @cached_property
    def parameters(self) -> Floats:
        """The power laws' coefficients and exponents."""
        return np.asarray(self._laws(self.valleys)[0])

    @cached_property
    def fitted(self) -> Floats:
        """Log of each budget's parabola at its points; NaN elsewhere."""
        fitted = np.full(len(self.observations.loss), np.nan)
        for group in self.groups:
            occupied = group.point >= 0
            curve, _ = self._log_curve(group)
            curve = curve if group.carried is None else curve - group.carried
            fitted[group.point[occupied]] = curve[occupied]
        return fitted

    @property
    def n_used(self) -> tuple[int, int]:
        """Runs and points of all budgets, those that were interpolated among them."""
        runs = np.concatenate([group.run for group in self.groups])
        return len(np.unique(runs)), len(runs)

    def _log_curve(self, group: BudgetGroup) -> tuple[Floats, Bools]:
        """Give the log of a budget's parabola at its points, and which of them it was fitted to.

        NaN throughout where the parabola is not determined or reaches below zero.
        """
        x, y = self._axes(group, group.loss[None, :])
        weights = self._kept(group, y, np.ones((1, len(x))))
        curve = self._parabolas(x, y, weights)(x)[0]
        if self.settings.curve == "log_parabola":
            curve = np.exp(curve)
        sound = np.isfinite(curve).all() and curve.min() > 0
        return np.log(curve) if sound else np.full(len(x), np.nan), weights[0] > 0

    def refit(self, resamples: Resamples) -> Refits:
        """Find the valleys of each resample and the lines through them."""
        valleys = self.resampled_valleys(resamples)
        parameters = self._laws(valleys)
        few = valleys.accepted.sum(axis=1) < self.settings.min_budgets
        parameters[few] = np.nan
        reason = f"fewer than {self.settings.min_budgets} budgets with a minimum inside their sizes"
        curvature = self._curvature(valleys).without(few)
        return Refits(parameters, np.where(few, reason, ""), curvature)

    def _curvature(self, valleys: Valleys) -> Curvature:
        """Give the bend of a parabola of log N_opt in log C, where there are enough budgets."""
        log_flops = np.log(self.budgets())[None, :]
        weights = valleys.accepted * self._budget_weights
        bend = quadratic_term(log_flops, valleys.log_params, weights, float(log_flops.mean()))
        enough = valleys.accepted.sum(axis=1) >= LEAST_BUDGETS
        reason = (
            f"{LEAST_BUDGETS} budgets with a minimum inside their sizes are needed to tell a bend "
            f"from scatter; there are {int(self.valleys.accepted.sum())}"
        )
        return Curvature(np.where(enough, bend, np.nan), reason=reason)

    def refit_losses(self, observations: Observations) -> ProfilesFit:
        """Find the valleys of other losses."""
        return fit_profiles(observations, self.settings)

    def budgets(self) -> list[float]:
        """List the budgets with enough sizes."""
        return [group.budget for group in self.groups]

    def cure_of_bias(self) -> str:
        """Advise a window: a parabola is biased where a valley is steeper on one side."""
        if self.settings.curve == "akima":
            return ""
        spans = [np.ptp(group.log_params[self.within[group.budget]]) for group in self.groups]
        widest = (
            f" The fitted sizes of a budget span up to a factor of {np.exp(max(spans)):.3g}, over "
            "which its valley is no parabola"
        )
        if self.window is not None:
            return (
                f"{widest}; the runs' scatter hides it from the rule that chooses the window. Add "
                "sizes nearer the lowest losses, or take these alone (approaches.profiles.window)."
            )
        return f"{widest}: choose the window by rule (approaches.profiles.window: rule)."

    def resampled_valleys(self, resamples: Resamples) -> Valleys:
        """Find the minimum of each budget's profile in each resample."""
        columns = [self._valley(group, resamples) for group in self.groups]
        return Valleys(*(np.stack(c, axis=1) for c in zip(*columns, strict=True)))

    def _valley(
        self, group: BudgetGroup, resamples: Resamples
    ) -> tuple[Floats, Floats, Floats, Bools]:
        """Find one budget's minimum in each resample."""
        loss = group.loss[None, :]
        changed = resamples.losses_at(group.point)
        if changed is not None:
            carried = 0.0 if group.carried is None else group.carried
            loss = np.where(group.point >= 0, np.exp(changed + carried), loss)
        if resamples.shift is not None:
            loss = loss * np.exp(resamples.shift[:, group.run])
        weights = resamples.weights[:, group.run]
        if self.settings.axis != "each":
            along = self._along(group, loss, weights, self.settings.axis)
            log_params, log_tokens = self._allocation(group, along.place, self.settings.axis)
            return log_params, log_tokens, along.log_loss, along.accepted
        # as the papers do: the best N where the loss over N is least, the best D where that over D
        sizes, tokens = (self._along(group, loss, weights, axis) for axis in AXES)
        accepted = sizes.accepted & tokens.accepted
        return sizes.place, tokens.place, sizes.log_loss, accepted

    def _along(self, group: BudgetGroup, loss: Floats, weights: Floats, axis: Axis) -> Valley:
        """Find one budget's minimum along one axis in each resample."""
        x, y = self._axes(group, loss, axis)
        if self.settings.curve == "akima":
            kept = self._kept(group, y, np.ones_like(weights))
            # through runs of one size goes one knot
            knots = merged(x, cells_of_logs(x))
            place, log_loss = akima_minima(
                knots, self._perturbed(group, np.log(y), weights, axis), kept
            )
            weights, curved = kept, np.isfinite(place)
        else:
            weights = self._kept(group, y, weights)
            parabolas = self._parabolas(x, y, weights)
            place, minimum = parabolas.vertex, parabolas.minimum
            curved = parabolas.curvature > 0
            if self.settings.curve == "log_parabola":
                log_loss = np.where(curved, minimum, 0.0)
            else:
                curved &= minimum > 0
                log_loss = np.log(np.where(curved, minimum, 1.0))
        low, high = self._extent(group, x, weights)
        inside = (place > low) & (place < high)
        accepted = curved & (inside | (self.settings.edge == "keep"))
        return Valley(np.where(accepted, place, x.mean()), log_loss, accepted)

    def _perturbed(
        self, group: BudgetGroup, log_loss: Floats, weights: Floats, axis: Axis
    ) -> Floats:
        """Move each log loss by its scatter times how often it was drawn, less one.

        A spline goes through all of its points, so a resample that lacks some is a spline of
        another, coarser design: such draws lie to one side, and an interval of them excluded the
        estimate. To first order a case drawn w times pulls a fit as its error times w - 1 would;
        a spline gets that error and keeps its knots. The scatter is that about a parabola, as wide
        as the errors behind it.
        """
        x, y = self._axes(group, group.loss[None], axis)
        kept = self._kept(group, y, np.ones((1, len(x))))
        curve = fit_parabolas(x, np.log(y), kept)(x)
        count = int((kept > 0).sum())
        scatter = np.where(kept > 0, np.log(y) - curve, 0.0)
        scatter = scatter * np.sqrt(count / max(count - LEAST_SIZES, 1))
        return np.asarray(log_loss + (weights - 1.0) * np.nan_to_num(scatter))

    def _parabolas(self, x: Floats, y: Floats, weights: Floats) -> Parabolas:
        """Fit parabolas to the losses, or to their logarithms."""
        logs = self.settings.curve == "log_parabola"
        return fit_parabolas(x, np.log(y) if logs else y, weights)

    def _extent(self, group: BudgetGroup, x: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Give the ends between which a minimum is measured and not extrapolated, (rows,) each.

        Where a window picks the points, they are its ends: seven points on one side of the valley
        have a vertex beyond them, and no reason to be believed about it.
        """
        lowest = isinstance(self.settings.window, int)
        within = self.within[group.budget]
        fitted = weights > 0 if lowest else np.broadcast_to(within, weights.shape)
        low, high = np.where(fitted, x, np.inf), np.where(fitted, x, -np.inf)
        return low.min(axis=1), high.max(axis=1)

    def _axes(
        self, group: BudgetGroup, loss: Floats, axis: Axis | None = None
    ) -> tuple[Floats, Floats]:
        x = group.log_tokens if (axis or self.drawn_axis) == "tokens" else group.log_params
        return x, np.broadcast_to(loss, (len(loss), len(x)))

    def _kept(self, group: BudgetGroup, y: Floats, weights: Floats) -> Floats:
        """Apply the outlier rule and the window to the weights, (rows, points)."""
        out = np.isin(group.run, self.outlying) | ~self.within[group.budget]
        weights = np.where(out, 0.0, weights)
        if isinstance(self.settings.window, int):
            weights = _lowest(y, weights, self.settings.window)
        return weights

    @property
    def drawn_axis(self) -> Axis:
        """The axis along which curves are told and drawn: N, unless D alone is fitted."""
        return "tokens" if self.settings.axis == "tokens" else "params"

    def _allocation(self, group: BudgetGroup, place: Floats, axis: Axis) -> tuple[Floats, Floats]:
        """Give log N and log D at a place on the axis, so that together they cost the budget.

        FLOPs per token depend on the size alone; between the sizes they are interpolated in logs.
        """
        per_token = group.log_flops - group.log_tokens
        if axis == "params":
            cost = _interpolate(place, group.log_params, per_token)
            return place, np.log(group.budget) - cost
        cost = np.log(group.budget) - place
        return _interpolate(cost, per_token, group.log_params), place

    def _laws(self, valleys: Valleys) -> Floats:
        weights = valleys.accepted * self._budget_weights
        log_flops = np.log(self.budgets())[None, :]
        return fit_power_laws(
            log_flops, valleys.log_params, valleys.log_tokens, valleys.log_loss, weights
        )

    @cached_property
    def _budget_weights(self) -> Floats:
        if self.settings.weights == "equal":
            return np.ones(len(self.groups))
        inverse = np.array(
            [1.0 / _vertex_variance(*self._axes(g, g.loss[None])) for g in self.groups]
        )
        return np.asarray(inverse / inverse.mean())

    @cached_property
    def profiles(self) -> list[Profile]:
        """Each budget's points, curve and minimum, or why it has none."""
        return [self._profile(i) for i in range(len(self.groups))]

    @property
    def flops_range(self) -> tuple[float, float]:
        """C of the lowest and the highest budget with a minimum: the median of its runs."""
        used = [
            float(np.median(np.exp(group.log_flops)))
            for group, accepted in zip(self.groups, self.valleys.accepted[0], strict=True)
            if accepted
        ]
        return min(used), max(used)

    def diagnostics(self) -> ProfilesDiagnostics:
        """Give each budget's points, curve and minimum, and describe the parabolas' residuals."""
        groups, curves, conditions = [], [], []
        for group in self.groups:
            curve, used = self._log_curve(group)
            if not np.isfinite(curve[used]).all():
                continue
            kept = np.flatnonzero(used)
            groups.append(group.take(kept))
            curves.append(curve[kept])
            x, _ = self._axes(groups[-1], groups[-1].loss[None])
            design = np.vander((x - x.mean()) / np.ptp(x), 3)
            conditions.append(scaled_condition(design.T @ design))
        observed, log_curve = self._observed(groups), np.concatenate(curves)
        residuals = np.log(observed.loss) - log_curve
        logs = self.settings.curve == "log_parabola"
        error = residuals if logs else observed.loss - np.exp(log_curve)
        return ProfilesDiagnostics(
            account=closed_form(
                float(error @ error),
                kind="splines through all points; residuals are those of parabolas"
                if self.settings.curve == "akima"
                else "least squares, a parabola per budget",
                points=len(error),
                parameters=3 * len(groups),
                condition_number=max(conditions),
            ),
            residuals=residuals_of(observed, residuals),
            trends=trends_of(observed, residuals),
            axis=self.drawn_axis,
            along={axis: self._exponents_along(axis) for axis in AXES},
            curve=self.settings.curve,
            line=self._line(),
            window=self.window,
            minima=int(self.valleys.accepted[0].sum()),
            profiles=self.profiles,
            left_out=list(self.left_out),
        )

    def _exponents_along(self, axis: Axis) -> AlongAxis:
        """Give a and b with every minimum along one axis, whatever the fit itself does."""
        settings = self.settings.model_copy(update={"axis": axis})
        varied = replace(self, settings=settings)
        enough = int(varied.valleys.accepted[0].sum())
        if enough < self.settings.min_budgets:
            return AlongAxis(a=None, b=None, minima=enough)
        a, b = varied.exponents(varied.parameters[None])
        return AlongAxis(a=float(a[0]), b=float(b[0]), minima=enough)

    def _observed(self, groups: list[BudgetGroup]) -> Observations:
        """Give the points of some budgets, interpolated ones among them, as observations."""
        columns = ("run", "log_params", "log_tokens", "log_flops", "loss")
        run, log_params, log_tokens, log_flops, loss = (
            np.concatenate([getattr(g, name) for g in groups]) for name in columns
        )
        return replace(
            self.observations,
            run=run,
            params=np.exp(log_params),
            tokens=np.exp(log_tokens),
            flops=np.exp(log_flops),
            loss=loss,
            is_final=np.ones(len(run), dtype=np.bool_),
            schedule_fraction=np.full(len(run), np.nan),
        )

    def _line(self) -> Spread:
        """Describe the minima about the line of log N through them."""
        accepted = self.valleys.accepted[0]
        n, a = self.parameters[:2]
        fitted = np.log(n) + a * np.log(self.budgets())
        return spread((self.valleys.log_params[0] - fitted)[accepted])

    def _profile(self, i: int) -> Profile:
        group = self.groups[i]
        x, y = self._axes(group, group.loss[None, :])
        weights = self._kept(group, y, np.ones((1, len(x))))
        parabola = self._parabolas(x, y, weights)
        accepted = bool(self.valleys.accepted[0, i])
        return Profile(
            budget=group.budget,
            run=[self.observations.runs[run] for run in group.run],
            params=np.exp(group.log_params).tolist(),
            tokens=np.exp(group.log_tokens).tolist(),
            flops=np.exp(group.log_flops).tolist(),
            loss=group.loss.tolist(),
            used=(weights[0] > 0).tolist(),
            coefficients=Coefficients(
                centre=parabola.centre,
                level=_finite(parabola.at_centre[0]),
                slope=_finite(parabola.slope[0]),
                curvature=_finite(parabola.curvature[0]),
            ),
            accepted=accepted,
            reason=None if accepted else self._refusal(group, parabola.vertex[0], y[0]),
            minimum=Minimum(
                params=float(np.exp(self.valleys.log_params[0, i])),
                tokens=float(np.exp(self.valleys.log_tokens[0, i])),
                loss=float(np.exp(self.valleys.log_loss[0, i])),
            )
            if accepted
            else None,
        )

    def _refusal(self, group: BudgetGroup, vertex: float, loss: Floats) -> str:
        """Say why a budget has no usable minimum, and which size would show one."""
        x, _ = self._axes(group, group.loss[None])
        low, high = float(x.min()), float(x.max())
        if not low < vertex < high:
            upwards = vertex >= high
        else:
            upwards = bool(x[loss.argmin()] > 0.5 * (low + high))
        sizes = self.drawn_axis == "params"
        word = "parameters" if sizes else "tokens"
        # of one budget the fewest tokens are those of its largest size
        ends = ("largest size", "smallest size") if sizes else ("most tokens", "fewest tokens")
        edge = f"the minimum lies at or beyond the {ends[0] if upwards else ends[1]}"
        wild = [run for run in group.run.tolist() if run in self.suspects]
        if wild:
            return f"{edge}, because of {self._named(wild)}; read the log before anything else"
        end, step = (high, np.log(2.0)) if upwards else (low, -np.log(2.0))
        if there := self._already_there(group, end, upwards=upwards):
            return f"{edge}; {there}"
        size = f"{np.exp(end + step):.2g} {word}"
        return f"{edge}; add a run of about {size} at {group.budget:.3g} FLOPs"

    def _already_there(self, group: BudgetGroup, end: float, *, upwards: bool) -> str:
        """Say which runs beyond a budget's end size the sweep has, that no budget takes; or empty.

        Runs planned for one compute may differ in the C that is counted, as 6ND differs from what
        a trainer logs where the vocabulary is large: nobody should train them twice.
        """
        final = self.observations.at(self.observations.is_final)
        x = np.log(final.params if self.drawn_axis == "params" else final.tokens)
        beyond = (x - end) * (1.0 if upwards else -1.0)
        near = np.abs(np.log(final.flops / group.budget)) <= np.log(NEAR_BUDGET)
        taken = {int(run) for other in self.groups for run in other.run}
        inside = np.isin(final.run, list(taken))
        there = np.flatnonzero((beyond > np.log(1.1)) & (beyond < np.log(4.0)) & near & ~inside)
        if len(there) == 0:
            return ""
        i = there[np.abs(beyond[there] - np.log(2.0)).argmin()]
        off = final.flops[i] / group.budget - 1.0
        return (
            f"the sweep has such a run, {self.observations.runs[final.run[i]]}, but its C of "
            f"{final.flops[i]:.3g} FLOPs as counted here is {per_cent(off, signed=True)} "
            "off the budget: count C as the budgets were planned (approaches.counting.flops, such "
            "as logged), or widen approaches.profiles.tolerance"
        )

    def _named(self, runs: list[int]) -> str:
        """Name runs with how far their loss lies off the others of their budget."""
        words = []
        for run in runs:
            share = float(np.expm1(self.suspects[run]))
            side = "above" if share > 0.0 else "below"
            words.append(
                f"{self.observations.runs[run]}, whose loss is {per_cent(abs(share), 1)} {side}"
            )
        return "; ".join(words)

    def _told_of_carried(self) -> str:
        """Say that runs of a budget differ in C with their size, and what was done about it."""
        counted = self.observations.at(self.observations.is_final)
        log_flops = np.full(self.observations.n_runs, np.nan)
        log_flops[counted.run] = np.log(counted.flops)
        factor = max(np.exp(np.ptp(log_flops[group.run])) for group in self.groups)
        low, high = (f"{slope:.3f}" for slope in self.carried or ())
        slope = low if low == high else f"{low} to {high}"
        return (
            f"Along a budget C as counted ({self.observations.counting.flops}) changes with N, by "
            f"a factor of up to {factor:.3g}: the least loss among its runs is none at equal C. "
            "Each run was therefore carried, at its N, to the C at the best size of its budget, "
            f"along the slope of the least losses ({slope} in log L per log C)."
        )

    def cautions(self) -> list[str]:
        """Warn of refused budgets and of lines through few of them."""
        accepted = self.valleys.accepted[0]
        cautions = [
            f"The budget of {profile.budget:.3g} FLOPs is left out: {profile.reason}."
            for profile in self.profiles
            if not profile.accepted
        ]
        if by_logged := told_of_logged(self.observations, self.settings):
            cautions.append(by_logged)
        if self.carried is not None:
            cautions.append(self._told_of_carried())
        if off := told_of_off(self.observations, self.settings):
            cautions.append(off)
        if len(self.outlying):
            names = ", ".join(self.observations.runs[run] for run in self.outlying)
            cautions.append(f"Left out as far off the parabola of their budget: {names}.")
        if self.suspects:
            cautions.append(
                f"Far off the parabola through the other runs of their budget: "
                f"{self._named(list(self.suspects))}. Read the logs; leave a run out (in a folder "
                "by exclude in sweep.yaml) only for a reason that its log gives."
            )
        if accepted.sum() <= 4:
            spread = np.log10(max(self.budgets()) / min(self.budgets()))
            cautions.append(
                f"The line goes through {number_of(int(accepted.sum()), 'budget')} that "
                f"span {spread:.1f} decades; "
                "its slope has few degrees of freedom."
            )
        return cautions


def fit_profiles(observations: Observations, settings: ProfilesSettings) -> ProfilesFit:
    """Fit N_opt and D_opt to the minima of loss over size at each budget.

    Parameters
    ----------
    observations : the sweep's points, counted.
    settings : budgets and how each minimum is found.

    Raises
    ------
    UnderdeterminedError : fewer than ``settings.min_budgets`` budgets have enough sizes, or fewer
        have a minimum inside them, or the losses show no minimum beyond their scatter.

    References
    ----------
    Hoffmann et al. 2022, section 3.2; Porian et al. 2024, section 3.1, for Akima and weights.
    """
    groups, left_out = budget_groups(observations, settings)
    require_budgets(groups, observations, settings)
    enough = tuple(g for g in groups if g.n_sizes >= settings.min_sizes)
    require_equal_compute(enough, observations, settings)
    small = [
        LeftOutRun(
            run=observations.runs[run],
            reason=f"only {group.sizes} at {group.budget:.3g} FLOPs",
        )
        for group in groups
        if group.n_sizes < settings.min_sizes
        for run in group.run
    ]
    fit = ProfilesFit(observations, settings, enough, tuple(left_out + small))
    if abs(tilt_of(enough)) > TILT:
        fit = _at_equal_compute(fit)
    fit.require_valleys()
    accepted = int(fit.valleys.accepted[0].sum())
    if accepted < settings.min_budgets:
        # no further size shows a minimum where the losses do not depend on N, or on D
        require_effects(observations.at(observations.is_final), "profiles")
        reasons = "; ".join(
            f"{p.budget:.3g} FLOPs: {p.reason}" for p in fit.profiles if not p.accepted
        )
        raise UnderdeterminedError(
            f"profiles needs {settings.min_budgets} budgets with a minimum inside their sizes; "
            f"sweep {observations.sweep} has {accepted}. {reasons}."
        )
    return fit


def _at_equal_compute(fit: ProfilesFit) -> ProfilesFit:
    """Carry the runs of each budget to the C that counts at its best size, each at its N.

    Where C changes with N along a budget, its least loss is none at equal C. At the best N loss
    falls with C as the least loss does (the envelope theorem). So runs carried to the C there,
    along the slope of the least losses in log C, have their minimum where it lies at equal C: for
    an exact slope exactly, whatever the change of C. The slope is that of a parabola through the
    minima, which are sought anew.
    """
    raw = fit.groups
    log_flops, slopes = np.zeros(len(raw)), np.zeros(len(raw))
    for _ in range(CARRIES):
        places, least = np.zeros(len(raw)), np.zeros(len(raw))
        accepted = fit.valleys.accepted[0]
        for i, group in enumerate(raw):
            lowest = group.loss.argmin()
            inside = accepted[i]
            x = fit.valleys.log_params[0, i] if inside else group.log_params[lowest]
            places[i] = np.interp(x, *_knots(group.log_params, group.log_flops))
            back = slopes[i] * (places[i] - log_flops[i])
            least[i] = fit.valleys.log_loss[0, i] + back if inside else np.log(group.loss[lowest])
        known = accepted if accepted.sum() >= LEAST_SIZES else np.ones_like(accepted)
        degree = min(2, int(known.sum()) - 1)
        line = np.polynomial.Polynomial.fit(places[known], least[known], degree)
        log_flops, slopes = places, line.deriv()(places)
        carried = [g.at(c, s) for g, c, s in zip(raw, log_flops, slopes, strict=True)]
        fit = replace(fit, groups=tuple(carried))
    return replace(fit, carried=(float(slopes.min()), float(slopes.max())))


def _knots(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Give the increasing x, and the y of the first point at each."""
    unique, first = np.unique(x, return_index=True)
    return unique, y[first]


def _interpolate(x: Floats, knots: Floats, values: Floats) -> Floats:
    """Interpolate linearly, with slope 1 beyond the ends: FLOPs per token grow like N there."""
    unique, first = _knots(knots, values)
    inside = np.clip(x, unique[0], unique[-1])
    return np.asarray(np.interp(inside, unique, first) + (x - inside))


def _lowest(y: Floats, weights: Floats, window: int) -> Floats:
    """Keep the weights of the lowest ``window`` distinct points that are present."""
    order = np.argsort(y, axis=1, kind="stable")
    order = np.broadcast_to(order, weights.shape)
    rank = np.cumsum(np.take_along_axis(weights, order, axis=1) > 0, axis=1)
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, order, (rank <= window).astype(np.float64), axis=1)
    return weights * kept


def _deleted_residuals(x: Floats, y: Floats) -> Floats:
    """Give each point's distance from the parabola through the others, in units of its sd.

    Externally studentised residuals (Cook and Weisberg 1982, section 2.2.1): unlike plain ones they
    do not let an outlier bend the curve towards itself.
    """
    t = x - x.mean()
    design = np.linalg.qr(np.stack([np.ones_like(t), t, t * t], axis=1))[0]
    leverage = np.vecdot(design, design)
    residual = y[0] - design @ (design.T @ y[0])
    rest = residual @ residual - residual**2 / (1.0 - leverage)
    variance = np.maximum(rest, 1e-30) / max(len(x) - 4, 1)
    return np.asarray(np.abs(residual) / np.sqrt(variance * (1.0 - leverage)))


def _log_residuals(x: Floats, loss: Floats) -> tuple[Floats, Floats]:
    """Give residuals of log L about a parabola: deleted ones, and those studentised by leverage.

    Zero throughout where the points are too few to leave a freedom.

    References
    ----------
    Cook and Weisberg 1982, section 2.2: e / (1 - h), the residual about the fit without the point.
    """
    if len(x) <= LEAST_SIZES:
        return np.zeros_like(x), np.zeros_like(x)
    t = x - x.mean()
    design = np.linalg.qr(np.stack([np.ones_like(t), t, t * t], axis=1))[0]
    y = np.log(loss)
    residual = y - design @ (design.T @ y)
    rest = np.maximum(1.0 - np.vecdot(design, design), 1e-9)
    return np.asarray(residual / rest), np.asarray(residual / np.sqrt(rest))


def _vertex_variance(x: Floats, y: Floats) -> float:
    """Variance of a parabola's vertex by the delta method, from the scatter about it."""
    parabola = fit_parabolas(x, y, np.ones((1, len(x))))
    t = x - parabola.centre
    design = np.stack([np.ones_like(t), t, t * t], axis=1)
    residual = (y - parabola(x))[0]
    scatter = float(residual @ residual) / max(len(x) - 3, 1)
    covariance = scatter * np.linalg.inv(design.T @ design)
    slope, curvature = parabola.slope[0], parabola.curvature[0]
    gradient = np.array([0.0, -0.5 / curvature, 0.5 * slope / curvature**2])
    return float(gradient @ covariance @ gradient)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

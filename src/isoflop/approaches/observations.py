"""What every approach fits: the points of a loss table under one counting convention."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.cells import cells_of, rate_cells, settings_of
from isoflop.copies import copied_runs, runs_once
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.forecasts import RunNoise
from isoflop.numbers import first_of, per_cent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.config.approaches import CountingSettings
    from isoflop.copies import Copied

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Observations:
    """Points of all runs, sorted by run, then tokens.

    Attributes
    ----------
    sweep : name of the sweep.
    counting : conventions behind ``params`` and ``flops``.
    runs : names of the runs, sorted.
    run : (points,) index into ``runs``.
    params : (points,) N [parameter].
    tokens : (points,) D [token].
    flops : (points,) C [FLOP].
    loss : (points,) L [nat/token].
    is_final : (points,) whether the point is the last of its run.
    schedule_fraction : (points,) share of the schedule done; NaN where unknown.
    run_params : (runs,) N of each run.
    run_budget : (runs,) compute budget the run was planned for [FLOP]; NaN where none.
    run_unique_tokens : (runs,) distinct training tokens; NaN where unknown, None where no run says.
    run_flops_logged : (runs,) C at the end as the trainer logged it [FLOP]; NaN where it did not,
        None where no run says.
    run_active_share : (runs,) share of all parameters that one token goes through, below 1 of a
        mixture of experts; NaN where unknown, None where no run says.
    run_settings : (runs, settings) what is known of how each was trained, laid out by
        ``cells.settings_of``; None where nothing is.
    worse_rates : run to its peak learning rate and the best of its N and D, of runs at another.
    """

    sweep: str
    counting: CountingSettings
    runs: tuple[str, ...]
    run: Ints
    params: Floats
    tokens: Floats
    flops: Floats
    loss: Floats
    is_final: Bools
    schedule_fraction: Floats
    run_params: Floats
    run_budget: Floats
    run_unique_tokens: Floats | None = None
    run_flops_logged: Floats | None = None
    run_active_share: Floats | None = None
    run_settings: Floats | None = None
    worse_rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(self.runs)

    @cached_property
    def sizes(self) -> Ints:
        """Number of each run's size, by increasing N, (runs,)."""
        return cells_of(self.run_params)

    @property
    def of_experts(self) -> Bools:
        """Whether each run is known to be a mixture of experts, (runs,)."""
        share = self.run_active_share
        return np.zeros(self.n_runs, dtype=np.bool_) if share is None else share < DENSE

    @property
    def flops_range(self) -> tuple[float, float]:
        """Smallest and largest C."""
        return float(self.flops.min()), float(self.flops.max())

    @cached_property
    def copies(self) -> list[Copied]:
        """Groups of runs that are one training, by number; see ``copies.copied_runs``."""
        return copied_runs(self.run, self.tokens, self.loss, self.run_params, self.run_settings)

    @cached_property
    def copied(self) -> Bools:
        """Whether each run is a copy of another that is in the sweep, (runs,)."""
        copied = np.zeros(self.n_runs, dtype=np.bool_)
        copied[[run for group in self.copies for run in group.runs[1:]]] = True
        return copied

    @cached_property
    def once(self) -> Bools:
        """Whether each run differs from others as seeds do; see ``copies.runs_once``, (runs,)."""
        return runs_once(
            self.run,
            self.tokens,
            self.loss,
            self.run_params,
            self.run_settings,
            copies=self.copies,
        )

    def with_losses(self, loss: Floats) -> Observations:
        """Give the same runs with other losses, (points,), as simulated sweeps have them.

        Which runs are copies is known of what was logged: losses that were drawn say nothing of it,
        and were asked again for every sweep.
        """
        other = replace(self, loss=loss)
        vars(other).update(copies=self.copies, copied=self.copied, once=self.once)
        return other

    @property
    def settings(self) -> Floats | None:
        """What is known of the training of each point's run, (points, settings)."""
        return None if self.run_settings is None else self.run_settings[self.run]

    def at(self, points: Bools | Ints) -> Observations:
        """Keep some points; runs without any are still counted."""
        return replace(
            self,
            run=self.run[points],
            params=self.params[points],
            tokens=self.tokens[points],
            flops=self.flops[points],
            loss=self.loss[points],
            is_final=self.is_final[points],
            schedule_fraction=self.schedule_fraction[points],
        )


def observe(losses: pl.DataFrame, counting: CountingSettings) -> Observations:
    """Take the fitted points out of a loss table.

    Parameters
    ----------
    losses : table ``Losses``; rows in any order. Only rows with the role ``fit`` are taken.
    counting : which columns are N and C.

    Raises
    ------
    UnderdeterminedError : no row has the role ``fit``.
    MissingFactError : a run lacks N or C under this convention.
    """
    table = losses.filter(pl.col("role") == "fit").sort("run", "tokens")
    if table.is_empty():
        raise UnderdeterminedError(
            "the loss table has no run to fit: all were left out, or have a role other than fit. "
            "data/losses/<sweep>.left_out.parquet and the report's 'Left out' say why."
        )
    _require(table, f"params_{counting.params}", "params", counting.params)
    _require(table, f"flops_{counting.flops}", "flops", counting.flops)
    runs = table["run"].unique().sort()
    by_run = table.group_by("run", maintain_order=True).first()
    logged = table.group_by("run", maintain_order=True).agg(pl.col("flops_logged").max())
    return Observations(
        sweep=str(table["sweep"][0]),
        counting=counting,
        runs=tuple(runs),
        run=runs.search_sorted(table["run"]).to_numpy().astype(np.intp),
        params=_floats(table[f"params_{counting.params}"]),
        tokens=_floats(table["tokens"]),
        flops=_floats(table[f"flops_{counting.flops}"]),
        loss=_floats(table["loss"]),
        is_final=table["is_final"].to_numpy().astype(np.bool_),
        schedule_fraction=_floats(table["schedule_fraction"]),
        run_params=_floats(by_run[f"params_{counting.params}"]),
        run_budget=shared_budgets(_floats(by_run["budget"])),
        run_unique_tokens=_floats(by_run["unique_tokens"]),
        run_flops_logged=_floats(logged["flops_logged"]),
        run_active_share=_floats(by_run["params_active"]) / _floats(by_run["params_total"]),
        run_settings=settings_of(by_run),
        worse_rates=_worse_rates(table),
    )


def _worse_rates(losses: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """List the runs at a worse peak rate than another of their N and D, with both rates."""
    worse: dict[str, tuple[float, float]] = {}
    for cell in rate_cells(losses):
        best = cell.row(0, named=True)
        others = cell.filter(pl.col("alike") != best["alike"])
        worse |= {run: (rate, best["rate"]) for run, rate in others.select("run", "rate").rows()}
    return worse


def rate_cautions(observations: Observations) -> list[str]:
    """Say that runs of one N and D with several peak rates are all fitted."""
    worse = observations.worse_rates
    if not worse:
        return []
    told = [f"{run} at {rate:g} beside {best:g}" for run, (rate, best) in worse.items()]
    verb = "has" if len(worse) == 1 else "have"
    return [
        f"{len(worse)} of {observations.n_runs} runs {verb} a worse peak learning rate than "
        f"another of the same N and D ({first_of(told, 3)}), and all are fitted: what a rate costs "
        "is no noise, and it raises the loss where several were tried. losses.rates: best keeps "
        "the best of each N and D."
    ]


SAME_BUDGET: Final = 0.1
"""Budgets that neighbour each other within this share are one, where each is some run's own C."""


def shared_budgets(budget: Floats) -> Floats:
    """Give runs of about one budget one budget, where most name their own exact C instead.

    Parameters
    ----------
    budget : (runs,) what each was planned for [FLOP]; NaN where that is unknown.

    Returns
    -------
    The same where most runs share their budget, to the digit, with another; else the median of each
    group without a gap of `SAME_BUDGET`.
    """
    planned = np.flatnonzero(np.isfinite(budget))
    values, counts = np.unique(budget[planned], return_counts=True)
    if 2 * (counts == 1).sum() <= len(planned) or len(values) < 2:
        return budget
    group = np.cumsum(np.diff(np.log(values), prepend=np.log(values[0])) > np.log1p(SAME_BUDGET))
    of_run = group[np.searchsorted(values, budget[planned])]
    shared = budget.copy()
    for each in np.unique(of_run):
        shared[planned[of_run == each]] = np.median(budget[planned[of_run == each]])
    return shared


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _require(table: pl.DataFrame, column: str, key: str, convention: str) -> None:
    """Refuse a convention that some runs lack: dropping them would change the question."""
    lacking = table.filter(pl.col(column).is_null())["run"].unique().sort().to_list()
    if lacking:
        raise MissingFactError(
            f"sweep {table['sweep'][0]}: {len(lacking)} of {table['run'].n_unique()} runs have no "
            f"{column} ({first_of(lacking)}). Give that column of a frame, or their architecture "
            f"in a folder's sweep.yaml; or choose another counting.{key} than '{convention}'."
        )


ALL_EXPERTS: Final = ("6nd", "kaplan")
"""Counts of C that take every expert for trained on every token."""
DENSE: Final = 0.97
"""Share of parameters that a token goes through from which on a run counts as dense. C of all is
within 3 % then, and two counts of a model, rounded or less a norm, differ without any expert."""


def require_active_cost(observations: Observations) -> None:
    """Refuse C of mixtures of experts that counts parameters which tokens do not go through.

    Raises
    ------
    UnderdeterminedError : some runs are such; naming the conventions that count what is spent.
    """
    share, flops = observations.run_active_share, observations.counting.flops
    sparse = observations.of_experts
    if share is None or flops not in ALL_EXPERTS or not sparse.any():
        return
    least, most = per_cent(float(share[sparse].min())), per_cent(float(share[sparse].max()))
    cure = (
        "Set approaches.counting: {params: active, flops: active} (docs/counting.md), or flops: "
        "active alone for answers in all parameters."
        if flops == "6nd"
        else "Kaplan et al. counted no experts; take an approach whose C is of active parameters."
    )
    raise UnderdeterminedError(
        f"C = '{flops}' is not what these runs cost: "
        f"{'all' if sparse.all() else f'{np.count_nonzero(sparse)} of the {len(sparse)}'} "
        f"runs of sweep {observations.sweep} are mixtures of experts, whose "
        f"tokens go through {least if least == most else f'{least} to {most}'} of the parameters, "
        f"and it counts all. {cure}"
    )


def seed_noise(observations: Observations) -> RunNoise | None:
    """Pool how far final losses of repeats lie apart; None where no run has another."""
    final = observations.at(observations.is_final & observations.once[observations.run])
    return RunNoise.pooled(final.params, final.tokens, final.loss, final.settings)

"""A made-up sweep with made-up estimates, for the tests of the rooms that only read.

Losses follow a known law with noise; estimates are that law's numbers with draws around them. No
fitting happens here, so these tests say nothing about the approaches, and need none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from isoflop.config.figures import FiguresSettings
from isoflop.estimates.estimate import (
    Counting,
    Estimate,
    Optimum,
    Provenance,
    Quantity,
    Refusal,
    read_draws,
    read_estimates,
    write_estimate,
)
from isoflop.estimates.forecasts import (
    Cut,
    Forecast,
    Forecasts,
    NoForecasts,
    Prediction,
    RunNoise,
    Score,
    read_forecasts,
    write_forecasts,
)
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw, KaplanLaws, PowerLaws
from isoflop.figures.inputs import FigureInputs
from isoflop.laws import ChinchillaLaw
from isoflop.reference import read_reference
from isoflop.report.read_inputs import ReportPaths, read_inputs
from isoflop.tables import (
    Files,
    LeftOut,
    Losses,
    Runs,
    Specifications,
    read_table,
    write_table,
)

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

LAW = ChinchillaLaw(E=0.8, A=13.4, B=208.0, alpha=0.35, beta=0.37)
BUDGETS = (3e11, 1e12, 3e12, 1e13)
CHECK_BUDGET = 3e13
REPORT_BUDGETS = (1e14, 1e18, 5.76e23)
DRAWS = 200
SWEEP = "made-up"
REFERENCE = Path(__file__).parents[1] / "data" / "reference"


@dataclass(frozen=True)
class Paths:
    """Where the example's files are, in the project's own layout."""

    root: Path
    losses: Path
    left_out: Path
    runs: Path
    files: Path
    estimates: Path
    specifications: Path
    sidecar: Path

    def figure_inputs(self) -> FigureInputs:
        """Read what the figures are drawn from."""
        return FigureInputs(
            sweep=SWEEP,
            losses=read_table(self.losses, Losses),
            runs=read_table(self.runs, Runs),
            estimates=read_estimates(self.estimates),
            draws=read_draws(self.estimates),
            forecasts=read_forecasts(self.estimates / "forecast.json"),
            specifications=read_table(self.specifications, Specifications),
            reference=read_reference(REFERENCE),
            settings=FiguresSettings(),
        )

    def report_inputs(self, figures: Path) -> ReportInputs:
        """Read what the report is written from."""
        paths = ReportPaths(
            sidecar=self.sidecar,
            losses=self.losses,
            left_out=self.left_out,
            runs=self.runs,
            files=self.files,
            estimates=self.estimates,
            specifications=self.specifications,
            figures=figures,
            reference=REFERENCE,
        )
        return read_inputs(SWEEP, paths, settings="{}", losses_settings="{}")


def sizes(budget: float) -> np.ndarray:
    """Nine sizes around the optimum."""
    return float(LAW.params_opt(budget)) * np.geomspace(1 / 6, 6, 9)


def write(
    root: Path, *, check: bool = True, refuse: tuple[str, ...] = (), forecast: bool = True
) -> Paths:
    """Write every input of figures and report below root."""
    paths = Paths(
        root=root,
        losses=root / f"data/losses/{SWEEP}.parquet",
        left_out=root / f"data/losses/{SWEEP}.left_out.parquet",
        runs=root / f"data/curves/{SWEEP}.runs.parquet",
        files=root / f"data/curves/{SWEEP}.files.parquet",
        estimates=root / f"data/estimates/{SWEEP}",
        specifications=root / f"data/estimates/{SWEEP}/specifications.parquet",
        sidecar=root / f"data/raw/{SWEEP}/sweep.yaml",
    )
    planned = _planned(check=check)
    write_table(_runs(planned), Runs, paths.runs)
    write_table(_losses(planned), Losses, paths.losses)
    write_table(_files(planned), Files, paths.files)
    write_table(_left_out(), LeftOut, paths.left_out)
    write_table(specifications(refuse), Specifications, paths.specifications)
    paths.sidecar.parent.mkdir(parents=True, exist_ok=True)
    paths.sidecar.write_text(
        "title: A made-up sweep\ndescription: Losses of a known law with noise.\n", encoding="utf-8"
    )
    for approach in ("envelope", "profiles", "parametric", "kaplan"):
        estimate, draws = estimates(approach, refused=approach in refuse)
        write_estimate(estimate, paths.estimates / f"{approach}.json")
        draws.write_parquet(paths.estimates / f"{approach}.draws.parquet")
    found = forecasts(planned, refuse) if forecast else no_forecasts()
    write_forecasts(found, paths.estimates / "forecast.json")
    return paths


def _planned(*, check: bool) -> list[dict[str, Any]]:
    """List the runs: IsoFLOP rows, two tuning runs, and the pair of check runs."""
    runs = [
        {"run": f"c{budget:.0e}-n{n:.0f}", "role": "fit", "budget": budget, "n": float(n)}
        for budget in BUDGETS
        for n in sizes(budget)
    ]
    runs += [
        {"run": f"lr{lr}-c2e11", "role": "tuning", "budget": 2e11, "n": 7216.0}
        for lr in (0.001, 0.002)
    ]
    if check:
        middle = BUDGETS[1]
        for label, a in (("kaplan", 0.73), ("chinchilla", 0.5)):
            n = float(LAW.params_opt(middle)) * (CHECK_BUDGET / middle) ** a
            runs.append({"run": f"{label}-c3e13", "role": "check", "budget": CHECK_BUDGET, "n": n})
    return runs


def _runs(planned: list[dict[str, Any]]) -> pl.DataFrame:
    rows = []
    for run in planned:
        n = run["n"]
        rows.append(
            dict.fromkeys(Runs.column_names())
            | {
                "sweep": SWEEP,
                "run": run["run"],
                "paths": f"{run['run']}.jsonl",
                "trainer": "isoflop",
                "role": run["role"],
                "params_total": n,
                "params_total_source": "log",
                "params_nonembedding": n * 0.6,
                "params_nonembedding_source": "log",
                "params_with_head": n,
                "params_with_head_source": "log",
                "vocab_size": 256,
                "seq_len": 128,
                "tokens_per_step": 256.0,
                "tokens": run["budget"] / (6 * n),
                "tokens_source": "log",
                "budget": run["budget"],
                "lr_peak": 0.004,
                "schedule_kind": "cosine",
                "schedule_tokens": run["budget"] / (6 * n),
                "schedule_source": "log",
                "dataset": "english_novels",
                "tokenizer": "bytes",
                "seed": 0,
                "status": "finished",
                "excluded": False,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _losses(planned: list[dict[str, Any]]) -> pl.DataFrame:
    rows = []
    generator = np.random.default_rng(7)
    for run in planned:
        if run["role"] == "tuning":
            continue
        end = run["budget"] / (6 * run["n"])
        noise = generator.normal(0, 0.004)
        fractions = np.geomspace(0.05, 1, 12)
        for fraction in fractions:
            tokens = float(end * fraction)
            # a cosine schedule's curve lies above the law until its end
            lag = 0.08 * (1 - fraction) ** 2 + 0.25 * (1 - fraction) ** 8
            rows.append(
                dict.fromkeys(Losses.column_names())
                | {
                    "sweep": SWEEP,
                    "run": run["run"],
                    "role": run["role"],
                    "params_total": run["n"],
                    "params_nonembedding": run["n"] * 0.6,
                    "params_with_head": run["n"],
                    "tokens": tokens,
                    "flops_6nd": 6 * run["n"] * tokens,
                    "flops_kaplan": 3.6 * run["n"] * tokens,
                    "flops_hoffmann": None,
                    "flops_attention": None,
                    "flops_logged": None,
                    "loss": float(LAW.loss(run["n"], tokens)) * (1 + lag) + noise,
                    "loss_source": "eval",
                    "schedule_fraction": float(fraction),
                    "is_final": fraction == 1.0,
                    "budget": run["budget"],
                    "unique_tokens": None,
                    "seed": 0,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _files(planned: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {
            "sweep": SWEEP,
            "path": f"{run['run']}.jsonl",
            "digest": "0" * 64,
            "bytes": 4000,
            "format": "isoflop",
            "runner_up": None,
            "rows": 12,
            "rows_left_out": 0,
            "lines_unread": 0,
            "restarts": 0,
            "truncated": False,
            "fate": "used",
            "reason": None,
        }
        for run in planned
    ]
    rows.append(rows[0] | {"path": "notes.txt", "format": None, "fate": "rejected", "rows": 0})
    rows[-1]["reason"] = "no log format recognises it"
    return pl.DataFrame(rows, infer_schema_length=None)


def _left_out() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "sweep": SWEEP,
                "stage": "ingest",
                "item": "notes.txt",
                "points": 0,
                "reason": "no log format recognises it",
            },
            {
                "sweep": SWEEP,
                "stage": "losses",
                "item": "c3e+11-n1",
                "points": 12,
                "reason": "diverged: the loss is NaN from step 40 on",
            },
        ]
    )


MOVED = {("total", "6nd"): 0.0, ("nonembedding", "kaplan"): 0.1, "eval": 0.0, "train": -0.02}
"""What each level adds to a in the made-up specifications."""


def specifications(refuse: tuple[str, ...] = ()) -> pl.DataFrame:
    """Make up specifications whose choices of counting and loss move a by ``MOVED``."""
    own = {
        "envelope": {"frontier": "grid", "edge": "trim", "min_schedule_fraction": 0.0},
        "profiles": {"curve": "parabola", "weights": "equal"},
        "parametric": {"objective": "huber", "huber_delta": 1e-3, "drop_highest": 0},
        "kaplan": {"edge": "trim"},
    }
    rows = []
    for approach, chosen in own.items():
        countings = [("nonembedding", "kaplan")] if approach == "kaplan" else list(MOVED)[:2]
        for i, (counting, loss) in enumerate(product(countings, ("eval", "train"))):
            a = LAW.a + MOVED[counting] + MOVED[loss]
            fitted = {
                "n_runs": 36, "n_points": 36, "a": a, "a_lo80": a - 0.02, "a_hi80": a + 0.02,
                "a_lo95": a - 0.04, "a_hi95": a + 0.04, "b": 1 - a, "params_opt": 1e6,
                "draws": 200, "draws_refused": 0,
            }  # fmt: skip
            refused = {"refused": f"{approach} needs 3 budgets; {SWEEP} has 1."}
            rows.append(
                dict.fromkeys(Specifications.column_names())
                | {"sweep": SWEEP, "specification": len(rows), "approach": approach}
                | {"headline": i == 0, "params": counting[0], "flops": counting[1], "loss": loss}
                | {"budget": BUDGETS[-1], **chosen}
                | (refused if approach in refuse else fitted)
            )
    return pl.DataFrame(rows, infer_schema_length=None)


PROVENANCE = Provenance(
    inputs={f"data/losses/{SWEEP}.parquet": "0" * 64}, version="0.1.0", git_revision="0" * 40
)


LAWS: dict[str, Any] = {
    "envelope": PowerLaws(loss_up_to=10.0 * BUDGETS[-1]),
    "profiles": PowerLaws(loss_up_to=10.0 * BUDGETS[-1]),
    "parametric": HoffmannLaw(
        flops_per_token=FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
    ),
    "kaplan": KaplanLaws(),
}


def estimates(approach: str, *, refused: bool) -> tuple[Estimate | Refusal, pl.DataFrame]:
    """Make up one approach's estimate and its draws."""
    counting = Counting(
        params="nonembedding" if approach == "kaplan" else "total",
        flops="kaplan" if approach == "kaplan" else "6nd",
    )
    if refused:
        reason = f"{approach} needs 3 budgets with 5 sizes each; {SWEEP} has 1. Add runs."
        refusal = Refusal(
            approach=approach,
            sweep=SWEEP,
            settings={},
            refused=reason,
            provenance=PROVENANCE,
        )
        return refusal, pl.DataFrame({"approach": [], "draw": []})
    shift = {"envelope": 0.01, "profiles": -0.01, "parametric": 0.0, "kaplan": 0.15}[approach]
    generator = np.random.default_rng(list(approach.encode()))
    spread = generator.normal(0, 1, (DRAWS, 2))
    a = LAW.a + shift + 0.02 * spread[:, 0]
    n_middle = float(LAW.params_opt(1e12)) * np.exp(0.05 * spread[:, 1])
    columns: dict[str, Any] = {"a": a, "b": 1 - a, "n_middle": n_middle}
    optima = [_optimum(budget, LAW.a + shift, columns) for budget in REPORT_BUDGETS]
    parameters, more = _parameters(approach, LAW.a + shift, columns, generator)
    draws = pl.DataFrame({"approach": [approach] * DRAWS, "draw": range(DRAWS)} | more)
    estimate = Estimate(
        approach=approach,
        sweep=SWEEP,
        settings={},
        counting=counting,
        n_runs=36,
        n_points=36,
        budgets=list(BUDGETS),
        flops_range=(BUDGETS[0], BUDGETS[-1]),
        a=_quantity(LAW.a + shift, a),
        b=_quantity(1 - LAW.a - shift, 1 - a),
        law=LAWS[approach],
        parameters=parameters,
        optima=optima,
        diagnostics=_diagnostics(approach),
        cautions=[f"Made-up caution of {approach}."],
        provenance=PROVENANCE,
    )
    return _checked(estimate), draws


HELD = {
    "envelope": {"0.8": 0.1, "0.95": 0.4},
    "profiles": {"0.8": 0.81, "0.95": 0.95},
    "parametric": {"0.8": 0.8, "0.95": 0.955},
}
"""How often intervals held the truth in sweeps that nobody simulated; Kaplan's were not checked."""


def _checked(estimate: Estimate) -> Estimate:
    """Say how often the intervals of a and N* held the truth."""
    held = HELD.get(estimate.approach)
    if held is None:
        found: dict[str, Any] = {"simulations": 0, "reason": "beta ended at a bound"}
        return estimate.model_copy(
            update={"diagnostics": estimate.diagnostics | {"calibration": found}}
        )
    optima = [
        optimum.model_copy(update={"params": optimum.params.model_copy(update={"held": held})})
        for optimum in estimate.optima
    ]
    values = {"a": LAW.a} | {
        f"params_opt_{o.flops!r}": float(LAW.params_opt(o.flops)) for o in optima
    }
    quantities = {
        name: {
            "truth": truth,
            "median": 0.9 * truth,
            "noiseless": 0.95 * truth,
            "percentile_held": {"0.8": 0.87, "0.95": 0.98},
            "needed_level": {"0.8": 0.7, "0.95": 0.9},
        }
        for name, truth in values.items()
    }
    found = {"simulations": 200, "refused": 0, "noise": 0.01, "quantities": quantities}
    return estimate.model_copy(
        update={
            "a": estimate.a.model_copy(update={"held": held}),
            "optima": optima,
            "diagnostics": estimate.diagnostics | {"calibration": found},
        }
    )


def _quantity(value: float, draws: np.ndarray) -> Quantity:
    """Give a value and the percentile intervals of its draws."""
    low95, low80, high80, high95 = np.quantile(draws, [0.025, 0.1, 0.9, 0.975])
    return Quantity(
        value=float(value),
        intervals={"0.8": (float(low80), float(high80)), "0.95": (float(low95), float(high95))},
    )


def _optimum(budget: float, a: float, columns: dict[str, Any]) -> Optimum:
    params = float(LAW.params_opt(1e12)) * (budget / 1e12) ** a
    draws = columns["n_middle"] * (budget / 1e12) ** columns["a"]
    tokens, token_draws = budget / (6 * params), budget / (6 * draws)
    loss = float(LAW.loss(params, tokens))
    return Optimum(
        flops=budget,
        params=_quantity(params, draws),
        tokens=_quantity(tokens, token_draws),
        tokens_per_param=_quantity(tokens / params, token_draws / draws),
        loss=_quantity(loss, LAW.loss(draws, token_draws)),
        decades_beyond_data=float(np.log10(budget / BUDGETS[-1])),
    )


def _parameters(
    approach: str, a: float, columns: dict[str, Any], generator: np.random.Generator
) -> tuple[dict[str, Quantity], dict[str, Any]]:
    """Give the law's parameters and their draws, under the names the approaches room uses."""
    if approach == "parametric":
        spread = generator.normal(0, 0.03, (DRAWS, 5))
        names = ("E", "A", "B", "alpha", "beta")
        values = {name: getattr(LAW, name) for name in names}
        draws = {name: values[name] * np.exp(spread[:, i]) for i, name in enumerate(names)}
    else:
        n_middle = float(LAW.params_opt(1e12))
        values = {
            "N_coefficient": n_middle / 1e12**a,
            "a": a,
            "D_coefficient": 1e12**a / (6 * n_middle),
            "b": 1 - a,
            "L_coefficient": 40.0,
            "L_exponent": 0.12,
        }
        draws = {
            "N_coefficient": columns["n_middle"] / 1e12 ** columns["a"],
            "a": columns["a"],
            "D_coefficient": 1e12 ** columns["a"] / (6 * columns["n_middle"]),
            "b": columns["b"],
            "L_coefficient": 40.0 + 0.1 * generator.normal(0, 1, DRAWS),
            "L_exponent": 0.12 + 0.001 * generator.normal(0, 1, DRAWS),
        }
        if approach == "kaplan":
            for name in KAPLAN[4:]:
                values[name] = 0.2
                draws[name] = 0.2 + 0.01 * generator.normal(0, 1, DRAWS)
    return {name: _quantity(values[name], draws[name]) for name in values}, draws


def _diagnostics(approach: str) -> dict[str, Any]:
    """Make up the diagnostics that figures and report read."""
    flops = np.geomspace(BUDGETS[0], BUDGETS[-1], 60)
    if approach == "envelope":
        return {
            "frontier": "grid",
            "points_on_frontier": 60,
            "late_winners": 0.4,
            "sizes_that_win": 7,
            "sizes": 30,
            "residual_sd": 0.1,
            "winners": {
                "run": ["made-up"] * 60,
                "flops": flops.tolist(),
                "params": LAW.params_opt(flops).tolist(),
                "tokens": LAW.tokens_opt(flops).tolist(),
                "loss": (LAW.loss_opt(flops) * 1.002).tolist(),
                "late": [True] * 60,
            },
            "curvature": {
                "per_decade": _written(-0.02, 0.008),
                "thirds": [
                    {"flops": [10.0**k, 10.0 ** (k + 1)], "a": _written(0.5 - 0.02 * k, 0.03)}
                    for k in (10, 11, 12)
                ],
                "draws": DRAWS,
                "reason": None,
            },
            **_account("least squares of log N on log C", starts=None),
        }
    if approach == "profiles":
        return {
            "curvature": {
                "per_decade": None,
                "thirds": None,
                "draws": 0,
                "reason": "4 budgets are needed; there are 3",
            },
            **_account("least squares, a parabola per budget", starts=None),
            **_residuals(1),
            "axis": "params",
            "curve": "parabola",
            "profiles": [_profile(budget) for budget in BUDGETS],
            "left_out": [],
        }
    if approach == "parametric":
        return {
            **_account("huber", starts=4500),
            **_residuals(2),
            "huber_delta": 1e-3,
            "likelihood_ratios": {
                "delta": 1.345,
                "log_likelihood": 150.0,
                "scale": 0.01,
                "constants": {},
                "exponents": {
                    "hoffmann_printed": _tested(400.0, 2, -86.9) | {"alpha": 0.34, "beta": 0.28},
                    "besiroglu": _tested(1.2, 2, -0.26) | {"alpha": 0.3478, "beta": 0.3658},
                },
                "parity": _tested(2.0, 1, -0.8),
            },
        }
    parameters = {"a": 0.61, **dict.fromkeys(KAPLAN[1:], 0.25)}
    return {
        **_account("least squares of log L(N, D)", starts=6),
        **_residuals(3),
        "countings": [
            {"params": "nonembedding", "flops": "kaplan", "parameters": {}, "refused": None},
            {"params": "total", "flops": "6nd", "parameters": parameters, "refused": None},
        ],
    }


KAPLAN = (
    "a", "b", "N_coefficient", "D_coefficient", "C_c", "alpha_C", "N_c", "alpha_N", "D_c",
    "alpha_D", "a_joint", "N_c_alone", "alpha_N_alone", "D_c_alone", "alpha_D_alone",
)  # fmt: skip
"""Parameters of Kaplan's laws."""


def _written(value: float, reach: float) -> dict[str, Any]:
    """Give a value with intervals, as diagnostics hold it."""
    ends = {"0.8": reach, "0.95": 1.5 * reach}
    return {"value": value, "intervals": {p: [value - r, value + r] for p, r in ends.items()}}


def _tested(statistic: float, degrees: int, log10_p: float) -> dict[str, Any]:
    return {
        "statistic": statistic,
        "degrees_of_freedom": degrees,
        "p_value": 10.0**log10_p,
        "log10_p": log10_p,
    }


def _account(kind: str, *, starts: int | None) -> dict[str, Any]:
    solved = starts is not None
    return {
        "objective_kind": kind,
        "objective": 0.00123,
        "starts": starts,
        "starts_reaching_optimum": starts,
        "starts_converged": starts,
        "tolerance": 1e-12 if solved else None,
        "max_steps": 500 if solved else None,
        "bounds_hit": ["E"] if starts == 4500 else [],
        "condition_number": 321.0 if solved else None,
        "degrees_of_freedom": 31,
        "residuals": {"rms": 0.05, "median_absolute": 0.04},
    }


def _residuals(seed: int) -> dict[str, Any]:
    n = np.concatenate([sizes(budget) for budget in BUDGETS])
    flops = np.repeat(BUDGETS, len(n) // len(BUDGETS))
    residual = np.random.default_rng(seed).normal(0.0, 0.01, len(n))
    trend = {"slope": 0.0012, "p_value": 0.034}
    return {
        "trends": {"params": trend, "tokens": trend, "flops": trend},
        "residuals": {
            "run": ["made-up"] * len(n),
            "params": n.tolist(),
            "tokens": (flops / (6.0 * n)).tolist(),
            "flops": flops.tolist(),
            "loss": LAW.loss(n, flops / (6.0 * n)).tolist(),
            "log_residual": residual.tolist(),
            "rms": float(np.sqrt(np.mean(residual**2))),
            "median_absolute": float(np.median(np.abs(residual))),
        },
    }


def _profile(budget: float) -> dict[str, Any]:
    n = sizes(budget)
    loss = LAW.loss(n, budget / (6 * n))
    best = float(LAW.params_opt(budget))
    curvature, slope, level = np.polyfit(np.log(n / best), loss, 2)
    return {
        "budget": budget,
        "run": [f"c{budget:.0e}-n{size:.0f}" for size in n],
        "params": n.tolist(),
        "tokens": (budget / (6 * n)).tolist(),
        "flops": [budget] * len(n),
        "loss": loss.tolist(),
        "used": [True] * len(n),
        "coefficients": {
            "centre": float(np.log(best)),
            "level": float(level),
            "slope": float(slope),
            "curvature": float(curvature),
        },
        "accepted": True,
        "reason": None,
        "minimum": {
            "params": best,
            "tokens": budget / (6 * best),
            "loss": float(LAW.loss_opt(budget)),
        },
    }


NO_FORECAST = f"a forecast needs 4 compute budgets; {SWEEP} has 3. Add runs at 1 more."


def no_forecasts() -> NoForecasts:
    """Make up the reason of a sweep that cannot be split."""
    return NoForecasts(sweep=SWEEP, settings={}, refused=NO_FORECAST, provenance=PROVENANCE)


def forecasts(planned: list[dict[str, Any]], refuse: tuple[str, ...]) -> Forecasts:
    """Make up forecasts: law 3 errs by 0.05 above the cut, Kaplan's not at all."""
    runs = [
        run for run in planned if run["role"] != "tuning" and run["budget"] > 1.01 * BUDGETS[-2]
    ]
    own = {
        "envelope": [_size_score(0.8)],
        "profiles": [_size_score(1.1)],
        "parametric": [_loss_score(runs, 0.05), _size_score(0.9)],
        "kaplan": [_loss_score(runs, 0.0)],
    }
    return Forecasts(
        sweep=SWEEP,
        settings={},
        counting=Counting(params="total", flops="6nd"),
        budgets=list(BUDGETS),
        noise=RunNoise(sd=0.004, cells=2, freedom=2),
        cuts=[
            Cut(
                flops=BUDGETS[-2],
                budgets_below=list(BUDGETS[:-1]),
                budgets_above=list(BUDGETS[-1:]),
                n_runs_below=27,
                n_runs_above=len(runs),
                forecasts=[
                    Forecast(
                        approach=approach,
                        refused=f"{approach} has too few runs below." if none else None,
                        draws=0 if none else DRAWS,
                        draws_refused=0,
                        scores=[] if none else scores,
                    )
                    for approach, scores in own.items()
                    for none in (approach in refuse,)
                ],
            )
        ],
        provenance=PROVENANCE,
    )


def _loss_score(runs: list[dict[str, Any]], error: float) -> Score:
    """Err by so much at every run, with intervals of 0.01 and 0.02 on either side."""
    predictions = []
    for run in runs:
        tokens = run["budget"] / (6 * run["n"])
        measured = float(LAW.loss(run["n"], tokens))
        middle = measured + error
        predictions.append(
            Prediction(
                run=run["run"],
                role=run["role"],
                flops=run["budget"],
                params=run["n"],
                tokens=tokens,
                decades=float(np.log10(run["budget"] / BUDGETS[-2])),
                predicted=middle,
                intervals={
                    "0.8": (middle - 0.01, middle + 0.01),
                    "0.95": (middle - 0.02, middle + 0.02),
                },
                measured=measured,
            )
        )
    return _score("loss", error, 0.01, predictions)


def _size_score(factor: float) -> Score:
    """Err by a factor at the last budget, with intervals of 10 % and 20 % on either side."""
    best = float(LAW.params_opt(BUDGETS[-1]))
    middle = factor * best
    prediction = Prediction(
        run=None,
        role="fit",
        flops=BUDGETS[-1],
        params=best,
        tokens=BUDGETS[-1] / (6 * best),
        decades=float(np.log10(BUDGETS[-1] / BUDGETS[-2])),
        predicted=middle,
        intervals={"0.8": (0.9 * middle, 1.1 * middle), "0.95": (0.8 * middle, 1.2 * middle)},
        measured=best,
    )
    return _score("params_opt", float(np.log(factor)), 0.1, [prediction])


def _score(quantity: Any, error: float, half: float, predictions: list[Prediction]) -> Score:
    decades = [prediction.decades for prediction in predictions]
    inside = {"0.8": float(abs(error) <= half), "0.95": float(abs(error) <= 2 * half)}
    return Score(
        quantity=quantity,
        n=len(predictions),
        decades=(min(decades), max(decades)),
        bias=error,
        bias_intervals={
            "0.8": (error - half, error + half),
            "0.95": (error - 2 * half, error + 2 * half),
        },
        rms=abs(error),
        rms_per_noise=abs(error) / 0.004 if quantity == "loss" else None,
        inside=inside,
        inside_least={"0.8": 0.6, "0.95": 0.8},
        width={"0.8": 2 * half, "0.95": 4 * half},
        interval_score={"0.8": 2 * half, "0.95": 4 * half},
        predictions=predictions,
    )

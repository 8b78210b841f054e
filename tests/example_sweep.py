"""A made-up sweep with made-up estimates, for the tests of the rooms that only read.

Losses follow a known law with noise; estimates are that law's numbers with draws around them. Only
the laws of the set, whose diagnostics are many, are fitted, once a test run and with few draws.
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.stats import norm

from isoflop.approach import LAWS as LAWS_OF_THE_SET
from isoflop.approaches.fit_approach import DRAWS_SCHEMA, fit_approach
from isoflop.approaches.mix_laws import mix_laws
from isoflop.config.approaches import ApproachesSettings
from isoflop.config.figures import FiguresSettings
from isoflop.estimates.diagnostics import (
    Account,
    AlongAxis,
    Coefficients,
    Counted,
    Diagnostics,
    EnvelopeDiagnostics,
    JointScoreTest,
    KaplanDiagnostics,
    LawTest,
    LikelihoodRatios,
    LikelihoodTest,
    Minimum,
    NoiseParts,
    ParametricDiagnostics,
    Profile,
    ProfilesDiagnostics,
    PureError,
    Residuals,
    ScoreTest,
    ScoreTests,
    Spread,
    Trend,
    Trends,
    VariableProjection,
    Winners,
)
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import (
    Bend,
    Calibration,
    CheckedTruth,
    Counting,
    Estimate,
    Provenance,
    Refusal,
    Tally,
    Third,
    Uncalibrated,
    optima_of,
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
from isoflop.estimates.influence import Influence, LeaveOut
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw, KaplanLaws, Law, PowerLaws
from isoflop.estimates.mixture import (
    CoveredShare,
    Mixture,
    MixtureCheck,
    read_mixture,
    write_mixture,
)
from isoflop.estimates.quantities import Quantity, Simulations, Truth, describe
from isoflop.figures.inputs import FigureInputs
from isoflop.laws import ChinchillaLaw
from isoflop.reference import read_reference
from isoflop.report.read_inputs import ReportPaths, read_inputs
from isoflop.tables import (
    Files,
    Gates,
    LeftOut,
    Losses,
    Runs,
    Specifications,
    read_table,
    write_table,
)
from tests.once import once

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

LAW = ChinchillaLaw(E=0.8, A=13.4, B=208.0, alpha=0.35, beta=0.37)
TRIALS = {"lr0.001-c2e11": (0.001, 2.41), "lr0.002-c2e11": (0.002, 2.40)}
"""Tuning runs: peak rate and final loss."""
BUDGETS = (3e11, 1e12, 3e12, 1e13)
CHECK_BUDGET = 3e13
DRAWS = 200
SWEEP = "made-up"
NEWEST_LOG = dt.date(2026, 5, 28)
REFERENCE = Path(__file__).parents[1] / "data" / "reference"


@dataclass(frozen=True)
class Paths:
    """Where the example's files are, in the project's own layout."""

    root: Path
    losses: Path
    left_out: Path
    runs: Path
    files: Path
    gates: Path
    estimates: Path
    specifications: Path
    sidecar: Path

    @classmethod
    def below(cls, root: Path) -> Paths:
        """Name every file below a folder."""
        return cls(
            root=root,
            losses=root / f"data/losses/{SWEEP}.parquet",
            left_out=root / f"data/losses/{SWEEP}.left_out.parquet",
            runs=root / f"data/curves/{SWEEP}.runs.parquet",
            files=root / f"data/curves/{SWEEP}.files.parquet",
            gates=root / f"data/curves/{SWEEP}.gates.parquet",
            estimates=root / f"data/estimates/{SWEEP}",
            specifications=root / f"data/estimates/{SWEEP}/specifications.parquet",
            sidecar=root / f"data/raw/{SWEEP}/sweep.yaml",
        )

    def figure_inputs(self) -> FigureInputs:
        """Read what the figures are drawn from."""
        return FigureInputs(
            sweep=SWEEP,
            losses=read_table(self.losses, Losses),
            runs=read_table(self.runs, Runs),
            estimates=read_estimates(self.estimates),
            draws=read_draws(self.estimates),
            laws=read_estimates(self.estimates, LAWS_OF_THE_SET),
            law_draws=read_draws(self.estimates, LAWS_OF_THE_SET),
            mixture=read_mixture(self.estimates / "mixture.json"),
            mixture_draws=Draws.read(self.estimates / "mixture.draws.parquet"),
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
            gates=self.gates,
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
    """Write every input of figures and report below root, as copies of what was written before."""
    name = "-".join(["made-up", *sorted(refuse), f"check={check}", f"forecast={forecast}"])
    made = once(name, partial(_write, check=check, refuse=refuse, forecast=forecast))
    shutil.copytree(made, root, dirs_exist_ok=True)
    return Paths.below(root)


def _write(root: Path, *, check: bool, refuse: tuple[str, ...], forecast: bool) -> None:
    paths = Paths.below(root)
    planned = _planned(check=check)
    write_table(_runs(planned), Runs, paths.runs)
    write_table(_losses(planned), Losses, paths.losses)
    write_table(_files(planned), Files, paths.files)
    write_table(_gates(planned), Gates, paths.gates)
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
    _write_laws(paths, refuse, found)


FEW_DRAWS = ApproachesSettings.model_validate(
    {"bootstrap": {"draws": 40, "interval": "percentile"}}
)


def _fit_laws(folder: Path) -> None:
    """Fit the laws of the set to the made-up losses: of all that tests share the costliest."""
    losses = _losses(_planned(check=False))
    for law in LAWS_OF_THE_SET:
        if law != "parametric":
            estimate, draws = fit_approach(
                losses, law, FEW_DRAWS, sweep=SWEEP, provenance=PROVENANCE
            )
            write_estimate(estimate, folder / f"{law}.json")
            draws.write_parquet(folder / f"{law}.draws.parquet")


def _write_laws(paths: Paths, refuse: tuple[str, ...], found: Forecasts | NoForecasts) -> None:
    """Write the laws of the set and their mixture; all are refused where approach 3 is."""
    if "parametric" in refuse:
        for law in LAWS_OF_THE_SET:
            if law == "parametric":
                continue
            refusal = Refusal(
                approach=law,
                sweep=SWEEP,
                settings=ApproachesSettings(),
                refused=f"{law} needs 7 points; {SWEEP} has 1. Add runs.",
                provenance=PROVENANCE,
            )
            write_estimate(refusal, paths.estimates / f"{law}.json")
            draws = pl.DataFrame(schema=DRAWS_SCHEMA)
            draws.write_parquet(paths.estimates / f"{law}.draws.parquet")
    else:
        shutil.copytree(once("laws", _fit_laws), paths.estimates, dirs_exist_ok=True)
    mixture, draws = mix_laws(
        read_estimates(paths.estimates, LAWS_OF_THE_SET),
        read_draws(paths.estimates, LAWS_OF_THE_SET),
        found,
        FEW_DRAWS,
        sweep=SWEEP,
        provenance=PROVENANCE,
    )
    if isinstance(mixture, Mixture):
        mixture = mixture.model_copy(update={"checks": _checks(mixture), "unchecked": None})
    write_mixture(mixture, paths.estimates / "mixture.json")
    draws.write_parquet(paths.estimates / "mixture.draws.parquet")


def _checks(mixture: Mixture) -> list[MixtureCheck]:
    """Make up what simulated sweeps would say; the second law's losses are covered least."""
    places = [("a", None), *((q, b) for q in ("params_opt", "loss_opt") for b in (0.0, 1.0, 2.0))]
    return [
        MixtureCheck(
            truth=member.approach,
            noise=0.01,
            simulations=100,
            refused=0,
            covered=[
                CoveredShare.model_validate(
                    {
                        "quantity": quantity,
                        "decades_beyond": beyond,
                        "shares": {"0.8": 0.86 - 0.01 * k - 0.01 * place, "0.95": 0.97},
                        "percentile_shares": {"0.8": 0.7 - 0.01 * place, "0.95": 0.9},
                    }
                )
                for place, (quantity, beyond) in enumerate(places)
            ],
        )
        for k, member in enumerate(mixture.mixed)
    ]


def _planned(*, check: bool) -> list[dict[str, Any]]:
    """List the runs: IsoFLOP rows, two tuning runs, and the pair of check runs."""
    runs = [
        {"run": f"c{budget:.0e}-n{n:.0f}", "role": "fit", "budget": budget, "n": float(n)}
        for budget in BUDGETS
        for n in sizes(budget)
    ]
    runs += [
        {"run": run, "role": "tuning", "budget": 2e11, "n": 7216.0, "lr": rate}
        for run, (rate, _) in TRIALS.items()
    ]
    if check:
        middle = BUDGETS[1]
        for label, a in (("kaplan", 0.73), ("chinchilla", 0.5)):
            n = float(LAW.params_opt(middle)) * (CHECK_BUDGET / middle) ** a
            runs.append(
                {"run": f"{label}-c3e13", "role": "check", "sized_by": label,
                 "budget": CHECK_BUDGET, "n": n}
            )  # fmt: skip
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
                "sized_by": run.get("sized_by"),
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
                "lr_peak": run.get("lr", 0.004),
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
                    "sized_by": run.get("sized_by"),
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
            "last_day": NEWEST_LOG - dt.timedelta(days=(place + 3) % 7),
            "fate": "used",
            "reason": None,
        }
        for place, run in enumerate(planned)
    ]
    rows.append(rows[0] | {"path": "notes.txt", "format": None, "fate": "rejected", "rows": 0})
    rows[-1]["reason"] = "no log format recognises it"
    # a file that is no log dates nothing
    rows[-1]["last_day"] = NEWEST_LOG + dt.timedelta(days=400)
    return pl.DataFrame(rows, infer_schema_length=None)


def _gates(planned: list[dict[str, Any]]) -> pl.DataFrame:
    """One check that all runs pass, and one that three runs fail, each with another verdict."""
    verdicts = ["warned", "excluded", "accepted"]
    plain = [
        {
            "sweep": SWEEP,
            "check": check,
            "tests": tests,
            "source": "made up",
            "run": run["run"],
            "value": value,
            "low": low,
            "high": high,
            "unit": unit,
            "verdict": "passed",
            "words": None,
            "reason": None,
        }
        for check, tests, value, low, high, unit in (
            ("flops_ratio", "logged FLOPs over 6ND", 1.0, 0.8, 2.5, "1"),
            ("few_digits", "unit of the losses' last digit", 1e-4, None, 5e-4, "nat/token"),
        )
        for run in planned
    ]
    for place, verdict in enumerate(verdicts, start=len(planned)):
        plain[place] |= {
            "value": 0.01,
            "verdict": verdict,
            "words": "its losses are written to 0.01",
            "reason": "printed so by its trainer" if verdict == "accepted" else None,
        }
    return pl.DataFrame(plain, infer_schema_length=None)


def _left_out() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "sweep": SWEEP,
                "stage": "ingest",
                "item": "notes.txt",
                "points": 0,
                "reason": "no log format recognises it",
                "loss": None,
            },
            *(
                {
                    "sweep": SWEEP,
                    "stage": "losses",
                    "item": run,
                    "points": 12,
                    "reason": "learning-rate tuning",
                    "loss": loss,
                }
                for run, (_, loss) in TRIALS.items()
            ),
            {
                "sweep": SWEEP,
                "stage": "losses",
                "item": "c3e+11-n1",
                "points": 12,
                "reason": "diverged: the loss is NaN from step 40 on",
                "loss": None,
            },
        ],
        infer_schema_length=None,
    )


MOVED = {("total", "6nd"): 0.0, ("nonembedding", "kaplan"): 0.1, "eval": 0.0, "train": -0.02}
"""What each level adds to a in the made-up specifications."""


def specifications(refuse: tuple[str, ...] = ()) -> pl.DataFrame:
    """Make up specifications whose choices of counting and loss move a by ``MOVED``."""
    own = {
        "envelope": {"frontier": "grid", "edge": "trim", "min_schedule_fraction": 0.0},
        "profiles": {"axis": "each", "curve": "parabola", "weights": "equal"},
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


COST = FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
LAWS: dict[str, Law] = {
    "envelope": PowerLaws(),
    "profiles": PowerLaws(),
    "parametric": HoffmannLaw(flops_per_token=COST),
    "kaplan": KaplanLaws(),
}
SHIFTS = {"envelope": 0.01, "profiles": -0.01, "parametric": 0.0, "kaplan": 0.15}
"""What each approach adds to the law's own a."""
MIDDLE = 1e12
"""Where the made-up optima are pinned [FLOP]."""


@cache
def estimates(approach: str, *, refused: bool) -> tuple[Estimate | Refusal, pl.DataFrame]:
    """Make up one approach's estimate and its draws, which give all of its numbers."""
    if refused:
        reason = f"{approach} needs 3 budgets with 5 sizes each; {SWEEP} has 1. Add runs."
        refusal = Refusal(
            approach=approach,
            sweep=SWEEP,
            settings=ApproachesSettings(),
            refused=reason,
            provenance=PROVENANCE,
        )
        return refusal, pl.DataFrame(schema=DRAWS_SCHEMA)
    law, a = LAWS[approach], LAW.a + SHIFTS[approach]
    spread = np.random.default_rng(list(approach.encode())).normal(0, 1, (DRAWS, 2))
    n_middle = float(LAW.params_opt(MIDDLE))
    row = parameters(approach, np.array([a]), np.array([n_middle]))
    drawn = parameters(approach, a + 0.02 * spread[:, 0], n_middle * np.exp(0.05 * spread[:, 1]))
    simulations = simulated(approach)
    flops_range = (BUDGETS[0], BUDGETS[-1])
    flops = BUDGETS[-1] * np.array([1.0, 10.0, 100.0])
    sources = [] if simulations is None else [simulations]
    found = describe(law, row, drawn, flops, sources)
    calibration: Calibration | Uncalibrated = Uncalibrated(reason="beta ended at a bound")
    if simulations is not None and simulations.noiseless is not None:
        checked = CheckedTruth(
            truth=simulations.truth,
            noise=0.01,
            simulations=len(RANKS["profiles"]),
            refused=0,
            noiseless=dict(zip(law.names, simulations.noiseless[0].tolist(), strict=True)),
        )
        calibration = Calibration(
            truths=[checked], left_out={"kaplan_law": "the runs reject its form (p = 0.0001)"}
        )
    kaplan = approach == "kaplan"
    estimate = Estimate(
        approach=approach,
        sweep=SWEEP,
        settings=ApproachesSettings(),
        counting=Counting(
            params="nonembedding" if kaplan else "total", flops="kaplan" if kaplan else "6nd"
        ),
        n_runs=36,
        n_points=36,
        budgets=list(BUDGETS),
        flops_range=flops_range,
        a=found["a"],
        b=found["b"],
        law=law,
        parameters={name: found[name] for name in law.names if name not in {"a", "b"}},
        optima=optima_of(found, flops, flops_range),
        diagnostics=_diagnostics(approach),
        bootstrap=Tally(draws=DRAWS, refused=0, refusals={}),
        calibration=calibration,
        curvature=BENDS.get(approach),
        influence=influence(approach, flops_range[1]),
        cautions=[f"Made-up caution of {approach}."],
        provenance=PROVENANCE,
    )
    return estimate, _draws(approach, drawn, simulations)


def parameters(approach: str, a: np.ndarray, n_middle: np.ndarray) -> np.ndarray:
    """Give rows of an approach's parameters that have an exponent and an optimum at MIDDLE."""
    if approach == "parametric":
        beta = LAW.alpha * a / (1.0 - a)
        log_g = np.log(n_middle) - a * np.log(MIDDLE / 6.0)
        size = LAW.alpha * LAW.A / beta * np.exp(-(LAW.alpha + beta) * log_g)
        constant = np.ones_like(a)
        return np.stack([LAW.E * constant, LAW.A * constant, size, LAW.alpha * constant, beta], 1)
    n, b = n_middle / MIDDLE**a, 1.0 - a
    d, constant = 1.0 / (6.0 * n), np.ones_like(a)
    if approach == "kaplan":
        # L(C) is 3 nats at MIDDLE; the other laws are of no account here
        scale, exponent = MIDDLE * 3.0**20 * constant, 0.05 * constant
        rest = 0.2 + 0.01 * np.random.default_rng(4).normal(0, 1, (9, len(a)))
        return np.stack([n, a, d, b, scale, exponent, *rest], 1)
    return np.stack([n, a, d, b, 40.0 * constant, 0.12 * constant], 1)


RANKS = {
    # in one sweep of ten the 80 % interval covers, in four the 95 % one, and no level helps
    "envelope": np.repeat([0.5, 0.06, 1.0], [10, 30, 60]),
    "profiles": (np.arange(100) + 0.5) / 100,
    "parametric": (np.arange(100) + 0.5) / 100,
}
"""Share of the draws below the true a in made-up simulated sweeps; Kaplan's were not checked."""


def simulated(approach: str) -> Simulations | None:
    """Make up fits to simulated sweeps whose draws lie about the truth as ``RANKS`` says."""
    if approach not in RANKS:
        return None
    quantiles = norm.ppf((np.arange(50) + 0.5) / 50)
    shift = -norm.ppf(np.clip(RANKS[approach], 1e-9, 1.0 - 1e-9))
    n_middle = float(LAW.params_opt(MIDDLE))

    def rows(a: np.ndarray) -> np.ndarray:
        return parameters(approach, a, np.full(len(a), n_middle))

    a = LAW.a + 0.02 * (shift[:, None] + quantiles)
    draws = rows(a.ravel()).reshape(*a.shape, -1)
    names = LAWS["parametric"].names
    truth = Truth(
        approach="parametric",
        law=LAWS["parametric"],
        parameters={name: getattr(LAW, name) for name in names},
    )
    return Simulations(truth, rows(LAW.a + 0.02 * shift), draws, rows(np.array([0.95 * LAW.a])))


def _draws(approach: str, drawn: np.ndarray, simulations: Simulations | None) -> pl.DataFrame:
    """Write the table of draws, as ``fit_approach`` does."""
    law = LAWS[approach]
    blocks = [(None, range(len(drawn)), drawn)]
    if simulations is not None:
        for k, own in enumerate(simulations.draws):
            blocks += [(k, [None], simulations.estimates[k : k + 1]), (k, range(len(own)), own)]
    tables = []
    for simulation, draw, rows in blocks:
        a, b = law.exponents(rows)
        columns = dict(zip(law.names, rows.T, strict=True)) | {"a": a, "b": b}
        tables.append(
            pl.DataFrame(
                {
                    "approach": pl.Series([approach] * len(rows), dtype=pl.String),
                    "truth": pl.Series(
                        [None if simulation is None else "parametric"] * len(rows), dtype=pl.String
                    ),
                    "simulation": pl.Series([simulation] * len(rows), dtype=pl.Int64),
                    "draw": pl.Series(list(draw), dtype=pl.Int64),
                    "refused": pl.Series([None] * len(rows), dtype=pl.String),
                    **columns,
                }
            )
        )
    return pl.concat(tables)


def _written(value: float, reach: float) -> Quantity:
    ends = {"0.8": reach, "0.95": 1.5 * reach}
    return Quantity(value=value, intervals={p: (value - r, value + r) for p, r in ends.items()})


BENDS = {
    "envelope": Bend(
        per_decade=_written(-0.02, 0.008),
        thirds=[
            Third(flops=(10.0**k, 10.0 ** (k + 1)), a=_written(0.5 - 0.02 * k, 0.03))
            for k in (10, 11, 12)
        ],
        draws=DRAWS,
        reason=None,
    ),
    "profiles": Bend(
        per_decade=None, thirds=None, draws=0, reason="4 budgets are needed; there are 3"
    ),
}


def _diagnostics(approach: str) -> Diagnostics:
    """Make up the diagnostics that figures and report read."""
    flops = np.geomspace(BUDGETS[0], BUDGETS[-1], 60)
    winners = Winners(
        run=["made-up"] * 60,
        flops=flops.tolist(),
        params=LAW.params_opt(flops).tolist(),
        tokens=LAW.tokens_opt(flops).tolist(),
        loss=(LAW.loss_opt(flops) * 1.002).tolist(),
        late=[True] * 60,
        fitted=[True] * 60,
    )
    if approach == "envelope":
        return EnvelopeDiagnostics(
            account=_account("least squares of log N on log C", starts=None),
            residuals=Spread(rms=0.05, median_absolute=0.04),
            frontier="grid",
            points_on_frontier=60,
            points_fitted=60,
            late_winners=0.4,
            sizes_that_win=7,
            sizes=30,
            residual_sd=0.1,
            winners=winners,
        )
    if approach == "profiles":
        return ProfilesDiagnostics(
            account=_account("least squares, a parabola per budget", starts=None),
            residuals=_residuals(1),
            trends=TRENDS,
            axis="params",
            along={
                "params": AlongAxis(a=0.48, b=0.52, minima=4),
                "tokens": AlongAxis(a=0.49, b=0.51, minima=4),
            },
            curve="parabola",
            line=Spread(rms=0.02, median_absolute=0.01),
            window=None,
            minima=len(BUDGETS),
            profiles=[_profile(budget) for budget in BUDGETS],
            left_out=[],
        )
    if approach == "parametric":
        return ParametricDiagnostics(
            account=_account("huber", starts=4500),
            residuals=_residuals(2),
            trends=TRENDS,
            misfit=MISFIT,
            pure_error=PURE_ERROR,
            noise_parts=NoiseParts(
                seed=0.0066, cell=0.0, size=0.004, sizes=12, cells=30, replicates=4
            ),
            huber_delta=1e-3,
            scale=None,
            log_likelihood=None,
            variable_projection=VariableProjection(
                E=LAW.E, A=LAW.A, B=LAW.B, alpha=LAW.alpha, beta=LAW.beta, a=LAW.a, rms=0.01
            ),
            likelihood_ratios=LikelihoodRatios(
                delta=1.345,
                log_likelihood=150.0,
                scale=0.01,
                constants={},
                exponents={
                    "hoffmann_printed": LawTest(**_tested(400.0, 2, -86.9), alpha=0.34, beta=0.28),
                    "besiroglu": LawTest(**_tested(1.2, 2, -0.26), alpha=0.3478, beta=0.3658),
                },
                parity=LikelihoodTest(**_tested(2.0, 1, -0.8)),
            ),
        )
    names = LAWS["kaplan"].names
    counted = dict.fromkeys(names, 0.25) | {"a": 0.61}
    return KaplanDiagnostics(
        account=_account("least squares of log L(N, D)", starts=6),
        residuals=_residuals(3),
        trends=TRENDS,
        sizes_that_win=9,
        countings=[
            Counted(params="nonembedding", flops="kaplan", parameters=counted, refused=None),
            Counted(params="total", flops="6nd", parameters=counted, refused=None),
        ],
        winners=winners,
    )


def _tested(statistic: float, degrees: int, log10_p: float) -> dict[str, Any]:
    return {
        "statistic": statistic,
        "degrees_of_freedom": degrees,
        "p_value": 10.0**log10_p,
        "log10_p": log10_p,
    }


def _account(kind: str, *, starts: int | None) -> Account:
    solved = starts is not None
    return Account(
        objective_kind=kind,
        objective=0.00123,
        starts=starts,
        starts_reaching_optimum=starts,
        starts_converged=starts,
        tolerance=1e-12 if solved else None,
        max_steps=500 if solved else None,
        bounds_hit=["E"] if starts == 4500 else [],
        condition_number=321.0 if solved else None,
        degrees_of_freedom=31,
    )


MISFIT = ScoreTests(
    params_squared=ScoreTest(coefficient=0.004, p_value=0.42),
    tokens_squared=ScoreTest(coefficient=None, p_value=None),
    params_times_tokens=ScoreTest(coefficient=-0.0104, p_value=6e-17),
    joint=JointScoreTest(statistic=58.1, degrees_of_freedom=(2, 29), p_value=3.5e-15),
)
PURE_ERROR = PureError(
    sd=0.0066,
    degrees_of_freedom=4,
    lack_of_fit_degrees_of_freedom=27,
    statistic=5.8,
    p_value=0.048,
)


def influence(approach: str, flops: float) -> Influence:
    """Make up a jackknife: one run moves approach 3, another lies far off it."""
    if approach != "parametric":
        return Influence(flops=flops, runs=[], reason="there are no draws to take errors from")
    changes = {"hangs-on-me": (0.03, 2.5, 0.4), "far-off": (0.001, 0.1, 9.0)}
    runs = [
        LeaveOut(
            run=run,
            a=a,
            log_params=4.0 * a,
            log_loss=-a / 10.0,
            a_errors=errors,
            log_params_errors=errors / 2.0,
            log_loss_errors=-errors / 4.0,
            refused=False,
            residual=sd / 100.0,
            studentised=sd,
        )
        for run, (a, errors, sd) in changes.items()
    ]
    return Influence(flops=flops, runs=runs, reason=None)


TREND = Trend(slope=0.0012, p_value=0.034)
TRENDS = Trends(params=TREND, tokens=TREND, flops=TREND)


def _residuals(seed: int) -> Residuals:
    n = np.concatenate([sizes(budget) for budget in BUDGETS])
    flops = np.repeat(BUDGETS, len(n) // len(BUDGETS))
    residual = np.random.default_rng(seed).normal(0.0, 0.01, len(n))
    return Residuals(
        run=["made-up"] * len(n),
        params=n.tolist(),
        tokens=(flops / (6.0 * n)).tolist(),
        flops=flops.tolist(),
        loss=LAW.loss(n, flops / (6.0 * n)).tolist(),
        log_residual=residual.tolist(),
        rms=float(np.sqrt(np.mean(residual**2))),
        median_absolute=float(np.median(np.abs(residual))),
    )


def _profile(budget: float) -> Profile:
    n = sizes(budget)
    loss = LAW.loss(n, budget / (6 * n))
    best = float(LAW.params_opt(budget))
    curvature, slope, level = np.polyfit(np.log(n / best), loss, 2)
    return Profile(
        budget=budget,
        run=[f"c{budget:.0e}-n{size:.0f}" for size in n],
        params=n.tolist(),
        tokens=(budget / (6 * n)).tolist(),
        flops=[budget] * len(n),
        loss=loss.tolist(),
        used=[True] * len(n),
        coefficients=Coefficients(
            centre=float(np.log(best)),
            level=float(level),
            slope=float(slope),
            curvature=float(curvature),
        ),
        accepted=True,
        reason=None,
        minimum=Minimum(params=best, tokens=budget / (6 * best), loss=float(LAW.loss_opt(budget))),
    )


NO_FORECAST = f"a forecast needs 4 compute budgets; {SWEEP} has 3. Add runs at 1 more."


def no_forecasts() -> NoForecasts:
    """Make up the reason of a sweep that cannot be split."""
    return NoForecasts(
        sweep=SWEEP, settings=ApproachesSettings(), refused=NO_FORECAST, provenance=PROVENANCE
    )


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
        settings=ApproachesSettings(),
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

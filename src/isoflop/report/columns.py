"""What every column of the report's CSV files means: the data dictionary, tables/columns.csv."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.drawing.data import COLUMNS
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

FIGURES: Final = "figures/*.csv"
"""Stands for the numbers of every figure, which have the same columns."""
ENDS: Final = re.compile(r"^(?:(?P<of>.+)_)?(?P<end>lo|hi)(?P<level>80|95)$")
LEVELS: Final = re.compile(r"^(?P<of>.+)_(?P<level>80|95)$")

MEANING: Final[dict[str, tuple[str, str]]] = {
    "E_nats": ("nat/token", "floor of the law; 0 where it has none"),
    "gamma": ("", "power of the sum of both terms in the law of the loss"),
    "rms_log_residual": ("log nat", "root mean square of the residuals of log L"),
    "misfit_p": ("", "p-value of the score test of the law's form"),
    "cuts": ("", "cuts above which the law's forecasts were scored"),
    "forecast_bias_nats": ("nat/token", "mean error of forecast losses, over the cuts"),
    "forecast_rms_nats": ("nat/token", "root mean square error of forecast losses, over the cuts"),
    "interval_score_80_nats": ("nat/token", "mean interval score of 80 % intervals"),
    "log_score": ("", "mean log predictive density of log L"),
    "forecasts_cover": ("", "whether the forecasts' intervals cover at every cut"),
    "simulated_p_value": ("", "p-value against sweeps simulated under the hypothesis"),
    "simulated_sweeps": ("", "simulated sweeps"),
    "size": ("share", "simulated sweeps that the test rejects at 5 %"),
    "E": ("nat/token", "floor of the law"),
    "a": ("", "exponent of N_opt in C"),
    "a_errors": ("standard errors", "change of a when the run is left out"),
    "a_headline": ("", "a of the report's own settings"),
    "a_highest": ("", "largest a over the specifications"),
    "a_lowest": ("", "smallest a over the specifications"),
    "a_median": ("", "median a over the specifications"),
    "alpha": ("", "exponent of size in the law of the loss"),
    "approach": ("", "key of the approach"),
    "axis": ("", "axis along which approach 2 fits its curves"),
    "b": ("", "exponent of D_opt in C"),
    "benchmark": ("", "published benchmark"),
    "beta": ("", "exponent of data in the law of the loss"),
    "better": ("", "whether higher or lower is better"),
    "bias": ("nat/token or log", "mean error, predicted less measured; of sizes in natural logs"),
    "bounds_hit": ("", "parameters that ended at a bound"),
    "budget": ("FLOP", "planned compute, or the budget of params_opt"),
    "check": ("", "check of plausibility"),
    "tests": ("", "what a check measures"),
    "tested": ("", "runs tested"),
    "low": ("unit's", "smallest plausible value"),
    "high": ("unit's", "largest plausible value"),
    "worst": ("unit's", "value nearest to a limit, or beyond it"),
    "verdict": ("", "what became of the run"),
    "words": ("", "what the check says"),
    "accepted": ("", "runs accepted by sweep.yaml though they fail"),
    "warned": ("", "runs told of"),
    "chinchilla": ("task's unit", "Chinchilla's result"),
    "chinchilla_better": ("", "rows on which Chinchilla does better"),
    "chinchilla_loss": ("nat/token", "loss of Chinchilla by the law"),
    "chinchilla_mean": ("task's unit", "mean over the rows"),
    "chinchilla_printed": ("task's unit", "mean as printed"),
    "choice": ("", "choice of the analysis"),
    "chosen": ("", "what was chosen here"),
    "condition_number": ("", "of the scaled normal matrix at the optimum"),
    "coverage": ("share", "simulated sweeps whose reported interval covers the truth"),
    "covers": (
        "",
        "whether the intervals for a cover in simulated sweeps; the mixture: for N* and L* too",
    ),
    "curve": ("", "curve of approach 2"),
    "cut_flops": ("FLOP", "compute up to which runs were fitted"),
    "d_high": ("token", "most tokens at the budget"),
    "d_low": ("token", "fewest tokens at the budget"),
    "decades_beyond_data": ("decade", "log10 of C over the nearest fitted C, positive outside"),
    "decades_least": ("decade", "nearest prediction beyond the cut"),
    "decades_most": ("decade", "farthest prediction beyond the cut"),
    "degrees_of_freedom": ("", "of the test, or of the fit's residuals"),
    "difference": ("nat/token", "Chinchilla's loss less Gopher's"),
    "draws": ("", "bootstrap resamples"),
    "draws_refused": ("", "resamples that could not be fitted"),
    "drop_highest": ("", "highest losses left out"),
    "edge": ("", "what is done with an optimum at the edge of the sizes"),
    "excluded": ("", "whether sweep.yaml leaves the run out, or how many a check left out"),
    "final_loss": ("nat/token", "loss at the end of the run"),
    "fitted": ("", "specifications that were fitted"),
    "flops": (
        "FLOP",
        "compute C; in specifications and law-countings the convention of counting it",
    ),
    "flops_6nd": ("FLOP", "C = 6ND, N total"),
    "flops_from": ("FLOP", "lower end of the stretch of C"),
    "flops_to": ("FLOP", "upper end of the stretch of C"),
    "forecasts": ("", "whether intervals from below the highest cut covered what lay above it"),
    "form_statistic": ("", "F of the three second-order directions"),
    "from": ("", "option before"),
    "frontier": ("", "frontier of approach 1"),
    "gopher": ("task's unit", "Gopher's result"),
    "gopher_loss": ("nat/token", "loss of Gopher by the law"),
    "gopher_mean": ("task's unit", "mean over the rows"),
    "gopher_printed": ("task's unit", "mean as printed"),
    "gpt3": ("task's unit", "GPT-3's result"),
    "headline": ("", "whether these are the report's own settings"),
    "huber_delta": ("", "where Huber's loss turns linear"),
    "hypothesis": ("", "what is tested"),
    "inside": ("share", "measurements inside their intervals"),
    "inside_least": ("share", "what a calibrated forecast exceeds 97.5 % of the time"),
    "interval_score": ("nat/token or log", "mean interval score; smaller is better"),
    "item": ("", "file or run"),
    "left_out": ("", "why the law takes no part in the mixture"),
    "l_high": ("nat/token", "highest final loss at the budget"),
    "l_low": ("nat/token", "lowest final loss at the budget"),
    "law": ("", "key of an approach, or a published law"),
    "log10_p": ("", "log10 of the p-value"),
    "log_loss_opt": ("log nat/token", "change of log L_opt when the run is left out"),
    "log_loss_opt_errors": ("standard errors", "the same in standard errors"),
    "log_params_opt": ("log", "change of log N_opt when the run is left out"),
    "log_params_opt_errors": ("standard errors", "the same in standard errors"),
    "log_residual": ("log", "log of observed less log of fitted loss"),
    "loss_nats_per_token": ("nat/token", "predicted loss at the optimum"),
    "loss": ("nat/token", "measured or predicted loss; in specifications its kind"),
    "loss_se": ("nat/token", "standard error of a mean over runs"),
    "loss_opt": ("nat/token", "predicted loss at the optimum"),
    "lr_peak": ("", "highest learning rate"),
    "max_steps": ("", "largest number of steps of the solver"),
    "median": ("quantity's unit", "median of the estimates in simulated sweeps"),
    "min_schedule_fraction": ("share", "schedule that a point of approach 1 must have done"),
    "moved": ("", "what the choice moved in the literature"),
    "mtnlg": ("task's unit", "MT-NLG's result"),
    "n": ("", "predictions"),
    "n_high": ("parameter", "largest total N at the budget"),
    "n_low": ("parameter", "smallest total N at the budget"),
    "n_points": ("", "points fitted"),
    "n_runs": ("", "runs fitted"),
    "nearer_size": ("", "check size that is nearer to the optimum in log N"),
    "noiseless": ("quantity's unit", "estimate from the simulated sweep without errors"),
    "objective": ("", "what was minimised, or its value at the optimum"),
    "objective_kind": ("", "what was minimised"),
    "outliers": ("", "studentised residual beyond which runs are left out"),
    "p_form": ("", "p-value of the three second-order directions together"),
    "p_flops": ("", "p-value of the trend over log C"),
    "p_lack_of_fit": ("", "p-value of the lack of fit against replicates"),
    "p_params": ("", "p-value of the trend over log N"),
    "p_params_squared": ("", "p-value of (log N)²"),
    "p_params_times_tokens": ("", "p-value of log N log D"),
    "p_tokens": ("", "p-value of the trend over log D"),
    "p_tokens_squared": ("", "p-value of (log D)²"),
    "p_value": ("", "p-value"),
    "pair_difference": ("nat/token", "announced loss of Kaplan's size less that of Chinchilla's"),
    "pair_measured": ("nat/token", "the same, measured: means over the announced runs"),
    "pairs": ("", "specifications compared that differ in nothing else"),
    "parameter": ("", "name of the law's parameter"),
    "params": (
        "parameter",
        "N at the optimum; in specifications and law-countings how N is counted",
    ),
    "params_nonembedding": ("parameter", "N without embedding and head"),
    "params_opt": ("parameter", "N at the optimum"),
    "params_total": ("parameter", "N with embedding and head"),
    "path": ("", "input file"),
    "nominal_low": ("share", "of the draws, below the lower end of the interval"),
    "nominal_high": ("share", "of the draws, below the upper end of the interval"),
    "nominal_level": ("share", "of the draws inside the interval; empty where no level serves"),
    "nominal_level_error": ("share", "standard error of the nominal level"),
    "hardest_below": ("", "law under which the lower tail needed so wide an interval"),
    "hardest_above": ("", "law under which the upper tail needed so wide an interval"),
    "percentile_coverage": ("share", "simulated sweeps whose percentile interval covers the truth"),
    "points": ("", "points left out"),
    "predicted": ("nat/token", "loss by approach 3"),
    "published": ("parameter's unit", "value of Kaplan et al. 2020"),
    "quantity": ("", "what is estimated or predicted"),
    "reason": ("", "why it was left out"),
    "refused": ("", "specifications that were refused, or why one was"),
    "refused_without": ("", "whether the approach cannot be fitted without the run"),
    "residual_rms": ("log", "root mean square of the residuals"),
    "rms": ("nat/token or log", "root mean square of the errors"),
    "rms_per_noise": ("", "rms over the noise of a run"),
    "role": ("", "fit, tuning or check"),
    "rows": ("", "rows of the published table"),
    "run": ("", "name of the run"),
    "runs": ("", "number of runs"),
    "sized_by": ("", "whose exponent gave the runs their size, or which runs have it"),
    "schedule_kind": ("", "learning-rate schedule"),
    "sd_cell": ("log", "sd of what runs of one size and token count share"),
    "sd_replicates": ("log", "standard deviation of runs of one size and token count"),
    "sd_seed": ("log", "sd of what no two runs share; without replicates, with sd_cell in it"),
    "sd_size": ("log", "sd of what runs of one size share"),
    "seed": ("", "seed of the run"),
    "sha256": ("", "digest of the file"),
    "share_of_span": ("share", "shift over the distance from the lowest to the highest a"),
    "shift": ("", "median change of a"),
    "sizes": ("", "distinct sizes at the budget"),
    "smallest": ("", "smallest change of a over the pairs"),
    "largest": ("", "largest change of a over the pairs"),
    "source": ("", "sweep or published, where it was published, or where a limit is from"),
    "specification": ("", "number of the specification"),
    "stage": ("", "room that left it out"),
    "starts": ("", "starts of the solver"),
    "starts_reaching_optimum": ("", "starts that reached the best objective"),
    "statistic": ("", "of the test"),
    "status": ("", "how the run ended"),
    "studentised": ("", "externally studentised residual"),
    "sweep": ("", "name of the sweep"),
    "task": ("", "published task"),
    "to": ("", "option after"),
    "tokens": ("token", "D at the optimum, or of the run"),
    "tokens_per_param": ("token/parameter", "D/N at the optimum"),
    "tolerance": ("", "relative gain at which the solver stops"),
    "total_6nd": ("parameter's unit", "value with total N and C = 6ND"),
    "trend_flops": ("log per log", "slope of the residuals over log C"),
    "trend_params": ("log per log", "slope of the residuals over log N"),
    "trend_tokens": ("log per log", "slope of the residuals over log D"),
    "true_law": ("", "law that the sweeps were simulated from"),
    "log_noise": ("log loss", "standard deviation of a run's error in simulated sweeps"),
    "refused_sweeps": ("", "simulated sweeps without intervals"),
    "truth": ("quantity's unit", "value by the law that the sweeps were simulated from"),
    "unit": ("", "unit of the results"),
    "value": ("parameter's unit", "estimate from all runs, or what a check measured"),
    "weights": ("", "how budgets weigh in approach 2"),
    "weight": ("", "of the law in the mixture"),
    "width": ("nat/token or log", "mean width of the intervals"),
    "window": (
        "",
        "what approach 2 fits of a budget: a number of lowest losses, or by rule",
    ),
}
"""Column to its unit and what it means; ends of intervals and confidence levels follow by rule."""


def meaning(column: str) -> tuple[str, str] | None:
    """Give a column's unit and what it means; None where nobody has written it down."""
    if column in MEANING:
        return MEANING[column]
    if match := ENDS.match(column):
        end = "lower" if match["end"] == "lo" else "upper"
        of = match["of"] or "value"
        unit = MEANING[of][0] if of in MEANING else None
        return None if unit is None else (unit, f"{end} end of {of}'s {match['level']} % interval")
    if (match := LEVELS.match(column)) and match["of"] in MEANING:
        unit, words = MEANING[match["of"]]
        return unit, f"{words}, at {match['level']} %"
    return None


def column_table(tables: Iterable[Table]) -> Table:
    """Lay out every column of some tables, and those of the figures' numbers; a file alone."""
    rows = []
    for table in tables:
        for column in table.data_columns:
            unit, words = meaning(column) or ("", "")
            rows.append([table.key, column, unit, words])
    rows += [[FIGURES, column, "", words] for column, words in COLUMNS.items()]
    return Table(
        key="columns",
        caption="Every column of the CSV files.",
        columns=[Column(name, "left") for name in ("File", "Column", "Unit", "Meaning")],
        rows=[[f"`{cell}`" if i < 2 else cell for i, cell in enumerate(row)] for row in rows],
        data_columns=("table", "column", "unit", "meaning"),
        data=rows,
    )

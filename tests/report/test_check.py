from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.approach import NAMES
from isoflop.approaches.observations import observe
from isoflop.approaches.observations import seed_noise as pooled
from isoflop.config.approaches import CountingSettings
from isoflop.estimates.diagnostics import ParametricDiagnostics
from isoflop.estimates.estimate import Counting
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.mixture import Mixture, NoMixture, PlacedLevels
from isoflop.estimates.recommendation import DOUBTED
from isoflop.numbers import NBSP, UNSURE, fixed, power
from isoflop.pairs import SIZED_BY
from isoflop.report.document import write_document
from isoflop.report.sections.captions import findings
from isoflop.report.sections.check import (
    CheckSize,
    check_pair,
    check_sizes,
    seed_noise,
    standard_error,
)
from isoflop.report.sections.comparison import loss_table
from isoflop.report.sections.data import data_facts
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs
    from tests.report.conftest import Rendered


def losses(rows: list[tuple[float, float, float, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "params_total": n,
                "tokens": c / (6.0 * n),
                "budget": None,
                "loss": loss,
                "role": role,
                "is_final": True,
            }
            for n, c, loss, role in rows
        ]
    )


def size(*values: float) -> CheckSize:
    """Give check runs of one size with these losses."""
    at = np.array(values)
    names = tuple(f"run{i}" for i in range(len(values)))
    error = standard_error(at)
    return CheckSize(names, "Kaplan’s exponent", 1e3, 1e6, 6e9, float(at.mean()), error, None, None)


SEEDED = [
    (1e3, 1e10, 2.0, "fit"),
    (1e3, 1e10, 2.2, "fit"),
    (2e3, 1e10, 1.0, "fit"),
    (2e3, 1e10, 1.3, "fit"),
    (2e3, 1e10, 1.6, "fit"),
    (4e3, 1e10, 9.0, "fit"),
    (4e3, 1e10, 5.0, "check"),
]


def test_seed_noise_pools_the_cells_with_several_seeds() -> None:
    # variances 0.02 with 1 degree of freedom and 0.09 with 2
    sd = ((0.02 * 1 + 0.09 * 2) / 3) ** 0.5
    noise = seed_noise(losses(SEEDED), size(2.0), size(2.5))
    assert noise is not None
    assert f"standard deviation of {sd:.4f} (2 cells with several seeds)" in noise.words
    assert noise.words.endswith(f"standard error of {2**0.5 * sd:.4f}, and is 1.4 standard errors.")
    assert float(noise.gap_in_errors) == pytest.approx(0.5 / (2**0.5 * sd), abs=0.05)
    # four runs of one size: its mean is known to half a standard deviation
    several = seed_noise(losses(SEEDED), size(2.0), size(2.5, 2.5, 2.5, 2.5))
    assert several is not None
    assert float(several.gap_in_errors) == pytest.approx(0.5 / (1.25**0.5 * sd), abs=0.05)
    assert several.words.endswith(
        f"standard error of {1.25**0.5 * sd:.4f}, and is 1.7 standard errors."
    )


def test_seed_noise_of_two_sizes_with_seeds_is_their_own() -> None:
    low, high = size(2.0, 2.2), size(2.9, 3.1, 3.3)
    noise = seed_noise(losses(SEEDED), low, high)
    assert noise is not None
    error = (0.02 / 2 + 0.04 / 3) ** 0.5
    assert f"standard error of {error:.4f}" in noise.words
    assert float(noise.gap_in_errors) == pytest.approx(1.0 / error, abs=0.05)


def test_seed_noise_is_unknown_without_a_second_seed() -> None:
    table = losses([(1e3, 1e10, 2.0, "fit"), (2e3, 1e10, 2.2, "fit")])
    assert seed_noise(table, size(2.0), size(2.1)) is None


def test_seeds_of_a_sweep_without_planned_budgets_are_seeds(inputs: ReportInputs) -> None:
    """Every sweep but a planned one was told that it had no second seed."""
    fitted = inputs.losses.filter(role="fit")
    first = fitted["run"].unique().sort().head(3).implode()
    again = fitted.filter(pl.col("run").is_in(first)).with_columns(
        pl.col("run") + "-s1", pl.col("loss") + 0.01
    )
    unplanned = pl.concat([inputs.losses, again]).with_columns(
        budget=pl.lit(None, dtype=pl.Float64)
    )
    pair = check_pair(replace(inputs, losses=unplanned))
    assert pair is not None
    assert pair.noise is not None
    noise = pooled(observe(unplanned, CountingSettings()))
    assert noise is not None
    # each pair has a variance of 0.01^2 / 2
    assert (noise.cells, noise.freedom) == (3, 3)
    assert noise.sd == pytest.approx(0.01 / 2**0.5)
    assert f"standard deviation of {fixed(noise.sd, 4)} (3" in pair.noise.words
    assert pooled(observe(inputs.losses, CountingSettings())) is None


def test_check_runs_of_different_compute_are_no_pair(inputs: ReportInputs) -> None:
    """A study may leave runs of any compute out of its fits, to compare with later."""
    checks = inputs.losses.filter(pl.col("role") == "check")
    first = pl.col("run") == checks["run"].sort()[0]
    unlike = pl.when(first & (pl.col("role") == "check")).then(3.0).otherwise(1.0)
    changed = inputs.losses.with_columns(
        pl.col("tokens") * unlike, pl.col("flops_6nd") * unlike, pl.col("flops_kaplan") * unlike
    )
    apart = replace(inputs, losses=changed)
    assert len(check_sizes(inputs)) == 2
    assert check_sizes(apart) == []
    assert check_pair(apart) is None
    assert findings(apart)["check_pair"] == ""


def test_check_runs_are_kaplans_and_chinchillas_only_where_a_plan_or_sweep_yaml_says_so(
    inputs: ReportInputs,
) -> None:
    """A user's check runs were called Kaplan's by their names: `kaplan-style-warmup`."""
    named = " ".join(write_document(inputs).markdown.split())
    assert ": one size by Chinchilla’s exponent from the sweep’s middle budget and one by" in named
    assert "The size **by Chinchilla’s exponent** reached the lower loss" in named
    unsaid = pl.lit(None, dtype=pl.String).alias("sized_by")
    theirs = replace(
        inputs,
        losses=inputs.losses.with_columns(unsaid),
        runs=inputs.runs.with_columns(unsaid),
    )
    pair = check_pair(theirs)
    assert pair is not None
    assert pair.winner == "of ` chinchilla-c3e13 `"
    assert pair.losses.columns[0].head == "Size of"
    told = " ".join(write_document(theirs).markdown.split())
    _, section = told.split("{#check}")
    section, _ = section.split("{#cautions}")
    assert "were left out of every fit. The size **of ` chinchilla-c3e13 `** reached" in section
    assert "exponent" not in section
    # and whatever a run is called, what its plan says counts
    renamed = pl.col("run").str.replace("^kaplan", "big-a").str.replace("^chinchilla", "big-b")
    called = replace(
        inputs,
        losses=inputs.losses.with_columns(renamed),
        runs=inputs.runs.with_columns(renamed),
    )
    assert [size.exponent for size in check_sizes(called)] == [
        size.exponent for size in check_sizes(inputs)
    ]
    assert {size.exponent for size in check_sizes(called)} == set(SIZED_BY.values())
    assert "Kaplan" not in findings(theirs)["check_pair"]


def test_seeds_of_one_size_are_one_row_with_their_mean(inputs: ReportInputs) -> None:
    checks = inputs.losses.filter(pl.col("role") == "check")
    more = checks.with_columns(
        run=pl.col("run") + "-more",
        loss=pl.when("is_final").then(pl.col("loss") + 0.02).otherwise("loss"),
    )
    seeded = replace(inputs, losses=pl.concat([inputs.losses, more]))
    single, several = check_pair(inputs), check_pair(seeded)
    assert single is not None
    assert several is not None
    assert [len(each.runs) for each in several.sizes] == [2, 2]
    for one, two in zip(single.sizes, several.sizes, strict=True):
        assert two.loss == pytest.approx(one.loss + 0.01)
        assert two.loss_se == pytest.approx(0.01)
        assert one.loss_se is None
    assert several.opening.replace(NBSP, " ").startswith("4 runs of")
    assert several.opening.replace(NBSP, " ").endswith("of 2 sizes")
    assert [row[0].endswith("(2 runs)") for row in several.losses.rows] == [True, True]
    assert several.gap == single.gap
    assert several.noise is not None
    assert "standard error of 0.0141" in several.noise.words
    # a second run at another rate is no second seed
    rate = pl.when(pl.col("run").str.ends_with("-more")).then(2e-3).otherwise(1e-3)
    tried = check_sizes(replace(seeded, losses=seeded.losses.with_columns(lr_peak=rate)))
    assert [(len(each.runs), each.loss_se) for each in tried] == [(2, None), (2, None)]


def test_seeds_are_counted_among_runs_that_were_trained_alike(inputs: ReportInputs) -> None:
    fitted = inputs.runs.filter(role="fit")
    first, second = fitted["run"].sort().head(2)
    again = fitted.filter(pl.col("run").is_in([first, second])).with_columns(
        pl.col("run") + "-again",
        pl.col("seed") + 1,
        lr_peak=pl.col("lr_peak") * pl.when(run=second).then(2.0).otherwise(1.0),
    )
    seeds = data_facts(replace(inputs, runs=pl.concat([inputs.runs, again]))).seeds
    assert seeds.startswith("1 of ")
    assert seeds.endswith("of *N* and *D* has 2 seeds, the others one")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    """Give a sweep with a check pair whose embeddings are a third of N, and C without them."""
    root = tmp_path_factory.mktemp("inputs")
    empty_figures(root)
    written = example_sweep.write(root).report_inputs(root)
    losses = written.losses.with_columns(
        params_nonembedding=pl.col("params_total") * 2.0 / 3.0,
        flops_kaplan=pl.col("flops_6nd") * 2.0 / 3.0,
    )
    return replace(written, losses=losses)


def alone(inputs: ReportInputs) -> ReportInputs:
    """Give the same sweep without a mixture: approach 3 then predicts the pair."""
    return replace(inputs, mixture=NoMixture.model_construct(refused="One law."))


def counted_by(inputs: ReportInputs, **conventions: str) -> ReportInputs:
    estimate = inputs.fitted["parametric"]
    counted = estimate.model_copy(update={"counting": Counting.model_validate(conventions)})
    return alone(replace(inputs, estimates={**inputs.estimates, "parametric": counted}))


def test_the_answer_predicts_the_pair(inputs: ReportInputs) -> None:
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    pair = check_pair(inputs)
    assert pair is not None
    assert pair.whose_loss == "the mixture of the laws"
    assert "thin: its laws" in pair.drawn
    assert "those that the mixture of the laws predicts" in pair.losses.caption
    for size in pair.sizes:
        drawn = np.concatenate(
            [
                np.exp(part.law.log_loss(part.rows, np.log([size.params]), np.log([size.tokens])))
                for part in mixture.parts(inputs.mixture_draws)
            ]
        )[:, 0]
        assert size.predicted == pytest.approx(float(np.median(drawn)), rel=1e-3)
        assert size.predicted_ends == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert pair.optima.data[0][0] == "mixture"
    # losses at the optimum that have no interval that covers have none beside it
    none = NoLevel(side="above", truth="nested", share=0.9)
    refused = {"0.8": none, "0.95": none}
    places = [
        PlacedLevels.model_construct(quantity="loss_opt", decades_beyond=d, levels=refused)
        for d in (0.0, 2.0)
    ]
    without = replace(inputs, mixture=mixture.model_copy(update={"placed": places}))
    assert [size.predicted_ends for size in check_sizes(without)] == [None, None]


@pytest.mark.parametrize(
    ("params", "flops"), [("total", "6nd"), ("nonembedding", "6nd"), ("nonembedding", "kaplan")]
)
def test_the_pair_is_counted_as_approach_3_counts(
    inputs: ReportInputs, params: str, flops: str
) -> None:
    inputs = counted_by(inputs, params=params, flops=flops)
    estimate = inputs.fitted["parametric"]
    finals = inputs.losses.filter((pl.col("role") == "check") & pl.col("is_final"))
    expected = {row["run"]: row for row in finals.iter_rows(named=True)}
    sizes = check_sizes(inputs)
    assert len(sizes) == 2
    for run in sizes:
        row = expected[run.runs[0]]
        assert (run.params, run.flops) == (row[f"params_{params}"], row[f"flops_{flops}"])
        predicted = estimate.loss(row[f"params_{params}"], row["tokens"])
        assert run.predicted == pytest.approx(float(predicted))
        assert run.predicted_ends is not None
    pair = check_pair(inputs)
    assert pair is not None
    losses, optima = pair.losses, pair.optima
    assert losses.data_columns[1:4] == (f"params_{params}", "tokens", f"flops_{flops}")
    assert ("Counted here" in losses.caption) == ((params, flops) != ("total", "6nd"))
    shown = {row[0]: row for row in optima.data}
    c = shown["parametric"][1]
    assert f"of {power(float(c))} FLOPs each" in pair.opening
    assert shown["parametric"][2] == pytest.approx(float(estimate.params_opt(c)))
    assert pair.whose_loss.startswith("approach 3")
    assert "thin" not in pair.drawn
    same = {a for a, e in inputs.fitted.items() if e.counting.params == params}
    assert set(shown) == same
    # approaches that count C otherwise are asked at the pair's C as they count it
    for approach, at in ((row[0], row[1]) for row in optima.data):
        own = inputs.fitted[approach].counting.flops
        assert at == pytest.approx(float(finals[f"flops_{own}"].median()))


def test_the_pair_lies_as_far_out_as_its_counting_says(inputs: ReportInputs) -> None:
    fit = inputs.losses.filter(pl.col("role") == "fit")
    pair = check_pair(inputs)
    assert pair is not None
    ratio = example_sweep.CHECK_BUDGET / float(fit["flops_6nd"].max())
    assert pair.decades == fixed(float(pl.Series([ratio]).log10()[0]), 2)


def judged(inputs: ReportInputs, p_value: float) -> ReportInputs:
    """Give the same sweep, not forecast, where the form of approach 3's law has this p-value."""
    estimate, forecasts = inputs.fitted["parametric"], inputs.forecasts
    diagnostics = estimate.diagnostics
    assert isinstance(diagnostics, ParametricDiagnostics)
    assert isinstance(forecasts, Forecasts)
    joint = diagnostics.misfit.joint.model_copy(update={"p_value": p_value})
    misfit = diagnostics.misfit.model_copy(update={"joint": joint})
    told = estimate.model_copy(
        update={"diagnostics": diagnostics.model_copy(update={"misfit": misfit})}
    )
    return alone(
        replace(
            inputs,
            estimates={**inputs.estimates, "parametric": told},
            forecasts=forecasts.model_copy(update={"cuts": []}),
        )
    )


@pytest.fixture(scope="module")
def doubted(inputs: ReportInputs) -> ReportInputs:
    return judged(inputs, 1e-9)


def test_losses_of_a_rejected_law_stand_with_the_mark(doubted: ReportInputs) -> None:
    pair = check_pair(doubted)
    assert pair is not None
    for row in pair.losses.rows:
        assert row[6].endswith(UNSURE)
        assert UNSURE not in row[5]  # what was measured is not in doubt
    assert list(pair.losses.notes) == [DOUBTED]
    marked = {row[0]: UNSURE in row[3] for row in pair.optima.rows}
    assert marked[NAMES["parametric"]]
    assert not all(marked.values())
    assert list(pair.optima.notes) == [DOUBTED]


def test_no_interval_is_spoken_of_where_none_is_given(inputs: ReportInputs) -> None:
    inputs = alone(inputs)
    given = check_pair(inputs)
    assert given is not None
    assert given.judged == 2
    assert "the interval is without the noise of a single run" in given.losses.caption
    assert "within the 95 % intervals of approach 3" in findings(inputs)["check_pair"]
    draws = inputs.draws["parametric"]
    none = draws.where(np.zeros(len(draws), dtype=bool))
    without = replace(inputs, draws={**inputs.draws, "parametric": none})
    pair = check_pair(without)
    assert pair is not None
    assert pair.judged == 0
    assert "no interval for the loss there that covers" in pair.losses.caption
    assert "interval" not in findings(without)["check_pair"]


def test_losses_of_a_law_that_is_not_rejected_stand_without_it(inputs: ReportInputs) -> None:
    pair = check_pair(judged(inputs, 0.5))
    assert pair is not None
    assert not any(UNSURE in cell for row in pair.losses.rows for cell in row)
    assert not pair.losses.notes


def test_gophers_losses_are_this_sweeps_only_where_it_says_something(doubted: ReportInputs) -> None:
    assert "This sweep" not in " ".join(row[0] for row in loss_table(doubted).rows)
    estimate = doubted.fitted["parametric"]
    large = estimate.model_copy(update={"flops_range": (1e18, 1e20)})
    near = replace(doubted, estimates={**doubted.estimates, "parametric": large})
    *_, own = loss_table(near).rows
    assert "This sweep" in own[0]
    assert all(cell.endswith(UNSURE) for cell in own[1:4])
    assert list(loss_table(near).notes) == [DOUBTED]


def test_a_sweep_without_a_pair_has_no_section_for_it(rendered: Rendered, bare: Rendered) -> None:
    """A heading stood over one line that said that there is nothing."""
    assert {"check", "fig-check-pair", "check-curves"} <= set(rendered.page.ids)
    assert not {"check", "fig-check-pair"} & set(bare.page.ids)
    assert "No check pair: Nothing for check_pair." in " ".join(" ".join(bare.page.words).split())

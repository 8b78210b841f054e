"""What is drawn is what the estimate says, however N and C are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop.approach import NAMES
from isoflop.approaches.fit_approach import fit_approach
from isoflop.config.approaches import ApproachesSettings
from isoflop.escape import identifier
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import NoMixture
from isoflop.figures import (
    allocations,
    bend,
    check_curves,
    check_pair,
    exponents,
    parametric_fit,
    predictions,
    residuals,
    training_curves,
)
from isoflop.numbers import short
from tests import example_sweep
from tests.figures.conftest import drawn
from tests.tiers import QUICK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from numpy.typing import NDArray

    from isoflop.drawing import style
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

COUNTINGS = (
    ("total", "6nd"),
    ("nonembedding", "kaplan"),
    *(() if QUICK else (("nonembedding", "6nd"),)),
)


@pytest.fixture(scope="module")
def example(inputs: FigureInputs) -> FigureInputs:
    """Give a sweep whose embeddings weigh the more the smaller a model is, as they do."""
    total = pl.col("params_total")
    body = total - 25.0 * total.sqrt()
    losses = inputs.losses.with_columns(
        params_nonembedding=body, flops_kaplan=pl.col("flops_6nd") * body / total
    )
    return replace(inputs, losses=losses)


@pytest.fixture(scope="module", params=COUNTINGS, ids=" ".join)
def counted(request: pytest.FixtureRequest, example: FigureInputs) -> FigureInputs:
    """Give the sweep with approaches 1 and 3 fitted to it in earnest, by one counting."""
    params, flops = request.param
    settings = ApproachesSettings.model_validate(
        {
            "counting": {"params": params, "flops": flops},
            "bootstrap": {"draws": 60, "interval": "percentile"},
            "parametric": {"starts": "coarse"},
        }
    )
    found: dict[str, Any] = {}
    draws: dict[str, Any] = {}
    for approach in ("envelope", "parametric"):
        found[approach], draws[approach] = fit_approach(
            example.losses, approach, settings, sweep="s",
            provenance=example_sweep.PROVENANCE,
        )  # fmt: skip
        assert isinstance(found[approach], Estimate)
    return replace(example, estimates=found, draws=draws)


def artist(figure: style.Drawn, gid: str) -> Any:
    """Find the one artist, or the first of several panels, with an id."""

    def has_it(one: Artist) -> bool:
        return one.get_gid() == gid

    found = figure.figure.findobj(has_it)
    assert found, gid
    return found[0]


def line(figure: style.Drawn, gid: str) -> tuple[Floats, Floats]:
    x, y = artist(figure, gid).get_data()
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def slope(x: Floats, y: Floats) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_the_efficient_frontier_is_that_of_the_text(counted: FigureInputs) -> None:
    estimate = counted.fitted["parametric"]
    figure = drawn(parametric_fit.draw, counted)
    x, y = line(figure, "frontier")
    assert slope(x, y) == pytest.approx(estimate.a.value, abs=1e-9)
    far = estimate.optima[-1]
    extrapolated = y[-1] * (far.flops / x[-1]) ** slope(x, y)
    assert extrapolated == pytest.approx(far.params.value, rel=1e-6)
    assert f"slope {estimate.a.value:.3f}" in figure.alt


def test_a_slice_has_its_minimum_where_the_estimate_has_it(counted: FigureInputs) -> None:
    estimate = counted.fitted["parametric"]
    figure = drawn(parametric_fit.draw, counted)
    budget = example_sweep.BUDGETS[-1]
    n, loss = line(figure, f"slice-{budget:.3g}")
    ends = counted.points(estimate).filter(budget=budget)
    flops = float(np.median(ends["flops"].to_numpy()))
    step = np.log(n[1] / n[0])
    best = float(estimate.params_opt(flops))
    assert abs(np.log(n[loss.argmin()] / best)) <= step
    assert loss.min() == pytest.approx(float(estimate.loss_opt(flops)), abs=2e-4)


@pytest.mark.parametrize("approach", ["envelope", "parametric"])
def test_bands_are_quantiles_of_the_draws_by_their_own_counting(
    counted: FigureInputs, approach: str
) -> None:
    estimate = counted.fitted[approach]
    figure = drawn(predictions.draw, counted)
    x, y = line(figure, f"law-{approach}-params")
    np.testing.assert_allclose(y, estimate.params_opt(x), rtol=1e-12)
    ends = band(artist(figure, f"law-{approach}-params-band"), x[-1])
    drawn_there = counted.draws[approach]
    flops = np.array([x[-1]])
    optima = estimate.law.optima(estimate.rows(drawn_there), flops)
    expected = np.nanquantile(optima.params[:, 0], [0.025, 0.975])
    np.testing.assert_allclose(ends, expected, rtol=0.05)
    assert ends[0] < y[-1] < ends[1]


@pytest.mark.parametrize("approach", ["envelope", "parametric"])
def test_tokens_of_every_approach_stand_beside_its_parameters(
    counted: FigureInputs, approach: str
) -> None:
    estimate = counted.fitted[approach]
    figure = drawn(predictions.draw, counted)
    panels = {}
    for axis, law in (("params", estimate.params_opt), ("tokens", estimate.tokens_opt)):
        within = artist(figure, f"law-{approach}-{axis}")
        panels[axis] = within.axes
        x, y = (np.asarray(part, dtype=np.float64) for part in within.get_data())
        assert (x[0], x[-1]) == tuple(estimate.flops_range)
        np.testing.assert_allclose(y, law(x), rtol=1e-12)
        x, y = line(figure, f"law-{approach}-{axis}-marks")
        np.testing.assert_allclose(y, law(x), rtol=1e-12)
    assert panels["params"] is not panels["tokens"]
    rows = estimate.rows(counted.draws[approach])
    x, _ = line(figure, f"law-{approach}-tokens-beyond")
    ends = band(artist(figure, f"law-{approach}-tokens-band"), x[-1])
    optima = estimate.law.optima(rows, np.array([x[-1]]))
    expected = np.nanquantile(optima.tokens[:, 0], [0.025, 0.975])
    np.testing.assert_allclose(ends, expected, rtol=1e-6)


def test_check_runs_are_drawn_along_their_training(counted: FigureInputs) -> None:
    counting = next(iter(counted.fitted.values())).counting
    losses = counted.losses.filter(role="check")
    assert losses.height > losses["run"].n_unique()
    figure = drawn(check_curves.draw, counted)
    columns = {"flops": f"flops_{counting.flops}", "tokens": "tokens"}
    for run in losses["run"].unique():
        curve = losses.filter(run=run).sort("tokens")
        for shown, column in columns.items():
            x, y = line(figure, f"run-{identifier(run)}-{shown}")
            np.testing.assert_array_equal(x, curve[column].to_numpy())
            np.testing.assert_array_equal(y, curve["loss"].to_numpy())
            # the end of every run is in the picture
            low, high = artist(figure, f"run-{identifier(run)}-{shown}").axes.get_ylim()
            assert low < y[-1] < high


def test_the_bend_is_the_one_of_the_estimate(counted: FigureInputs) -> None:
    estimate = counted.fitted["envelope"]
    found = estimate.curvature
    assert found is not None
    assert found.per_decade is not None
    figure = drawn(bend.draw, counted)
    _, straight = line(figure, "law-envelope-straight")
    assert list(straight) == [estimate.a.value] * 2
    x, y = line(figure, "law-envelope-bent")
    decades = np.log10(x[-1] / x[0])
    assert (y[-1] - y[0]) / decades == pytest.approx(found.per_decade.value)
    # the band is as wide, and has no width where the points have their middle
    bent = artist(figure, "law-envelope-bent-band")
    for at in (x[0], x[-1]):
        low, high = band(bent, at)
        middle = np.log10(bend.measured(estimate)).mean()
        ends = found.per_decade.intervals["0.95"]
        reach = abs(np.log10(at) - middle)
        assert high - low == pytest.approx(reach * (ends[1] - ends[0]))
    thirds = [third for third in found.thirds or [] if third.a is not None]
    marks = figure.figure.findobj(lambda one: one.get_gid() == "law-envelope-third")
    shown = [(*map(float, mark.get_xdata()), float(mark.get_ydata()[0])) for mark in marks]
    assert shown == [(*third.flops, third.a.value) for third in thirds if third.a is not None]


def test_the_band_of_tokens_is_one_of_tokens(counted: FigureInputs) -> None:
    estimate = counted.fitted["envelope"]
    figure = drawn(training_curves.draw, counted)
    x, y = line(figure, "law-envelope-tokens")
    np.testing.assert_allclose(y, estimate.tokens_opt(x), rtol=1e-12)
    ends = band(artist(figure, "law-envelope-tokens-band"), x[-1])
    assert ends[0] < y[-1] < ends[1]


def band(polygon: Any, at: float) -> tuple[float, float]:
    """Give the ends of a filled band at the drawn place nearest to one."""
    (path,) = polygon.get_paths()
    x, y = path.vertices.T
    near = np.abs(np.log(x / at)) <= np.abs(np.log(x / at)).min() + 1e-12
    return float(y[near].min()), float(y[near].max())


def test_the_check_pair_is_predicted_by_the_counting_of_the_fit(counted: FigureInputs) -> None:
    estimate = counted.fitted["parametric"]
    alone = NoMixture.model_construct(refused="One law.")
    figure = drawn(check_pair.draw, replace(counted, mixture=alone))
    n, loss = line(figure, "predicted")
    pair = counted.losses.filter(role="check", is_final=True)
    flops = float(pair[f"flops_{estimate.counting.flops}"].median())
    place = loss.argmin()
    assert 0 < place < len(n) - 1
    assert abs(np.log(n[place] / float(estimate.params_opt(flops)))) <= np.log(n[1] / n[0])


@pytest.mark.parametrize("axis", ["params", "tokens"])
def test_each_band_is_of_its_own_axis(counted: FigureInputs, axis: str) -> None:
    """A band of D drawn from the draws of N was once no test's business."""
    estimate = counted.fitted["envelope"]
    figure = drawn(training_curves.draw, counted)
    (path,) = artist(figure, f"law-envelope-{axis}-band").get_paths()
    x, y = path.vertices.T
    flops = np.unique(x)
    rows = estimate.rows(counted.draws["envelope"])
    optima = getattr(estimate.law.optima(rows, flops), axis)
    low, high = np.nanquantile(optima, [0.025, 0.975], axis=0)
    for place, lower, upper in zip(flops, low, high, strict=True):
        ends = y[x == place]
        # the first and last vertices close the outline at one end alone
        assert set(np.round(np.log(ends), 9)) <= set(np.round(np.log([lower, upper]), 9))
    assert len(flops) == 60


def test_the_forest_shows_the_estimates_and_their_intervals(counted: FigureInputs) -> None:
    figure = drawn(exponents.draw, counted)
    for approach, estimate in counted.fitted.items():
        for name, exponent in (("a", estimate.a), ("b", estimate.b)):
            assert line(figure, f"{name}-{approach}")[0] == [exponent.value]
            for level, ends in exponent.intervals.items():
                gid = f"{name}-{approach}-{100 * float(level):.0f}"
                assert tuple(line(figure, gid)[0]) == ends
    assert line(figure, "a-kaplan-kaplan")[0] == [0.73]


def near(inputs: FigureInputs) -> FigureInputs:
    """Give the same estimates as of a sweep that ends two decades below Gopher's compute."""
    close = {
        name: estimate.model_copy(update={"flops_range": (1e18, inputs.gopher_budget / 100.0)})
        for name, estimate in inputs.fitted.items()
    }
    return replace(inputs, estimates={**inputs.estimates, **close})


def test_nothing_is_drawn_where_the_sweep_does_not_say(counted: FigureInputs) -> None:
    """Ten decades beyond the data the caption says so, and so must the picture."""
    assert min(o.decades_beyond_data for o in counted.optima(counted.gopher_budget).values()) > 6
    figure = drawn(allocations.draw, counted)
    assert "This sweep" not in figure.alt
    assert not figure.figure.findobj(lambda one: "This-sweep" in (one.get_gid() or ""))
    top = max(estimate.flops_range[1] for estimate in counted.fitted.values())
    beyond = drawn(predictions.draw, counted).figure.findobj(
        lambda one: str(one.get_gid()).startswith("law-") and "params" in one.get_gid()
    )
    ends = [
        float(
            max(one.get_xdata())
            if hasattr(one, "get_xdata")
            else one.get_paths()[0].vertices[:, 0].max()
        )
        for one in beyond
    ]
    assert max(ends) == pytest.approx(1e6 * top)
    for estimate in near(counted).fitted.values():
        (path,) = [
            one
            for one in drawn(predictions.draw, near(counted)).figure.axes[2].lines
            if one.get_gid() == f"law-{estimate.approach}-params-beyond"
        ]
        assert max(path.get_xdata()) > counted.gopher_budget


def test_allocations_are_the_optima_at_gophers_compute(counted: FigureInputs) -> None:
    reached = near(counted)
    figure = drawn(allocations.draw, reached)
    for approach, optimum in reached.optima(counted.gopher_budget).items():
        gid = f"law-This-sweep--{NAMES[approach].replace(' ', '-')}"
        assert line(figure, gid)[0] == [optimum.params.value]
        assert tuple(line(figure, f"{gid}-95")[0]) == optimum.params.intervals["0.95"]
        value = artist(figure, f"value-This-sweep--{NAMES[approach].replace(' ', '-')}")
        assert value.get_text() == short(optimum.params.value)
        expected = float(counted.fitted[approach].params_opt(counted.gopher_budget))
        assert optimum.params.value == pytest.approx(expected, rel=1e-9)


def test_residuals_are_those_of_the_fit(counted: FigureInputs) -> None:
    estimate = counted.fitted["parametric"]
    figure = drawn(residuals.draw, counted)
    points = counted.points(estimate)
    for column in ("params", "tokens", "flops"):
        offsets = artist(figure, f"residuals-parametric-{column}").get_offsets()
        shown = {(float(x), round(float(y), 6)) for x, y in offsets}
        fitted = estimate.loss(points["params"].to_numpy(), points["tokens"].to_numpy())
        assert fitted is not None
        per_cent = 100.0 * (points["loss"].to_numpy() / fitted - 1.0)
        expected = {
            (float(x), round(float(y), 6)) for x, y in zip(points[column], per_cent, strict=True)
        }
        assert shown == expected


def test_means_of_residuals_are_those_of_neighbours(counted: FigureInputs) -> None:
    own = counted.fitted["parametric"].diagnostics.residuals
    figure = drawn(residuals.draw, counted)
    per_cent = 100.0 * np.expm1(np.array(own.log_residual))
    for column in ("params", "tokens", "flops"):
        means = residuals.binned(np.array(getattr(own, column)), per_cent)
        x, y = line(figure, f"means-parametric-{column}")
        assert 3 <= len(x) <= residuals.MOST_BINS
        assert list(x) == pytest.approx(means.x)
        assert list(y) == pytest.approx(means.mean)


def test_points_of_one_budget_are_not_parted() -> None:
    flops = np.repeat([1e11, 1e12, 1e13, 1e14], 9)
    values = np.random.default_rng(0).normal(size=36)
    means = residuals.binned(flops, values)
    assert means.x == pytest.approx(np.unique(flops))
    assert means.mean == pytest.approx(values.reshape(4, 9).mean(axis=1))
    assert means.error == pytest.approx(values.reshape(4, 9).std(axis=1, ddof=1) / 3.0)


def test_an_arch_shows_in_the_means() -> None:
    x = np.geomspace(1.0, 100.0, 60)
    arch = (np.log10(x) - 1.0) ** 2 - 1.0 / 3.0
    means = residuals.binned(x, arch)
    assert len(means.x) == residuals.MOST_BINS
    assert means.mean[0] > 0.3
    assert means.mean[-1] > 0.3
    assert means.mean[3:5].max() < -0.25
    parts = arch.reshape(8, -1) if len(arch) % 8 == 0 else np.array_split(arch, 8)
    assert means.mean == pytest.approx([part.mean() for part in parts], abs=0.05)
    alone = residuals.binned(np.ones(4), np.array([1.0, 2.0, 3.0, 4.0]))
    assert alone.mean == pytest.approx([2.5])
    assert alone.error == pytest.approx([np.std([1, 2, 3, 4], ddof=1) / 2.0])

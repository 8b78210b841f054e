"""What is drawn is what the estimate says, however N and C are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop.approach import NAMES
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.mix_laws import mix_laws
from isoflop.config.approaches import ApproachesSettings
from isoflop.drawing import style
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.mixture import Mixture, NoMixture
from isoflop.figures import (
    allocations,
    answer,
    bend,
    check_curves,
    check_pair,
    design,
    exponents,
    forecast,
    isoflop_profiles,
    laws,
    parametric_fit,
    predictions,
    residuals,
    specifications,
    training_curves,
)
from isoflop.numbers import short
from tests import example_sweep
from tests.figures.conftest import drawn
from tests.tiers import QUICK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from numpy.typing import NDArray

    from isoflop.estimates.forecasts import Prediction
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

COUNTINGS = (
    ("total", "6nd"),
    ("nonembedding", "kaplan"),
    *(() if QUICK else (("nonembedding", "6nd"),)),
)


@pytest.fixture(scope="module")
def example(inputs: FigureInputs) -> FigureInputs:
    """Give a sweep whose embeddings weigh the more the smaller a model is, as they do.

    What tokens cost is a power of either count: under another cost no law of the loss is fitted.
    """
    total = pl.col("params_total")
    body = 0.5 * total * (total / 1e5) ** 0.15
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
    drawn = {name: Draws.of(table) for name, table in draws.items()}
    return replace(example, estimates=found, draws=drawn)


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
    n, loss = line(figure, f"slice-{style.in_full(budget)}")
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
        np.testing.assert_allclose((x[0], x[-1]), estimate.frontier_range, rtol=1e-12)
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
            (gid,) = (
                gid
                for gid, runs in style.named_runs(figure.figure).items()
                if runs == (run,) and gid.endswith(shown)
            )
            x, y = line(figure, gid)
            np.testing.assert_array_equal(x, curve[column].to_numpy())
            np.testing.assert_array_equal(y, curve["loss"].to_numpy())
            # the end of every run is in the picture
            low, high = artist(figure, gid).axes.get_ylim()
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
    assert flops[[0, -1]] == pytest.approx(
        [estimate.frontier_range[0], 10**0.5 * estimate.flops_range[1]], rel=1e-9
    )


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
        name: estimate.model_copy(
            update={"flops_range": (1e18, inputs.reference.gopher_budget / 100.0)}
        )
        for name, estimate in inputs.fitted.items()
    }
    return replace(inputs, estimates={**inputs.estimates, **close})


def test_nothing_is_drawn_where_the_sweep_does_not_say(counted: FigureInputs) -> None:
    """Ten decades beyond the data the caption says so, and so must the picture."""
    assert (
        min(o.decades_beyond_data for o in counted.optima(counted.reference.gopher_budget).values())
        > 6
    )
    figure = drawn(allocations.draw, counted)
    assert "This sweep" not in figure.alt
    assert not figure.figure.findobj(lambda one: "This-sweep" in (one.get_gid() or ""))
    top = max(answer.flops_range[1] for answer in counted.answers.values())
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
        assert max(path.get_xdata()) > counted.reference.gopher_budget


def test_allocations_are_the_optima_at_gophers_compute(counted: FigureInputs) -> None:
    reached = near(counted)
    figure = drawn(allocations.draw, reached)
    for approach, optimum in reached.optima(counted.reference.gopher_budget).items():
        gid = f"law-This-sweep--{NAMES[approach].replace(' ', '-')}"
        assert line(figure, gid)[0] == [optimum.params.value]
        assert tuple(line(figure, f"{gid}-95")[0]) == optimum.params.intervals["0.95"]
        value = artist(figure, f"value-This-sweep--{NAMES[approach].replace(' ', '-')}")
        assert value.get_text() == short(optimum.params.value)
        expected = float(counted.fitted[approach].params_opt(counted.reference.gopher_budget))
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


VALLEYS = (("total", "6nd"), ("nonembedding", "kaplan"))
FEW = {
    "bootstrap": {"draws": 30, "interval": "percentile"},
    "parametric": {"starts": "coarse"},
    "mixture": {"laws": ["parametric", "nested"]},
}


@pytest.fixture(scope="module", params=VALLEYS, ids=" ".join)
def valleys(request: pytest.FixtureRequest, inputs: FigureInputs) -> FigureInputs:
    """Give final losses at budgets of one counting, which the other would not take for budgets.

    Approaches 2 and 3 are fitted to them in earnest.
    """
    params, flops = request.param
    settings = ApproachesSettings.model_validate(
        FEW | {"counting": {"params": params, "flops": flops}}
    )
    total = pl.col("params_total")
    losses = inputs.losses.filter((pl.col("role") == "fit") & pl.col("is_final")).with_columns(
        params_nonembedding=total / (1.0 + 25.0 / total.sqrt())
    )
    # planned for a budget, and a little off it
    off = pl.Series(np.exp(np.random.default_rng(1).normal(0.0, 0.01, losses.height)))
    spent = off * losses["budget"]
    losses = losses.with_columns(tokens=spent / (6.0 * pl.col(f"params_{params}")))
    n, d = (losses[column].to_numpy() for column in (f"params_{params}", "tokens"))
    noise = np.random.default_rng(0).normal(0.0, 0.003, len(n))
    losses = losses.with_columns(
        flops_6nd=6.0 * total * pl.col("tokens"),
        flops_kaplan=6.0 * pl.col("params_nonembedding") * pl.col("tokens"),
        loss=pl.Series(example_sweep.LAW.loss(n, d) * np.exp(noise)),
    )
    found: dict[Any, Any] = {}
    draws: dict[Any, Any] = {}
    for approach in ("profiles", "parametric"):
        found[approach], draws[approach] = fit_approach(
            losses, approach, settings, sweep="s", provenance=example_sweep.PROVENANCE
        )
        assert isinstance(found[approach], Estimate), found[approach]
    alone = NoMixture.model_construct(refused="One law.")
    drawn = {name: Draws.of(table) for name, table in draws.items()}
    return replace(inputs, losses=losses, estimates=found, draws=drawn, mixture=alone)


@pytest.fixture(scope="module")
def ahead(valleys: FigureInputs) -> FigureInputs:
    """Give the same with the nested law fitted, and mixed with approach 3."""
    law = valleys.fitted["parametric"]
    settings = ApproachesSettings.model_validate(FEW | {"counting": law.counting.model_dump()})
    nested, of_nested = fit_approach(
        valleys.losses, "nested", settings, sweep="s", provenance=example_sweep.PROVENANCE
    )
    of_set = {"parametric": law, "nested": nested}
    draws = {"parametric": valleys.draws["parametric"], "nested": Draws.of(of_nested)}
    mixture, mixture_draws = mix_laws(
        of_set, draws, example_sweep.no_forecasts(), settings, sweep="s",
        provenance=example_sweep.PROVENANCE,
    )  # fmt: skip
    assert isinstance(mixture, Mixture)
    assert [member.approach for member in mixture.mixed] == ["parametric", "nested"]
    return replace(
        valleys,
        laws=of_set,
        law_draws=draws,
        mixture=mixture,
        mixture_draws=Draws.of(mixture_draws),
    )


def test_minima_stand_at_their_budgets_on_the_line_through_them(valleys: FigureInputs) -> None:
    estimate = valleys.fitted["profiles"]
    diagnostics: Any = estimate.diagnostics
    figure = drawn(isoflop_profiles.draw, valleys)
    points = valleys.points(estimate)
    used = [p for p in diagnostics.profiles if p.accepted]
    assert len(used) == len(example_sweep.BUDGETS)
    for profile in used:
        of_budget = points.filter(budget=profile.budget)
        x, y = line(figure, f"budget-{style.in_full(profile.budget)}")
        assert sorted(x) == pytest.approx(of_budget["params"].sort().to_list())
        assert set(y) <= set(of_budget["loss"])
        minimum = profile.minimum
        assert line(figure, f"minimum-{style.in_full(profile.budget)}")[0] == [minimum.params]
        flops = {}
        for axis in ("params", "tokens"):
            (flops[axis],), (shown,) = line(
                figure, f"minimum-{style.in_full(profile.budget)}-{axis}"
            )
            assert shown == getattr(minimum, axis)
        assert flops == dict.fromkeys(("params", "tokens"), profile.budget)
        # N and D have their minima apart, and cost what was planned by the estimate's own counting
        cost = 6.0 * minimum.params * minimum.tokens
        assert cost == pytest.approx(profile.budget, rel=0.02)
    for axis, law in (("params", estimate.params_opt), ("tokens", estimate.tokens_opt)):
        x, y = line(figure, f"law-profiles-{axis}")
        np.testing.assert_allclose(y, law(x), rtol=1e-12)


def the_answer_is(shown: FigureInputs) -> None:
    """Compare every line and mark of the answer's figure with what is recommended."""
    chosen = shown.recommended
    assert chosen is not None
    figure = drawn(answer.draw, shown)
    x, y = line(figure, f"law-{chosen.key}-ratio")
    optima = optima_at(chosen.answer, shown.draws_of(chosen.answer), [float(c) for c in x])
    np.testing.assert_allclose(y, [o.tokens_per_param.value for o in optima], rtol=1e-12)
    for approach, estimate in shown.fitted.items():
        if approach != chosen.key:
            x, y = line(figure, f"law-{approach}-ratio")
            ratio = estimate.tokens_opt(x) / estimate.params_opt(x)
            np.testing.assert_allclose(y, ratio, rtol=1e-12)
    x, y = line(figure, "minima")
    diagnostics: Any = shown.fitted["profiles"].diagnostics
    minima = [profile.minimum for profile in diagnostics.profiles]
    np.testing.assert_allclose(x, [6.0 * m.params * m.tokens for m in minima], rtol=0.02)
    np.testing.assert_allclose(y, [m.tokens / m.params for m in minima], rtol=1e-12)


def test_the_answer_is_told_by_its_counting(valleys: FigureInputs) -> None:
    the_answer_is(valleys)


def test_a_mixture_is_told_by_one_counting(ahead: FigureInputs) -> None:
    """Tokens per parameter of another N would stand too high, beside lines that do not."""
    the_answer_is(ahead)
    law = ahead.fitted["parametric"]
    other = {"total": "nonembedding", "nonembedding": "total"}[law.counting.params]
    foreign = law.model_copy(update={"counting": law.counting.model_copy(update={"params": other})})
    mixed = drawn(answer.draw, replace(ahead, estimates={**ahead.estimates, "parametric": foreign}))
    ids = {one.get_gid() for one in mixed.figure.findobj()}
    assert "law-profiles-ratio" in ids
    assert "law-parametric-ratio" not in ids


def test_losses_ahead_are_those_of_each_law_at_its_optimum(ahead: FigureInputs) -> None:
    mixture = ahead.mixture
    assert isinstance(mixture, Mixture)
    figure = drawn(laws.draw, ahead)
    parts = mixture.parts(ahead.mixture_draws)
    for approach, estimate in ahead.laws.items():
        assert isinstance(estimate, Estimate)
        x, y = line(figure, f"loss-{approach}")
        assert x[0] == pytest.approx(mixture.flops_range[0])
        assert x[-1] == pytest.approx(1e3 * mixture.flops_range[1])
        # what the law says of the N and D that C buys by its own counting
        n, d = estimate.params_opt(x), estimate.tokens_opt(x)
        np.testing.assert_allclose(6.0 * n * d, x, rtol=1e-6)
        ahead = np.concatenate([np.log(part.law.optima(part.rows, x).loss) for part in parts])
        own = estimate.loss(n, d)
        assert own is not None
        expected = 100.0 * np.expm1(np.log(own) - np.median(ahead, axis=0))
        np.testing.assert_allclose(y, expected, atol=1e-4)
        assert f"{NAMES[approach]} {y[-1]:+.1f} %" in figure.alt


def test_the_plane_has_the_nested_laws_draws_and_every_law(ahead: FigureInputs) -> None:
    nested, parametric = ahead.laws["nested"], ahead.laws["parametric"]
    assert isinstance(nested, Estimate)
    assert isinstance(parametric, Estimate)
    figure = drawn(laws.draw, ahead)
    table = ahead.law_draws["nested"]
    table = table.where(table.missing("refused"))
    shown = artist(figure, "plane-draws").get_offsets()
    np.testing.assert_allclose(shown, table.numbers(["E", "gamma"]))
    for law, x, y in (
        ("nested", nested.parameters["E"].value, nested.parameters["gamma"].value),
        ("parametric", parametric.parameters["E"].value, 1.0),
    ):
        assert line(figure, f"plane-{law}") == ([x], [y])
    low, high = np.quantile(table.columns["gamma"], [0.025, 0.975])
    assert f"gamma between {low:.2f} and {high:.2f} (95 %" in figure.alt


def test_errors_of_forecasts_stand_at_the_c_that_they_were_counted_by(
    inputs: FigureInputs,
) -> None:
    forecasts = inputs.forecasts
    assert isinstance(forecasts, Forecasts)

    def halved(predictions: list[Prediction]) -> list[Prediction]:
        return [one.model_copy(update={"flops": 0.5 * one.flops}) for one in predictions]

    cuts = [
        cut.model_copy(
            update={
                "forecasts": [
                    found.model_copy(
                        update={
                            "scores": [
                                score.model_copy(update={"predictions": halved(score.predictions)})
                                for score in found.scores
                            ]
                        }
                    )
                    for found in cut.forecasts
                ]
            }
        )
        for cut in forecasts.cuts
    ]
    places, errors = {}, {}
    by_half = replace(inputs, forecasts=forecasts.model_copy(update={"cuts": cuts}))
    for name, given in (("6nd", inputs), ("half", by_half)):
        marks = drawn(forecast.draw, given).figure.findobj(
            lambda one: one.get_gid() == "error-parametric"
        )
        places[name] = [float(mark.get_xdata()[0]) for mark in marks]
        errors[name] = [float(mark.get_ydata()[0]) for mark in marks]
    assert len(places["6nd"]) > 5
    np.testing.assert_allclose(places["half"], 0.5 * np.array(places["6nd"]), rtol=1e-9)
    assert errors["half"] == errors["6nd"]


@pytest.mark.parametrize("counting", VALLEYS, ids=" ".join)
def test_what_was_planned_is_drawn_as_it_was_planned(
    counting: tuple[str, str], inputs: FigureInputs
) -> None:
    """Total N and D of the runs, and specifications with their own countings: whatever is fitted.

    A counting of the estimates moves nothing here.
    """
    params, flops = counting
    told = {
        name: one.model_copy(
            update={"counting": one.counting.model_copy(update={"params": params, "flops": flops})}
        )
        for name, one in inputs.fitted.items()
    }
    given = replace(inputs, estimates=told)
    runs = inputs.runs.filter(role="check")
    shown = artist(drawn(design.draw, given), "runs-check").get_offsets()
    assert {(float(x), float(y)) for x, y in shown} == set(
        runs.select("tokens", "params_total").iter_rows()
    )
    marks = artist(drawn(specifications.draw, given), "estimates").get_offsets()
    table = inputs.specifications.drop_nulls("a")
    assert table["params"].n_unique() > 1
    assert sorted(marks[:, 1]) == table["a"].sort().to_list()

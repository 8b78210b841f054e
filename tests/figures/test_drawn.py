"""What each figure draws is what its inputs say: one artist a figure, by its value.

The figures that draw laws are compared with the estimate under three countings in
test_counting.py.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from matplotlib import rc_context
from matplotlib.text import Text

from isoflop.drawing import style
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.announced import AnnouncedLoss, AnnouncedRun, Announcement
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.off_frontier import intervals_of_losses, predicts_losses
from isoflop.figures import (
    answer,
    bend,
    check_curves,
    check_pair,
    design,
    forecast,
    isoflop_profiles,
    laws,
    predictions,
    specifications,
    training_curves,
)
from tests.figures.conftest import drawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs


def artists(draw: Callable[[FigureInputs], Any], inputs: FigureInputs, gid: str) -> list[Any]:
    matching = drawn(draw, inputs).figure.findobj(lambda one: one.get_gid() == gid)
    assert matching, gid
    return matching


def test_the_answer_is_the_recommended_one(inputs: FigureInputs) -> None:
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    (line,) = artists(answer.draw, inputs, "law-mixture-ratio")
    (band,) = artists(answer.draw, inputs, "band")
    flops = [float(c) for c in line.get_xdata()]
    optima = optima_at(mixture, inputs.mixture_draws, flops)
    expected = [one.tokens_per_param.value for one in optima]
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    corners = {(float(x), float(y)) for x, y in band.get_paths()[0].vertices}
    for one in optima:
        for end in one.tokens_per_param.intervals["0.95"]:
            assert (one.flops, end) in corners
    marks = artists(answer.draw, inputs, "answer")
    shown = {float(mark.get_ydata()[0]) for mark in marks}
    beyond = [one for one in mixture.optima if one.decades_beyond_data > 0.05]
    assert shown == {one.tokens_per_param.value for one in beyond}
    strokes = {tuple(stroke.get_ydata()) for stroke in artists(answer.draw, inputs, "interval")}
    assert strokes == {
        ends for one in beyond if (ends := one.tokens_per_param.intervals.get("0.95")) is not None
    }


def test_kaplans_line_is_his_allocation_at_6nd(inputs: FigureInputs) -> None:
    (kaplan,) = artists(answer.draw, inputs, "published-kaplan")
    places = np.log(np.asarray(kaplan.get_xdata()))
    budgets = np.exp(places[[10, -10]])
    params = [inputs.reference.kaplan.params_opt(c, convention="minimum") for c in budgets]
    drawn_there = np.asarray(kaplan.get_ydata())[[10, -10]]
    # C = 6ND: D / N is C / (6 N^2)
    tokens = budgets / (6.0 * np.array(params))
    np.testing.assert_allclose(drawn_there, tokens / params, rtol=1e-9)


def test_a_frontier_has_a_band_where_the_tables_have_an_interval(inputs: FigureInputs) -> None:
    """Kaplan's fit had a band of its draws, which all lay on one side of it."""
    figure = drawn(predictions.draw, inputs).figure
    with_band = {}
    for approach, estimate in inputs.fitted.items():
        gid = f"law-{approach}-params"
        bands = figure.findobj(lambda one, gid=gid: one.get_gid() == f"{gid}-band")
        lines = figure.findobj(lambda one, gid=gid: one.get_gid() in {gid, f"{gid}-beyond"})
        flops = sorted({float(c) for line in lines for c in line.get_xdata()})
        expected = {
            (one.flops, end)
            for one in optima_at(estimate, inputs.draws[approach], flops)
            for end in one.params.intervals.get("0.95", ())
        }
        # the outline closes at its first and last place, whose ends it has
        corners = {
            (float(x), float(y))
            for band in bands
            for path in band.get_paths()
            for x, y in path.vertices
        }
        assert corners == expected
        with_band[approach] = bool(corners)
    assert set(with_band.values()) == {True, False}


def test_a_frontier_is_solid_along_the_points_that_it_was_fitted_to(inputs: FigureInputs) -> None:
    """Whole curves begin decades before the first winner that is fitted."""
    estimate = inputs.fitted["envelope"]
    winners = estimate.diagnostics.model_dump()["winners"]
    fitted = [c for c, used in zip(winners["flops"], winners["fitted"], strict=True) if used]
    for line in artists(predictions.draw, inputs, "law-envelope-params"):
        x = line.get_xdata()
        np.testing.assert_allclose((x[0], x[-1]), (min(fitted), max(fitted)), rtol=1e-12)


def test_the_mixture_is_drawn_among_the_predictions(inputs: FigureInputs) -> None:
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    for axis in predictions.AXES:
        line, *_ = artists(predictions.draw, inputs, f"law-mixture-{axis}-beyond")
        flops = [float(c) for c in line.get_xdata()]
        optima = optima_at(mixture, inputs.mixture_draws, flops)
        expected = [getattr(one, axis).value for one in optima]
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)


def test_no_name_stands_on_a_line_of_the_predictions(inputs: FigureInputs) -> None:
    figure = drawn(predictions.draw, inputs).figure
    with rc_context(style.RC):
        figure.canvas.draw()
    for axes in figure.axes:
        legend = axes.get_legend()
        named = [text for text in axes.texts if text.get_text() != "data end"]
        boxes = [text.get_window_extent() for text in named]
        boxes += [text.get_window_extent() for text in legend.get_texts()] if legend else []
        assert len(boxes) > 4
        for line in axes.lines:
            if str(line.get_gid()).startswith(("law-", "published-", "model-", "minima-")):
                points = line.get_transform().transform(np.column_stack(line.get_data()))
                # every place on the way from one vertex to the next
                steps = np.linspace(0.0, 1.0, 200)[:, None, None]
                way = (points[:-1] + steps * np.diff(points, axis=0)).reshape(-1, 2)
                way = points if line.get_linestyle() == "None" else way
                assert not any(box.contains(*place) for box in boxes for place in way)


def covered(axes: Axes) -> list[str]:
    """Name the labels of a panel that lie over a line, a mark or each other, or stand outside."""
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    labels = [text for text in axes.texts if not text.get_in_layout()]
    boxes = {text: text.get_window_extent() for text in labels}
    covering = [
        text
        for text, box in boxes.items()
        if not (frame.x0 <= box.x0 and box.x1 <= frame.x1)
        or not (frame.y0 <= box.y0 and box.y1 <= frame.y1)
        or any(box.overlaps(other) for one, other in boxes.items() if one is not text)
    ]
    for line in axes.lines:
        points = line.get_transform().transform(np.column_stack(line.get_data()))
        steps = np.linspace(0.0, 1.0, 200)[:, None, None]
        way = (points[:-1] + steps * np.diff(points, axis=0)).reshape(-1, 2)
        way = points if line.get_linestyle() == "None" else way
        covering += [text for text, box in boxes.items() if box.count_contains(way)]
    return [text.get_text() for text in covering]


FALLING = {
    "together": ((1e20, 2.0), (1.2e20, 2.0), (9e19, 2.0)),
    # through the corner where the runs are named, as in Kaplan's line on small sweeps
    "steeply": ((1e17, 0.25), (1e22, 6.0)),
    "flatly": ((1e21, 8.0), (3e21, 9.0), (1e22, 12.0)),
    "out at the top": ((1e20, -2.0), (1e19, -3.0), (1e18, 1.0)),
    "outside": ((1e12, 2.0), (1e13, 2.0), (1e19, 1.0)),
}
"""Lines by the C at which they leave the picture, and decades of C in which they fall tenfold."""


@pytest.mark.parametrize("lines", FALLING.values(), ids=FALLING)
def test_no_name_in_the_first_figure_lies_over_a_line(lines: tuple[tuple[float, float]]) -> None:
    """Kaplan's line ran through his name, or through that of the runs."""
    style.register_fonts()
    with rc_context(style.RC):
        figure = style.new_figure(width=4.6, height=3.5)
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlim=(1e16, 1e22), ylim=(1.0, 1e4))
        x = np.geomspace(1e16, 1e22, 80)
        shown = []
        for number, (leaves, decades) in enumerate(lines):
            edge = 1.0 if decades > 0 else 1e4
            y = edge * (x / leaves) ** (-1.0 / decades)
            axes.plot(x, y)
            shown.append(answer._Line(f"Line {number}", style.INK, x, y))
        answer._label(axes, shown, answer._name_of_runs(axes, 1e16, 1e18))
        assert {text.get_text().removeprefix("↓ ") for text in axes.texts} == {
            "the sweep’s runs", *(line.name for line in shown)
        }  # fmt: skip
        assert covered(axes) == []


def test_words_of_many_check_runs_stand_apart(inputs: FigureInputs) -> None:
    """Those of three sizes lay over each other at the foot."""
    check = inputs.losses.filter(role="check")
    run = check["run"][0]
    others = [
        inputs.losses.filter(run=run).with_columns(
            run=pl.lit(f"between-{number}"),
            params_total=pl.col("params_total") * factor,
            tokens=pl.col("tokens") / factor,
            sized_by=pl.lit(None, pl.String),
        )
        for number, factor in enumerate((1.03, 1.06))
    ]
    many = replace(inputs, losses=pl.concat([inputs.losses, *others], how="vertical_relaxed"))
    figure = drawn(check_pair.draw, many).figure
    with rc_context(style.RC):
        axes = figure.axes[0]
        assert sum("measured" in text.get_text() for text in axes.texts) == 4
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for t in axes.texts if "measured" in t.get_text()]
        assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))


def test_design_shows_tokens_across_and_parameters_upwards(inputs: FigureInputs) -> None:
    runs = inputs.runs.filter(role="check")
    (marks,) = artists(design.draw, inputs, "runs-check")
    shown = {(float(x), float(y)) for x, y in marks.get_offsets()}
    assert shown == set(runs.select("tokens", "params_total").iter_rows())


def test_every_mark_has_its_own_run_whatever_the_letters_of_its_name(
    inputs: FigureInputs,
) -> None:
    """36 runs with Chinese names had one identifier, and the last one's name under the pointer."""
    names = inputs.losses["run"].unique().sort().to_list()
    others = [f"lr{'=-'[n % 2]}1e-3 模型{chr(0x4E00 + n // 2)}" for n in range(len(names))]
    renamed = pl.col("run").replace_strict(names, others, default=pl.col("run"))
    other = replace(
        inputs,
        losses=inputs.losses.with_columns(renamed),
        runs=inputs.runs.with_columns(renamed),
    )
    for draw, ends in ((training_curves.draw, 1), (check_curves.draw, 2), (check_pair.draw, 1)):
        figure = drawn(draw, other).figure
        named = style.named_runs(figure)
        shown = inputs.losses.filter(
            pl.col("role") == ("fit" if draw is training_curves.draw else "check")
        )
        assert len(named) == ends * shown["run"].n_unique()
        for gid, (run,) in named.items():
            (line,) = figure.findobj(lambda one, gid=gid: one.get_gid() == gid)
            rows = other.losses.filter(run=run)
            assert set(line.get_ydata()) <= set(rows["loss"])


def test_check_runs_of_different_compute_are_no_pair(inputs: FigureInputs) -> None:
    first = (pl.col("role") == "check") & (
        pl.col("run") == inputs.runs.filter(role="check")["run"][0]
    )
    more = pl.when(first).then(3.0).otherwise(1.0)
    apart = replace(
        inputs,
        runs=inputs.runs.with_columns((pl.col("tokens") * more).cast(pl.Int64)),
        losses=inputs.losses.with_columns(pl.col("tokens") * more, pl.col("flops_6nd") * more),
    )
    assert isinstance(check_pair.draw(inputs), style.Drawn)
    nothing = check_pair.draw(apart)
    assert isinstance(nothing, style.NothingToShow)
    assert "their compute differs, so they are no pair" in nothing.reason
    (marks,) = artists(design.draw, inputs, "runs-check")
    (unlike,) = artists(design.draw, apart, "runs-check")
    assert marks.get_label().startswith("check pair (")
    assert unlike.get_label().startswith("check (")
    # until they have ended, what was planned tells: 6ND of the table of runs
    ended = inputs.losses.filter(pl.col("role") != "check")
    (marks,) = artists(design.draw, replace(inputs, losses=ended), "runs-check")
    (unlike,) = artists(design.draw, replace(apart, losses=ended), "runs-check")
    assert marks.get_label().startswith("check pair (")
    assert unlike.get_label().startswith("check (")
    # both figures count alike: of one 6ND, and of another C as the answer has it
    mixture: Any = inputs.mixture
    kaplans = mixture.counting.model_copy(update={"params": "nonembedding", "flops": "kaplan"})
    more = pl.when(pl.col("run") == inputs.runs.filter(role="check")["run"][0]).then(3.0)
    counted = replace(
        inputs,
        losses=inputs.losses.with_columns(
            params_nonembedding=pl.col("params_total") / 2.0,
            flops_kaplan=pl.col("flops_6nd") * more.otherwise(1.0),
        ),
        mixture=mixture.model_copy(update={"counting": kaplans}),
    )
    assert isinstance(check_pair.draw(counted), style.NothingToShow)
    (unlike,) = artists(design.draw, counted, "runs-check")
    assert unlike.get_label().startswith("check (")


@pytest.mark.parametrize("draw", [check_pair.draw, check_curves.draw, training_curves.draw])
def test_seeds_whose_n_differ_by_a_millionth_are_of_one_size(
    draw: Callable[[FigureInputs], Any], inputs: FigureInputs
) -> None:
    """Four check runs of two sizes were four sizes, where the report had the mean of two runs."""
    few = inputs.losses.filter(role="fit")["run"].unique().sort().head(4)
    losses = inputs.losses.filter((pl.col("role") != "fit") | pl.col("run").is_in(few.implode()))

    def shown(apart: float) -> tuple[str, list[str]]:
        more = losses.with_columns(
            run=pl.col("run") + "-s1", params_total=pl.col("params_total") * (1.0 + apart)
        )
        of = drawn(draw, replace(inputs, losses=pl.concat([losses, more])))
        return of.alt, [text.get_text() for text in of.figure.findobj(Text) if text.get_text()]

    assert shown(1e-6) == shown(0.0)


def test_each_law_has_its_own_place_in_the_plane(inputs: FigureInputs) -> None:
    """E and gamma: gamma is 1 of Hoffmann's law and 1/2 of the root law."""
    estimates = {name: law for name, law in inputs.laws.items() if isinstance(law, Estimate)}
    numbers = {name: law.parameters for name, law in estimates.items()}
    expected = {
        "nested": (numbers["nested"]["E"].value, numbers["nested"]["gamma"].value),
        "parametric": (numbers["parametric"]["E"].value, 1.0),
        "root": (numbers["root"]["E"].value, 0.5),
        "kaplan_law": (0.0, numbers["kaplan_law"]["alpha_D"].value),
    }
    # no two of the floors that are drawn would stand for one another
    assert len({expected[name][0] for name in ("nested", "parametric", "root")}) == 3
    for name, place in expected.items():
        (mark,) = artists(laws.draw, inputs, f"plane-{name}")
        assert (*mark.get_xdata(), *mark.get_ydata()) == place
    table = inputs.law_draws["nested"]
    gammas = table.where(table.missing("refused")).columns["gamma"]
    low, high = np.quantile(gammas, [0.025, 0.975])
    assert f"gamma between {low:.2f} and {high:.2f} (95 %" in drawn(laws.draw, inputs).alt


def test_the_pair_stands_with_the_intervals_that_are_named(inputs: FigureInputs) -> None:
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    assert chosen is not None
    _, answered = chosen
    pair = inputs.losses.filter(role="check", is_final=True).sort("params_total")
    announced = announce(pair)
    shown = replace(inputs, announcement=announced)
    (band,) = artists(check_pair.draw, shown, "predicted-band")
    (curve,) = artists(check_pair.draw, shown, "predicted")
    n = curve.get_xdata()
    flops = float(pair["flops_6nd"].median())  # type: ignore[arg-type]
    ends = intervals_of_losses(
        answered, inputs.draws_of(answered), n[:1], flops / (6.0 * n[:1]), flops
    )
    vertices = band.get_paths()[0].vertices
    there = vertices[np.isclose(vertices[:, 0], n[0]), 1]
    assert (there.min(), there.max()) == pytest.approx(ends[0]["0.95"])
    assert ends[0]["0.95"] != ends[0]["0.8"]
    # so is that of each optimum, and what was announced has both
    (best,) = optima_at(answered, inputs.draws_of(answered), [flops])
    (bar,) = artists(check_pair.draw, shown, f"optimum-{chosen[0]}-95")
    assert tuple(bar.get_xdata()) == best.params.intervals["0.95"]
    widths = []
    for level in ("0.8", "0.95"):
        (bar,) = artists(check_pair.draw, shown, f"announced-{level}-0")
        assert tuple(bar.get_ydata()) == announced.runs[0].losses["mixture"].intervals[level]
        widths.append(bar.get_linewidth())
    assert widths[0] > widths[1]


def test_forecasts_stand_with_both_intervals(inputs: FigureInputs) -> None:
    assert isinstance(inputs.forecasts, Forecasts)
    (cut,) = inputs.forecasts.cuts
    score = cut.forecast("parametric").score("loss")
    assert score is not None
    for level in ("0.8", "0.95"):
        bars = artists(forecast.draw, inputs, f"error-parametric-{100 * float(level):.0f}")
        expected = [
            tuple(end - one.measured for end in one.intervals[level]) for one in score.predictions
        ]
        shown = np.array(sorted(tuple(bar.get_ydata()) for bar in bars))
        np.testing.assert_allclose(shown, sorted(expected))


def test_profiles_mark_the_minima(inputs: FigureInputs) -> None:
    diagnostics: Any = inputs.fitted["profiles"].diagnostics
    for profile in diagnostics.profiles:
        if profile.minimum is not None:
            gid = f"minimum-{style.in_full(profile.budget)}"
            (mark,) = artists(isoflop_profiles.draw, inputs, gid)
            assert list(mark.get_xdata()) == [profile.minimum.params]
            assert list(mark.get_ydata()) == [profile.minimum.loss]


def test_budgets_alike_to_three_digits_are_told_apart(inputs: FigureInputs) -> None:
    """Under one identifier the names of one budget's runs stood at the marks of the other."""
    estimate = inputs.fitted["profiles"]
    diagnostics: Any = estimate.diagnostics
    first, *others = diagnostics.profiles
    near = first.model_copy(update={"budget": first.budget * 1.001, "run": first.run[::-1]})
    both = diagnostics.model_copy(update={"profiles": [first, near, *others]})
    told = estimate.model_copy(update={"diagnostics": both})
    changed = replace(inputs, estimates={**inputs.estimates, "profiles": told})
    named = style.named_runs(drawn(isoflop_profiles.draw, changed).figure)
    assert named[f"budget-{style.in_full(first.budget)}"] == tuple(first.run)
    assert named[f"budget-{style.in_full(near.budget)}"] == tuple(near.run)


@pytest.mark.parametrize("axis", ["params", "tokens"])
@pytest.mark.parametrize("curve", ["parabola", "log_parabola", "akima"])
def test_profiles_are_drawn_along_their_axis_with_their_curve(
    inputs: FigureInputs, axis: str, curve: str
) -> None:
    """Over D the words had parameters and sizes; a parabola of log L was a line from run to run."""
    estimate = inputs.fitted["profiles"]
    changed = {"axis": axis, "curve": curve}
    told = estimate.model_copy(
        update={"diagnostics": estimate.diagnostics.model_copy(update=changed)}
    )
    changed_inputs = replace(inputs, estimates={**inputs.estimates, "profiles": told})
    found = drawn(isoflop_profiles.draw, changed_inputs)
    left = found.figure.axes[0]
    assert left.get_xlabel() == {"params": style.PARAMS, "tokens": style.TOKENS}[axis]
    words = {"params": "loss against parameters at", "tokens": "loss against tokens at"}
    assert words[axis] in found.alt
    assert {
        "parabola": "with its parabola of L;",
        "log_parabola": "with its parabola of log L;",
        "akima": "with its Akima spline of log L;",
    }[curve] in found.alt
    diagnostics: Any = told.diagnostics
    for profile in diagnostics.profiles:
        gid = f"budget-{style.in_full(profile.budget)}"
        (marks,) = artists(isoflop_profiles.draw, changed_inputs, gid)
        places = getattr(profile, axis)
        assert list(marks.get_xdata()) == places
        assert list(marks.get_ydata()) == profile.loss
        (line,) = artists(isoflop_profiles.draw, changed_inputs, f"{gid}-curve")
        x, y = (np.asarray(values) for values in line.get_data())
        if curve == "akima":
            assert sorted(zip(x, y, strict=True)) == sorted(zip(places, profile.loss, strict=True))
            continue
        one = profile.coefficients
        t = np.log(x) - one.centre
        value = one.level + one.slope * t + one.curvature * t**2
        np.testing.assert_allclose(y, np.exp(value) if curve == "log_parabola" else value)
        np.testing.assert_allclose((x.min(), x.max()), (min(places), max(places)))


def test_minima_are_marked_over_the_lines_of_parameters_and_tokens(inputs: FigureInputs) -> None:
    diagnostics: Any = inputs.fitted["profiles"].diagnostics
    used = [p for p in diagnostics.profiles if p.accepted and p.minimum is not None]
    assert len(used) >= 3
    for axis in ("params", "tokens"):
        (marks,) = artists(predictions.draw, inputs, f"minima-{axis}")
        assert list(marks.get_xdata()) == [profile.budget for profile in used]
        assert list(marks.get_ydata()) == [getattr(p.minimum, axis) for p in used]


def test_a_sweep_without_check_runs_or_frontiers_says_so(inputs: FigureInputs) -> None:
    fitted = inputs.losses.filter(pl.col("role") == "fit")
    none = check_curves.draw(replace(inputs, losses=fitted))
    assert isinstance(none, style.NothingToShow)
    assert "has no pair of check runs" in none.reason
    finals = inputs.losses.filter(pl.col("is_final"))
    ends = check_curves.draw(replace(inputs, losses=finals))
    assert isinstance(ends, style.NothingToShow)
    assert "only the final losses are known" in ends.reason
    alone = {key: one for key, one in inputs.estimates.items() if key == "parametric"}
    straight = bend.draw(replace(inputs, estimates=alone))
    assert isinstance(straight, style.NothingToShow)
    assert "gave a frontier" in straight.reason
    envelope: Any = inputs.fitted["envelope"]
    unknown = envelope.curvature.model_copy(update={"per_decade": None, "reason": "too few"})
    told = {"envelope": envelope.model_copy(update={"curvature": unknown})}
    nothing = bend.draw(replace(inputs, estimates=told))
    assert isinstance(nothing, style.NothingToShow)
    assert nothing.reason == "1 Envelope: too few."


def test_forecasts_are_predicted_less_measured(inputs: FigureInputs) -> None:
    assert isinstance(inputs.forecasts, Forecasts)
    (cut,) = inputs.forecasts.cuts
    (own,) = (found for found in cut.forecasts if found.approach == "parametric")
    score = own.score("loss")
    assert score is not None
    marks = artists(forecast.draw, inputs, "error-parametric")
    shown = sorted(float(mark.get_ydata()[0]) for mark in marks)
    expected = sorted(one.predicted - one.measured for one in score.predictions)
    assert shown == pytest.approx(expected)
    assert min(shown) > 0.0


def test_specifications_stand_in_increasing_order(inputs: FigureInputs) -> None:
    (marks,) = artists(specifications.draw, inputs, "estimates")
    shown = marks.get_offsets()[:, 1]
    expected = inputs.specifications["a"].drop_nulls().sort().to_numpy()
    np.testing.assert_array_equal(shown, expected)


def test_check_runs_stand_over_what_the_answer_says_and_what_was_announced(
    inputs: FigureInputs,
) -> None:
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    pair = inputs.losses.filter(role="check", is_final=True).sort("params_total")
    announced = announce(pair)
    inputs = replace(inputs, announcement=announced)
    (curve,) = artists(check_pair.draw, inputs, "predicted")
    n, loss = curve.get_data()
    flops = float(pair["flops_6nd"].median())
    every = np.concatenate(
        [
            part.law.log_loss(part.rows, np.log(n), np.log(flops / (6.0 * n)))
            for part in mixture.parts(inputs.mixture_draws)
        ]
    )
    np.testing.assert_allclose(loss, np.exp(np.median(every, axis=0)), rtol=1e-9)
    # one law's curve is another
    law = mixture.mixed[0].approach
    (own,) = artists(check_pair.draw, inputs, f"predicted-{law}")
    assert np.abs(own.get_ydata() / loss - 1.0).max() > 1e-4
    for number, run in enumerate(announced.runs):
        said = run.losses["mixture"]
        (mark,) = artists(check_pair.draw, inputs, f"announced-{number}")
        assert list(mark.get_ydata()) == [said.predicted]
        for level in ("0.8", "0.95"):
            (bar,) = artists(check_pair.draw, inputs, f"announced-{level}-{number}")
            assert tuple(bar.get_ydata()) == said.intervals[level]
    at = optima_at(mixture, inputs.mixture_draws, [flops])[0].params
    (mark,) = artists(check_pair.draw, inputs, "optimum-mixture")
    (bar,) = artists(check_pair.draw, inputs, "optimum-mixture-95")
    assert list(mark.get_xdata()) == [at.value]
    assert tuple(bar.get_xdata()) == at.intervals["0.95"]


def announce(pair: pl.DataFrame) -> Announcement:
    """Announce a pair's losses, each a little off, by the mixture and by one law."""
    return Announcement.model_construct(
        runs=tuple(
            AnnouncedRun(
                run=row["run"],
                params=row["params_total"],
                tokens=row["tokens"],
                flops=row["flops_6nd"],
                losses={
                    key: AnnouncedLoss(
                        predicted=row["loss"] + shift,
                        intervals={
                            "0.8": (row["loss"] - shift, row["loss"] + 2.0 * shift),
                            "0.95": (row["loss"] - 2.0 * shift, row["loss"] + 3.0 * shift),
                        },
                    )
                    for key, shift in (("mixture", 0.01), ("parametric", 0.05))
                },
            )
            for row in pair.iter_rows(named=True)
        )
    )

"""Every panel draws the quantity that it names: each against the estimate, with distinct values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from isoflop.drawing import style
from isoflop.estimates.forecasts import Forecasts
from isoflop.figures import (
    design,
    forecast,
    isoflop_profiles,
    parametric_fit,
    predictions,
    training_curves,
)
from isoflop.numbers import fixed, interval
from tests.figures.conftest import drawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.figures.inputs import FigureInputs

SCALING: Final = {"envelope": training_curves.draw, "profiles": isoflop_profiles.draw}
"""Approaches whose figure has a panel of N and one of D."""


def artists(figure: style.Drawn, gid: str) -> list[Any]:
    matching = figure.figure.findobj(lambda one: one.get_gid() == gid)
    assert matching, gid
    return matching


@pytest.mark.parametrize("approach", SCALING)
@pytest.mark.parametrize("axis", ["params", "tokens"])
def test_a_panel_of_n_has_a_and_a_panel_of_d_has_b(
    inputs: FigureInputs, approach: str, axis: str
) -> None:
    estimate: Any = inputs.fitted[approach]  # type: ignore[index]
    assert fixed(estimate.a.value) != fixed(estimate.b.value)
    figure = drawn(SCALING[approach], inputs)
    (text,) = artists(figure, f"exponent-{axis}")
    name, exponent = ("a", estimate.a) if axis == "params" else ("b", estimate.b)
    told, *ends = text.get_text().split("\n")
    assert told == f"${name}$ = {fixed(exponent.value)}"
    served = exponent.intervals.get("0.95")
    assert ends == ([] if served is None else [f"95 %: {interval(*served, fixed)}"])
    assert text.axes.get_ylabel() == {"params": style.PARAMS, "tokens": style.TOKENS}[axis]
    (line,) = artists(figure, f"law-{approach}-{axis}")
    assert line.axes is text.axes
    law = estimate.params_opt if axis == "params" else estimate.tokens_opt
    np.testing.assert_allclose(line.get_ydata(), law(line.get_xdata()), rtol=1e-12)


@pytest.mark.parametrize("draw", [*SCALING.values(), predictions.draw])
def test_what_is_named_for_an_axis_stands_in_its_panel(
    inputs: FigureInputs, draw: Callable[[FigureInputs], Any]
) -> None:
    labels = {"params": style.PARAMS, "tokens": style.TOKENS}
    named = set()
    for one in drawn(draw, inputs).figure.findobj(lambda one: bool(one.get_gid())):
        match = re.search(r"-(params|tokens)(?:-|$)", one.get_gid())
        if match is not None and one.axes is not None:
            assert one.axes.get_ylabel() == labels[match[1]], one.get_gid()
            named.add(match[1])
    assert named == {*labels}


def test_black_are_the_points_of_the_envelope_that_are_fitted(inputs: FigureInputs) -> None:
    """The caption speaks of black ones, and none was."""
    estimate = inputs.fitted["envelope"]
    fit: Any = estimate.diagnostics
    kept = [place % 3 > 0 for place in range(len(fit.winners.fitted))]
    winners = fit.winners.model_copy(update={"fitted": kept})
    told = estimate.model_copy(update={"diagnostics": fit.model_copy(update={"winners": winners})})
    figure = drawn(
        training_curves.draw, replace(inputs, estimates={**inputs.estimates, "envelope": told})
    )
    for axis in ("params", "tokens"):
        for what, colour, chosen in (("fitted", style.INK, True), ("left-out", style.QUIET, False)):
            (marks,) = artists(figure, f"frontier-{axis}-{what}")
            assert marks.get_color() == colour
            expected = [
                value
                for value, fitted in zip(getattr(winners, axis), kept, strict=True)
                if fitted is chosen
            ]
            assert list(marks.get_ydata()) == expected


def test_bars_of_forecasts_are_their_intervals(inputs: FigureInputs) -> None:
    assert isinstance(inputs.forecasts, Forecasts)
    figure = drawn(forecast.draw, inputs)
    (cut,) = inputs.forecasts.cuts
    for approach in ("parametric", "kaplan", "envelope", "profiles"):
        own = cut.forecast(approach)  # type: ignore[arg-type]
        for quantity, what in (("loss", "error"), ("params_opt", "ratio")):
            score = own.score(quantity)  # type: ignore[arg-type]
            if score is None:
                continue
            for level, named in (("0.8", "80"), ("0.95", "95")):
                bars = artists(figure, f"{what}-{approach}-{named}")
                shown = sorted(tuple(map(float, bar.get_ydata())) for bar in bars)
                expected = sorted(
                    tuple(
                        end - one.measured if what == "error" else end / one.measured
                        for end in one.intervals[level]
                    )
                    for one in score.predictions
                )
                np.testing.assert_allclose(shown, expected, rtol=1e-12)
            # the wider interval is the thinner bar
            widths = [
                artists(figure, f"{what}-{approach}-{level}")[0].get_linewidth()
                for level in ("80", "95")
            ]
            assert widths[0] > widths[1]


def test_published_lines_are_those_of_their_axis(inputs: FigureInputs) -> None:
    figure = drawn(predictions.draw, inputs)
    reference = inputs.reference
    table = reference.hoffmann.optimal_allocations

    def kaplan(c: float) -> float:
        return float(reference.kaplan.params_opt(c, convention="minimum"))

    laws: dict[str, Callable[[float], float]] = {
        "kaplan-params": kaplan,
        "kaplan-tokens": lambda c: c / (6.0 * kaplan(c)),
        "hoffmann-params": lambda c: float(table.params_law("envelope")(c)),
        "hoffmann-tokens": lambda c: float(table.tokens_law("envelope")(c)),
    }
    for name, law in laws.items():
        for line in artists(figure, f"published-{name}"):
            x, y = line.get_data()
            np.testing.assert_allclose(y, [law(float(c)) for c in x], rtol=1e-12)
            expected = style.TOKENS if name.endswith("tokens") else style.PARAMS
            assert line.axes.get_ylabel() == expected


@pytest.mark.parametrize(
    "draw",
    [design.draw, isoflop_profiles.draw, parametric_fit.draw],
    ids=lambda one: one.__module__,
)
def test_a_mark_stands_where_its_run_does(
    inputs: FigureInputs, draw: Callable[[FigureInputs], Any]
) -> None:
    """Whose name stands under the pointer is whose numbers the mark has."""
    figure = drawn(draw, inputs)
    named = style.named_runs(figure.figure)
    assert named
    marks = 0
    for gid, runs in named.items():
        (artist,) = artists(figure, gid)
        places = (
            np.asarray(artist.get_offsets())
            if hasattr(artist, "get_offsets")
            else np.column_stack(artist.get_data())
        )
        assert len(places) == len(runs)
        for run, (x, y) in zip(runs, places, strict=True):
            known = numbers_of(inputs, run)
            assert np.abs(known / x - 1.0).min() < 1e-9
            assert np.abs(known / y - 1.0).min() < 0.02
            marks += 1
    assert marks > 10


def numbers_of(inputs: FigureInputs, run: str) -> np.ndarray:
    """Give all that is known of a run's end: N, D, C and the loss."""
    rows = inputs.runs.filter(run=run).select("params_total", "tokens")
    ends = inputs.losses.filter(run=run, is_final=True)
    columns = ("params_total", "tokens", "flops_6nd", "loss")
    of_losses = [float(value) for value in ends.select(columns).row(0)] if ends.height else []
    return np.array([*map(float, rows.row(0)), *of_losses])

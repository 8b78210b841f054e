"""What each figure draws is what its inputs say: one artist a figure, by its value.

The figures that draw laws are compared with the estimate under three countings in
test_counting.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import rc_context

from isoflop.drawing import style
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.mixture import Mixture
from isoflop.figures import answer, design, forecast, isoflop_profiles, specifications

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.figures.inputs import FigureInputs


def artists(draw: Callable[[FigureInputs], Any], inputs: FigureInputs, gid: str) -> list[Any]:
    style.register_fonts()
    with rc_context(style.RC):
        found = draw(inputs)
    assert isinstance(found, style.Drawn)
    matching = found.figure.findobj(lambda one: one.get_gid() == gid)
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


def test_design_shows_tokens_across_and_parameters_upwards(inputs: FigureInputs) -> None:
    runs = inputs.runs.filter(role="check")
    (marks,) = artists(design.draw, inputs, "runs-check")
    shown = {(float(x), float(y)) for x, y in marks.get_offsets()}
    assert shown == set(runs.select("tokens", "params_total").iter_rows())


def test_profiles_mark_the_minima(inputs: FigureInputs) -> None:
    diagnostics: Any = inputs.fitted["profiles"].diagnostics
    for profile in diagnostics.profiles:
        if profile.minimum is not None:
            gid = f"minimum-{profile.budget:.3g}"
            (mark,) = artists(isoflop_profiles.draw, inputs, gid)
            assert list(mark.get_xdata()) == [profile.minimum.params]
            assert list(mark.get_ydata()) == [profile.minimum.loss]


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

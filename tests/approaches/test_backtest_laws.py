"""The backtest: nothing hidden is seen, what is pooled is pooled right, and right laws win."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from isoflop.approach import LAWS
from isoflop.approaches import backtest_laws as module
from isoflop.approaches.backtest_laws import (
    backtest_laws,
    choices,
    cuts,
    points_of,
    pooled,
    prior_for,
)
from isoflop.approaches.forecasts import forecasters
from isoflop.approaches.forecasts.forecasters import (
    AT_MINIMA,
    BESIDE,
    FOUR,
    LABELS,
    LINE,
    MIXTURES,
    SCIPY,
    SINGLE,
    Mixed,
    Seen,
    scipy_predictive,
    weights_for,
)
from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.backtest import (
    Backtest,
    Cell,
    CellScore,
    Exponents,
    Part,
    Planned,
    read_backtest,
)
from isoflop.tables import Losses, write_table
from tests.approaches.conftest import BUDGETS, LAW, as_table

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

SETTINGS = ApproachesSettings.model_validate({"parametric": {"starts": "coarse"}})


def planned(sweep: str = "one", **part: Any) -> Planned:
    return Planned(sweep=sweep, study=sweep, losses="", part=Part(**part))


CUTS = {"upper half": 0.5}
"""Hidden is the upper half alone, for speed."""


@pytest.fixture(scope="module")
def written(losses: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Give what the command writes for the room's sweep, beside one that is left out."""
    folder = tmp_path_factory.mktemp("backtest")
    write_table(finals(losses), Losses, folder / "l.parquet")
    plan = {
        "sweeps": [
            {"sweep": "s", "study": "s", "losses": str(folder / "l.parquet"), "part": {}},
            {"sweep": "t", "study": "t", "losses": str(folder / "l.parquet"),
             "part": {"left_out": "a reason"}},
        ]
    }  # fmt: skip
    out = folder / "b.json"
    words = ["backtest-laws", "--plan", json.dumps(plan), "--draws", "40", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CUTS", CUTS)
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    found = read_backtest(out)
    assert isinstance(found, Backtest)
    return found


@pytest.mark.parametrize(
    ("budgets", "hidden"),
    [
        ((1e18, 1e19, 1.5e20, 1e21), ["upper half"]),  # both cuts lie in one gap
        ((1e18, 1e19, 10**19.8, 1e21), ["upper half", "upper third"]),
    ],
)
def test_two_cuts_that_hide_the_same_points_count_once(
    budgets: tuple[float, ...], hidden: list[str]
) -> None:
    points = pl.DataFrame(
        {"flops_6nd": np.repeat(budgets, 7) * np.tile(1 + 0.002 * np.arange(7), 4)}
    )
    assert [*cuts(points)] == hidden


def finals(losses: pl.DataFrame) -> pl.DataFrame:
    return losses.filter("is_final")


def test_nothing_hidden_is_seen(
    losses: pl.DataFrame, written: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CUTS", CUTS)
    table = finals(losses)
    cut = np.sqrt(BUDGETS[0] * BUDGETS[-1])
    factor = pl.when(pl.col("flops_6nd") > cut).then(1.25).otherwise(1.0)
    moved = table.with_columns(pl.col("loss") * factor)
    (here,) = written.cells
    (there,) = backtest_laws([(planned("s"), moved)], SETTINGS, draws=40).cells
    assert here.scores.keys() == there.scores.keys() == LABELS.keys() - {LINE, BESIDE}
    assert here.minima.keys() == there.minima.keys() == {*AT_MINIMA, "mixture", BESIDE}
    assert here.refused == there.refused == {}
    both = [(here.scores, there.scores), (here.minima, there.minima)]
    for key, score, other in ((k, s, o[k]) for h, o in both for k, s in h.items()):
        # the same prediction, against losses that are higher by a factor
        assert other.bias == pytest.approx(score.bias - np.log(1.25), abs=1e-9), key
        assert other.width == score.width, key
        assert other.weights == score.weights, key
    # Chinchilla's law made this sweep: it is right, and so is whoever gives it weight
    assert here.scores["parametric"].rms < 0.01
    assert here.scores[SCIPY].rms < 0.01
    assert here.scores["kaplan_law"].rms > 2.0 * here.scores["parametric"].rms


def test_parts_of_a_sweep(losses: pl.DataFrame) -> None:
    whole = points_of(planned(), losses)
    assert whole.height == losses["is_final"].sum()
    assert points_of(planned(points="all"), losses).height == losses.height
    assert points_of(planned(points="all"), losses)["is_final"].all()
    top = np.sort(whole["loss"].to_numpy())
    assert points_of(planned(drop_highest=3), losses)["loss"].max() == top[-4]
    assert points_of(planned(loss_below=top[-1]), losses)["loss"].max() == top[-2]
    first = losses["run"][0]
    role = pl.when(pl.col("run") == first).then(pl.lit("check")).otherwise(pl.lit("fit"))
    held = losses.with_columns(role.cast(losses["role"].dtype).alias("role"))
    assert points_of(planned(), held).height == whole.height - 1
    assert points_of(planned(checks=True), held).height == whole.height
    with pytest.raises(UnderdeterminedError, match="for a reason"):
        points_of(planned(left_out="for a reason"), losses)


def test_a_sweep_that_cannot_take_part_is_named(losses: pl.DataFrame) -> None:
    few = finals(losses).head(4)
    found = backtest_laws(
        [(planned("few"), few), (planned("out", left_out="for a reason"), few)], SETTINGS, draws=40
    )
    assert found.cells == found.candidates == []
    assert found.left_out.keys() == {"few", "out"}
    assert found.left_out["out"] == "for a reason"


def exponents(**values: tuple[float, ...]) -> list[Exponents]:
    return [
        Exponents(
            sweep=f"{study}{i}", study=study, law="nested", values={"gamma": one, "alpha": one / 2}
        )
        for study, of_study in values.items()
        for i, one in enumerate(of_study)
    ]


def test_a_prior_comes_from_the_other_studies_each_counting_once() -> None:
    every = exponents(a=(0.5, 0.5, 0.5), b=(0.2, 0.8), c=(9.0,))
    other = Exponents(sweep="d", study="d", law="root", values={"gamma": 99.0})
    found = prior_for("c", [*every, other], "nested", "gamma")
    assert found is not None
    assert found.median == pytest.approx(np.sqrt(0.5 * 0.4))
    assert found.sd == pytest.approx(np.std(np.log([0.5, 0.4]), ddof=1))
    of_size = prior_for("c", every, "nested", "alpha")
    assert of_size is not None
    assert of_size.median == pytest.approx(found.median / 2)
    few = exponents(a=(0.5,), b=(0.2,))
    lonely = prior_for("a", few, "nested", "gamma")
    assert lonely is not None
    assert (lonely.median, lonely.sd) == (0.45, 0.5)
    assert prior_for("a", few, "nested", "alpha") is None


def made_up(rms: float, interval_score: float, inside: float) -> CellScore:
    return CellScore(
        bias=rms,
        rms=rms,
        inside={"0.8": inside, "0.95": inside},
        width={"0.8": 0.1, "0.95": 0.2},
        interval_score={"0.8": interval_score, "0.95": interval_score},
        weights={},
    )


def cell(study: str, **scores: CellScore) -> Cell:
    return Cell(
        sweep=study, study=study, hidden="upper half", flops=1e18, seen=20, predicted=10,
        scores=scores, minima={}, n_minima=0, refused={},
    )  # fmt: skip


def test_pooling_done_by_hand() -> None:
    base = made_up(0.1, 1.0, 0.5)
    cells = [
        cell("a", parametric=base, root=made_up(0.05, 0.5, 1.0)),
        cell("a", parametric=base, root=made_up(0.05, 0.5, 1.0)),
        cell("b", parametric=base, root=made_up(0.2, 4.0, 0.0)),
        cell("b", parametric=base),
    ]
    chinchilla, root = pooled(cells)
    assert (chinchilla.key, chinchilla.cells, chinchilla.rms_ratio) == ("parametric", 4, 1.0)
    assert root.cells == 3
    assert root.rms_ratio == pytest.approx(2.0 ** (-1 / 3))
    assert root.rms_ratio_by_study == pytest.approx(1.0)
    assert root.interval_score_ratio_by_study == pytest.approx(np.sqrt(0.5 * 4.0))
    assert root.rms == pytest.approx(0.1)
    assert root.inside["0.8"] == pytest.approx(2 / 3)
    assert root.inside_by_study["0.8"] == pytest.approx(0.5)


def test_a_study_is_forecast_by_what_the_others_chose() -> None:
    equal = [key for key, mixed in MIXTURES.items() if mixed.weights == "equal"]
    good, bad = made_up(0.05, 0.5, 0.8), made_up(0.2, 2.0, 0.2)
    base = {"parametric": made_up(0.1, 1.0, 0.5)}
    likes = {"a": equal[0], "b": equal[1], "c": equal[1]}
    cells = [
        cell(study, **base, **{key: good if key == liked else bad for key in equal})
        for study, liked in likes.items()
    ]
    found = {one.study: one for one in choices(cells)}
    # what a study likes itself has no say in its own forecast
    assert found["a"].laws == list(MIXTURES[equal[1]].laws)
    assert found["a"].rms_ratio == pytest.approx(2.0)


def test_weights_of_a_mixture() -> None:
    laws = ["parametric", "root"]
    inner = [{"parametric": (np.array([0.0, 0.0]), 4.0), "root": (np.array([3.0, 3.0]), 1.0)}]
    equal = weights_for(Mixed(tuple(laws), "equal"), laws, inner, {})
    np.testing.assert_allclose(equal, [0.5, 0.5])
    errors = weights_for(Mixed(tuple(laws), "errors"), laws, inner, {})
    np.testing.assert_allclose(errors, [0.2, 0.8])
    stacked = weights_for(Mixed(tuple(laws), "stacking"), laws, inner, {})
    np.testing.assert_allclose(stacked, [0.0, 1.0], atol=1e-6)
    unrejected = Mixed(tuple(laws), "unrejected")
    three = [*laws, "product"]
    kept = weights_for(unrejected, three, inner, {"parametric": 1e-5, "root": 0.3})
    np.testing.assert_allclose(kept, [0.0, 0.5, 0.5])
    assert set(FOUR) <= set(SINGLE)


def test_the_peer_is_right_where_its_law_is(sweep: Observations) -> None:
    from isoflop.approaches.observations import observe
    from isoflop.config.approaches import CountingSettings

    table = as_table(sweep).filter("is_final")
    exact = table.with_columns(
        pl.Series("loss", LAW.loss(table["params_total"].to_numpy(), table["tokens"].to_numpy()))
    )
    low = pl.col("flops_6nd") < 2e18
    seen = Seen(
        observe(exact.filter(low), CountingSettings()),
        observe(exact.filter(~low), CountingSettings()),
        SETTINGS,
        {},
    )
    found = scipy_predictive(seen)
    np.testing.assert_allclose(found.value, seen.targets.loss, rtol=1e-4)
    theta = np.array([0.5, 6.0, 7.3, 0.34, 0.36])
    x = np.log(np.stack([seen.below.params, seen.below.tokens]))
    step = 1e-6
    for i, column in enumerate(forecasters._gradient(x, *theta).T):
        up, down = theta.copy(), theta.copy()
        up[i] += step
        down[i] -= step
        slope = (forecasters._chinchilla(x, *up) - forecasters._chinchilla(x, *down)) / (2 * step)
        np.testing.assert_allclose(column, slope, rtol=1e-6, atol=1e-9)


def test_the_command_writes_a_backtest(written: Backtest) -> None:
    assert written.left_out == {"t": "a reason"}
    assert written.candidate("mixture").cells == 1
    assert written.candidate("parametric").rms_ratio == 1.0
    weights = written.cells[0].scores["mixture"].weights
    assert set(weights) == set(LAWS)
    shares = [weight for weight in weights.values() if weight > 0.0]
    assert len(shares) >= 2
    assert shares == pytest.approx([1.0 / len(shares)] * len(shares))

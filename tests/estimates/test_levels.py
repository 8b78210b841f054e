"""Nominal levels: tail by tail, under the worst law, or none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from isoflop.estimates.allocation import without_doubtful_ends
from isoflop.estimates.intervals import calibrated_intervals, percentile_intervals
from isoflop.estimates.levels import (
    LEAST_TAIL,
    NoLevel,
    Tail,
    Tails,
    between,
    covered,
    places,
    tails_of,
)
from isoflop.estimates.quantities import Quantity, placed_in

RNG = np.random.default_rng(7)
EXACT = np.arange(1, 1000) / 1000
LEVELS = ("0.8", "0.95")


def levels(**laws: np.ndarray) -> dict[str, Tails | NoLevel]:
    return {level: tails_of(laws, float(level)) for level in LEVELS}


def test_calibration_leaves_exact_intervals_alone() -> None:
    draws = RNG.normal(1, 0.1, 4000)
    found = calibrated_intervals(draws, levels(nested=EXACT))
    plain = percentile_intervals(draws)
    for level in plain:
        assert found[level] == pytest.approx(plain[level], abs=2e-3)


@given(st.floats(0.7, 1.4))
def test_calibration_undoes_a_wrong_spread(factor: float) -> None:
    """Draws too wide or too narrow by a factor: the calibrated interval is the exact one."""
    exact = norm.ppf((np.arange(1000) + 0.5) / 1000)
    draws = norm.ppf((np.arange(20_000) + 0.5) / 20_000) * factor
    found = calibrated_intervals(draws, levels(root=norm.cdf(exact / factor)))
    assert found["0.8"] == pytest.approx(norm.interval(0.8), rel=0.02)
    assert found["0.95"] == pytest.approx(norm.interval(0.95), rel=0.02)


@given(st.floats(-0.8, 0.8))
def test_tails_are_found_one_by_one(shift: float) -> None:
    """Draws moved to one side: the interval moves back, as no one level for both tails can."""
    exact = norm.ppf((np.arange(1000) + 0.5) / 1000)
    draws = norm.ppf((np.arange(20_000) + 0.5) / 20_000) + shift
    found = calibrated_intervals(draws, levels(root=norm.cdf(exact - shift)))
    assert found["0.8"] == pytest.approx(norm.interval(0.8), abs=0.02)


def test_each_tail_is_that_of_the_law_that_makes_it_hardest() -> None:
    """The draws lie high where one law is true, low where the other is: both are covered."""
    low, high = norm.cdf(norm.ppf(EXACT) - 0.7), norm.cdf(norm.ppf(EXACT) + 0.7)
    for level, found in levels(root=low, nested=high).items():
        assert isinstance(found, Tails)
        assert (found.below.truth, found.above.truth) == ("root", "nested")
        alone = tails_of({"root": low}, float(level))
        assert isinstance(alone, Tails)
        assert found.below == alone.below
        assert found.above.share < alone.above.share
        for ranks in (low, high):
            assert covered(ranks, found.shares) > float(level)


def test_a_truth_beyond_all_draws_is_told_and_never_papered_over() -> None:
    """Nine truths in ten lie beyond the draws: no level serves, so there is no interval."""
    far = np.concatenate([np.full(900, 1.0), np.linspace(0.3, 0.7, 100)])
    found = levels(nested=EXACT, kaplan_law=far)
    assert all(isinstance(one, NoLevel) for one in found.values())
    assert found["0.8"] == NoLevel(side="above", truth="kaplan_law", share=0.9)
    assert calibrated_intervals(RNG.normal(1, 0.1, 4000), found) == {}


def test_one_level_may_serve_where_the_wider_does_not() -> None:
    far = np.concatenate([np.zeros(50), np.linspace(0.001, 0.999, 950)])
    found = levels(nested=far)
    assert isinstance(found["0.8"], Tails)
    assert found["0.95"] == NoLevel(side="below", truth="nested", share=0.05)


def test_as_many_as_a_tail_may_miss_leave_a_level() -> None:
    """Two sweeps of eighty beyond all draws are the 2.5 % of a tail; three are more."""
    rest = np.linspace(0.01, 0.99, 80)
    two, three = (np.concatenate([np.zeros(n), rest[n:]]) for n in (2, 3))
    served = levels(nested=two)["0.95"]
    assert isinstance(served, Tails)
    assert covered(two, served.shares) >= 0.95
    eight = np.concatenate([np.zeros(8), rest[8:]])
    assert isinstance(levels(nested=eight)["0.8"], Tails)
    assert levels(nested=three)["0.95"] == NoLevel(side="below", truth="nested", share=3 / 80)


@given(st.lists(st.floats(0, 1), min_size=20, max_size=60), st.integers(0, 9))
def test_calibrated_intervals_are_nested(ranks: list[float], seed: int) -> None:
    draws = np.random.default_rng(seed).normal(1, 0.1, 500)
    found = calibrated_intervals(draws, levels(nested=np.array(ranks)))
    if "0.95" in found:
        (inner_low, inner_high), (low, high) = found["0.8"], found["0.95"]
        assert low <= inner_low <= inner_high <= high


def test_the_error_of_a_level_is_its_scatter() -> None:
    """Over many calibrations of 80 sweeps; and a tail misses as often as it may on average."""
    found = [tails_of({"root": RNG.uniform(size=80)}, 0.8) for _ in range(800)]
    shares = np.array([one.below.share for one in found if isinstance(one, Tails)])
    errors = np.array([one.below.error for one in found if isinstance(one, Tails)])
    assert len(shares) == 800
    assert shares.mean() == pytest.approx(0.1, abs=0.004)
    assert np.sqrt((errors**2).mean()) == pytest.approx(shares.std(), rel=0.15)
    level = np.array([one.level for one in found if isinstance(one, Tails)])
    total = np.array([one.error for one in found if isinstance(one, Tails)])
    assert 1.0 < np.sqrt((total**2).mean()) / level.std() < 1.25


def test_places_of_exact_draws_are_uniform() -> None:
    """As few draws as simulated sweeps have, and the outermost places among them."""
    truths = RNG.normal(size=4000)
    # a truth of zero among draws about its negative is that truth among draws about zero
    placed = places(RNG.normal(size=(4000, 50)) - truths[:, None], 0.0)
    for share in (0.025, 0.1, 0.5, 0.9, 0.975):
        assert np.mean(placed < share) == pytest.approx(share, abs=0.02)


def test_places_beyond_all_draws_tell_near_from_far() -> None:
    drawn = np.tile(np.linspace(-1.0, 1.0, 41), (1, 1))
    at = [float(places(drawn, truth)[0]) for truth in (-9.0, -1.2, -1.0, 0.0, 1.0, 1.2, 9.0)]
    assert at == sorted(at)
    assert at[3] == pytest.approx(0.5)
    assert at[2] == pytest.approx(1.0 / 42.0)
    assert at[0] < LEAST_TAIL < at[1] < at[2]
    assert at[4:] == pytest.approx([1.0 - x for x in reversed(at[:3])])


def test_places_know_of_refused_draws_and_of_draws_that_are_all_alike() -> None:
    drawn = np.array(
        [[1.0, np.nan, 3.0, 5.0], [np.nan] * 4, [2.0] * 4, [2.0, np.nan, np.nan, np.nan]]
    )
    placed = places(drawn, 4.0)
    assert placed[0] == pytest.approx(2.5 / 4.0)
    assert np.isnan(placed[[1, 3]]).all()
    assert placed[2] == 1.0
    assert 0.0 < places(drawn, 2.0)[2] < 1.0


def test_n_and_d_of_a_budget_are_missed_alike() -> None:
    """D is C / 6 N: where N's truth lies a little above all draws, D's lies as far below."""
    drawn = 1e7 * np.exp(0.3 * RNG.normal(size=(40, 50)))
    for truth in (0.9e7, 2.5e7, 6e7):
        both = np.stack([drawn, 5e14 / drawn])
        n, d = placed_in(both, np.array([truth, 5e14 / truth]), logs=True)
        assert n == pytest.approx(1.0 - d, abs=1e-12)
        # together or alone
        assert n.tolist() == placed_in(both[:1], np.array([truth]), logs=True)[0].tolist()


def test_between_two_places_the_nearer_ones_law_is_named_and_shares_lie_on_the_line() -> None:
    first: dict[str, Tails | NoLevel] = {
        "0.8": Tails(
            below=Tail(share=0.10, error=0.01, truth="root"),
            above=Tail(share=0.20, error=0.02, truth="nested"),
        )
    }
    second: dict[str, Tails | NoLevel] = {
        "0.8": Tails(
            below=Tail(share=0.02, error=0.03, truth="kaplan_law"),
            above=Tail(share=0.04, error=0.06, truth="parametric"),
        )
    }
    for part, below, above in ((0.25, "root", "nested"), (0.75, "kaplan_law", "parametric")):
        tails = between(first, second, part)["0.8"]
        assert isinstance(tails, Tails)
        assert (tails.below.truth, tails.above.truth) == (below, above)
        assert tails.below.share == pytest.approx(0.10 - 0.08 * part)
        assert tails.above.share == pytest.approx(0.20 - 0.16 * part)
        assert tails.below.error == pytest.approx(0.01 + 0.02 * part)
        assert tails.above.error == pytest.approx(0.02 + 0.04 * part)
    assert between(first, second, 0.0) is first
    assert between(first, second, 1.0) is second
    none: dict[str, Tails | NoLevel] = {"0.8": NoLevel(side="below", truth="root", share=0.3)}
    assert between(first, none, 0.1) == none
    assert between(none, second, 0.9) == none


@pytest.mark.parametrize(
    ("unanswered", "kept"),
    [(0.0, ["0.8", "0.95"]), (0.0049, ["0.8", "0.95"]), (0.0051, ["0.8"]), (0.019, ["0.8"]),
     (0.021, []), (0.2, [])],
)  # fmt: skip
def test_an_interval_goes_where_a_tenth_of_its_misses_has_no_answer(
    unanswered: float, kept: list[str]
) -> None:
    """A 95 % interval misses 5 %: half a per cent of draws without an answer may move its end."""
    ends = {"0.8": (1.0, 3.0), "0.95": (0.5, 4.0)}
    tails = Tails(
        below=Tail(share=0.1, error=0.01, truth="root"),
        above=Tail(share=0.1, error=0.01, truth="root"),
    )
    quantity = Quantity(
        value=2.0,
        intervals=ends,
        coverage=dict.fromkeys(ends, 0.9),
        levels=dict.fromkeys(ends, tails),
    )
    left = without_doubtful_ends(quantity, unanswered)
    assert [*left.intervals] == [*left.coverage] == [*left.levels] == kept
    assert left.value == 2.0

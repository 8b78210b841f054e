"""Copies of runs are told from seeds by their digits, and their rounding is no seed's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import isoflop
from isoflop.copies import copied_runs, runs_once
from isoflop.estimates.diagnostics import ParametricDiagnostics, expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.copies import Copied

    Floats = NDArray[np.float64]

PARAMS = np.geomspace(1e7, 1e9, 35)
TOKENS = 20.0 * PARAMS * np.exp(0.5 * np.sin(np.arange(35)))
LOSS = 1.7 + 400.0 / PARAMS**0.34 + 400.0 / TOKENS**0.28


def seeds(number: int, *, noise: float, decimals: int, of: int) -> Floats:
    """Give losses of seeds of every N and D as they are printed, (seeds, runs)."""
    scatter = np.random.default_rng(of).standard_normal((number, len(LOSS)))
    return np.round(LOSS * np.exp(noise * scatter), decimals)


def groups(*losses: Floats) -> list[Copied]:
    """Find copies in tables of final losses, the first runs of each N and D."""
    params, tokens = (np.concatenate([x[: len(y)] for y in losses]) for x in (PARAMS, TOKENS))
    loss = np.concatenate(losses)
    return copied_runs(np.arange(len(loss)), tokens, loss, params)


@pytest.mark.parametrize("decimals", [15, 6, 5, 4, 3])
@pytest.mark.parametrize("printed", [15, 4, 3])
def test_a_copy_of_every_run_is_noticed_to_the_digits_of_the_coarser(
    decimals: int, printed: int
) -> None:
    (runs,) = seeds(1, noise=0.005, decimals=printed, of=1)
    found = groups(runs, np.round(runs, decimals))
    assert [group.runs for group in found] == [(k, k + 35) for k in range(35)]
    assert {group.decimals for group in found} == {min(decimals, printed, 9)}
    # of a copy that comes first the finer one is kept
    if decimals < printed:
        found = groups(np.round(runs, decimals), runs)
        told = {group.runs for group in found}
        assert (35, 0) in told


def _bits(loss: Floats, decimals: int) -> Floats:
    return np.round(loss / np.log(2.0), decimals) * np.log(2.0)


FORMATS: dict[str, Callable[[Floats], Floats]] = {
    "bits, 6": lambda loss: _bits(loss, 6),
    "bits, 4": lambda loss: _bits(loss, 4),
    "bits, 3": lambda loss: _bits(loss, 3),
    "bits, 3, as nats with 6": lambda loss: np.round(_bits(loss, 3), 6),
    "bits, 3, as floats of 32 bits": lambda loss: _bits(loss, 3).astype(np.float32).astype(float),
    "perplexity, 2": lambda loss: np.log(np.round(np.exp(loss), 2)),
    "floats of 16 bits": lambda loss: loss.astype(np.float16).astype(float),
    "floats of 32 bits": lambda loss: loss.astype(np.float32).astype(float),
    "cut to 4": lambda loss: np.floor(1e4 * loss) / 1e4,
    "cut to 3": lambda loss: np.floor(1e3 * loss) / 1e3,
    "a factor of seven digits, 6": lambda loss: np.round(1.0000001 * loss, 6),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_copy_in_another_unit_or_number_format_is_noticed(name: str) -> None:
    (runs,) = seeds(1, noise=0.005, decimals=15, of=1)
    found = groups(runs, FORMATS[name](runs))
    assert len(found) >= 34
    assert all(group.runs[0] < 35 for group in found)
    # so is that of one which was printed itself
    assert len(groups(np.round(runs, 7), FORMATS[name](runs))) >= 30


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.01])
def test_seeds_in_two_formats_are_no_copies(name: str, noise: float) -> None:
    named = 0
    for k in range(20):
        first, second = seeds(2, noise=noise, decimals=15, of=k)
        named += bool(groups(first, FORMATS[name](second)))
    assert named <= 2


def test_the_words_name_the_unit() -> None:
    (runs,) = seeds(1, noise=0.005, decimals=15, of=1)
    assert groups(runs, FORMATS["bits, 3"](runs))[0].words == "to 3 decimals of bits"
    assert groups(runs, FORMATS["floats of 16 bits"](runs))[0].words == "in floats of 16 bits"
    assert groups(runs, FORMATS["perplexity, 2"](runs))[0].words == "to 2 decimals of perplexity"


@pytest.mark.parametrize(("digits_n", "digits_d"), [(3, 15), (15, 2), (2, 2)])
def test_a_copy_whose_counts_were_rounded_is_noticed(digits_n: int, digits_d: int) -> None:
    (runs,) = seeds(1, noise=0.005, decimals=15, of=1)
    params, tokens = (
        np.array([float(f"{x:.{digits}g}") for x in values])
        for values, digits in ((PARAMS, digits_n), (TOKENS, digits_d))
    )

    def found(of_copies: Floats) -> list[Copied]:
        return copied_runs(
            np.arange(70),
            np.concatenate([TOKENS, tokens]),
            np.concatenate([runs, of_copies]),
            np.concatenate([PARAMS, params]),
        )

    assert [group.runs for group in found(runs)] == [(k, k + 35) for k in range(35)]
    # four decimals of runs that differ in N say nothing
    assert len(found(np.round(runs, 4))) <= len(groups(runs, np.round(runs, 4)))
    assert found(seeds(2, noise=0.005, decimals=15, of=3)[1]) == []


@pytest.mark.parametrize(
    ("decimals", "copies", "found"), [(9, 1, 1), (4, 1, 1), (3, 1, 0), (3, 3, 3), (2, 35, 0)]
)
def test_fewer_digits_take_more_pairs(decimals: int, copies: int, found: int) -> None:
    """At losses from 2 to 5; a single pair in three decimals may be seeds, two decimals always."""
    (runs,) = seeds(1, noise=0.005, decimals=15, of=2)
    assert len(groups(runs, np.round(runs[:copies], decimals))) == found


@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.01])
@pytest.mark.parametrize("decimals", [15, 4, 3, 2])
@pytest.mark.parametrize("number", [2, 3])
def test_seeds_that_agree_in_a_few_digits_are_no_copies(
    noise: float, decimals: int, number: int
) -> None:
    tries = 20
    named = [
        bool(groups(*seeds(number, noise=noise, decimals=decimals, of=k))) for k in range(tries)
    ]
    assert sum(named) <= 2


def test_copies_of_seeds_are_named_and_the_seeds_are_not() -> None:
    two = seeds(2, noise=0.005, decimals=15, of=3)
    found = groups(*two, np.round(two[0], 3))
    together = [set(group.runs) for group in found]
    assert all(any({k, k + 70} <= runs for runs in together) for k in range(35))
    assert sum(len(runs) for runs in together) <= 72


def test_curves_need_fewer_runs_than_last_losses() -> None:
    """Three points of a curve agree by chances of their own."""
    run = np.repeat([0, 1], 4)
    tokens = np.tile([1e8, 2e8, 4e8, 8e8], 2)
    curve = np.array([4.4211, 4.0129, 3.7456, 3.5128])
    params = np.array([1e7, 1e7])
    found = copied_runs(run, tokens, np.concatenate([curve, np.round(curve, 3)]), params)
    assert [(group.runs, group.decimals) for group in found] == [((0, 1), 3)]
    last = copied_runs(np.array([0, 1]), tokens[[3, 3]], np.array([3.5128, 3.513]), params)
    assert last == []
    # nor are runs at two rates copies of each other
    rates = np.log([[1e-3], [2e-3]])
    assert copied_runs(run, tokens, np.concatenate([curve, curve]), params, rates) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("3 decimals", "run-0000 = run-0035, to 3 decimals"),
        ("bits, 3", "run-0000 = run-0035, to 3 decimals of bits"),
        ("floats of 16 bits", "run-0000 = run-0035, in floats of 16 bits"),
        ("2 decimals", "35 of 70 runs differ from another of their size and tokens by no more"),
    ],
)
def test_rounding_is_no_noise_of_seeds(name: str, words: str) -> None:
    """An exact law with every run twice, once rounded: it passed for inexact at p = 5e-61."""
    budgets, factors = np.geomspace(1e17, 1e19, 5), np.geomspace(0.25, 4.0, 7)
    params = np.concatenate([0.35 * np.sqrt(c / 6.0) * factors for c in budgets]).round()
    tokens = (np.repeat(budgets, 7) / 6.0 / params).round()
    noise = np.exp(0.005 * np.random.default_rng(0).standard_normal(35))
    loss = (1.7 + 400.0 / params**0.34 + 400.0 / tokens**0.28) * noise
    printed = np.round(loss, int(name[0])) if name[0].isdigit() else FORMATS[name](loss)
    table = pl.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    twice = pl.concat([table, table.with_columns(loss=pl.Series(printed))])
    fit = isoflop.read(twice, name="twice").fit(
        approaches=("parametric",), draws=20, interval="percentile", forecasts=False,
        settings={"parametric": {"starts": "coarse"}, "mixture": {"simulations": 0}},
    )  # fmt: skip
    estimate = fit.estimates["parametric"]
    (told,) = [caution for caution in estimate.cautions if words in caution]
    assert told.startswith("35 of 70 runs ")
    diagnostics = expect(estimate.diagnostics, ParametricDiagnostics)
    assert diagnostics.pure_error is None
    assert diagnostics.noise_parts is None or diagnostics.noise_parts.replicates == 0
    assert "lack of fit" not in str(fit.allocate(1e19))


def test_seeds_that_are_told_apart_are_the_noise() -> None:
    """Half a step of the digits and more is a seed's; half of that is rounding's."""
    for noise, apart in ((0.0003, True), (0.00003, False)):
        first, second = seeds(2, noise=noise, decimals=3, of=5)
        run = np.arange(70)
        tokens, params = np.tile(TOKENS, 2), np.tile(PARAMS, 2)
        loss = np.concatenate([first, second])
        copies = copied_runs(run, tokens, loss, params)
        once = runs_once(run, tokens, loss, params, copies=copies)
        assert once.sum() == (70 if apart else 35)


@pytest.mark.parametrize("name", ["bits, 3", "bits, 4", "perplexity, 2", "floats of 16 bits"])
@pytest.mark.parametrize("number", [2, 3])
def test_seeds_of_a_table_in_another_unit_are_no_copies(name: str, number: int) -> None:
    """All in one unit, equal values are as likely as its steps are wide, whatever their digits."""
    named = 0
    for k in range(20):
        printed = FORMATS[name](seeds(number, noise=0.003, decimals=15, of=k))
        named += bool(groups(*printed))
    assert named <= 1


@pytest.mark.parametrize("name", ["bits, 3", "bits, 4", "perplexity, 2"])
def test_copies_in_a_table_of_another_unit_are_noticed(name: str) -> None:
    (runs,) = FORMATS[name](seeds(1, noise=0.005, decimals=15, of=1))
    found = groups(runs, runs)
    assert len(found) >= 20
    unit, digits = name.split(", ")
    assert {group.words for group in found} == {f"to {digits} decimals of {unit}"}


@pytest.mark.parametrize("noise", [0.0003, 0.0005, 0.001])
def test_a_cell_of_five_seeds_counts_once(noise: float) -> None:
    """Pairs of a cell do not agree independently: three sweeps of thirty were named."""
    named = [bool(groups(*seeds(5, noise=noise, decimals=3, of=1000 + k))) for k in range(30)]
    assert sum(named) <= 1


def test_losses_of_a_few_levels_are_no_copies() -> None:
    """As read off the colours of a figure: 245 points with 99 losses, in nine digits."""
    params = np.geomspace(1e7, 1e9, 240)
    tokens = 20.0 * params
    loss = 1.7 + 400.0 / params**0.34 + 400.0 / tokens**0.28
    levels = 1.9 * 1.0137 ** np.arange(80)
    read = levels[np.abs(np.log(loss[:, None] / levels)).argmin(axis=1)]
    # each dot beside a neighbour of a few per cent, and two seeds of some of them
    seeds_of = np.r_[np.arange(240), np.arange(0, 240, 8)]
    n, d, last = params[seeds_of], tokens[seeds_of], read[seeds_of]
    assert copied_runs(np.arange(len(last)), d, last, n) == []


def test_counts_that_lie_near_are_not_rounded_ones() -> None:
    """Sizes 5 % apart with one loss; of one that is the other in two digits it is a copy."""
    loss = np.array([3.512345678, 3.512345678, 2.9, 3.1])
    tokens = np.array([2.645e9, 2.781e9, 1e9, 4e9])
    run = np.arange(4)
    assert copied_runs(run, tokens, loss, np.array([5.866e8, 5.525e8, 1e8, 1e8])) == []
    tokens[1] = 2.6e9
    assert copied_runs(run, tokens, loss, np.array([5.866e8, 5.525e8, 1e8, 1e8])) == []
    (found,) = copied_runs(run, tokens, loss, np.array([5.866e8, 5.9e8, 1e8, 1e8]))
    assert found.runs == (0, 1)

"""What counts as one N and one D."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoflop.cells import (
    RATES,
    SETTINGS,
    cell_of,
    cells_of,
    cells_of_logs,
    merged,
    number_of_cells,
    repeats_of,
    settings_of,
)
from isoflop.estimates.forecasts import RunNoise
from isoflop.tables import Losses, Runs


@pytest.mark.parametrize("apart", [0.0, 1e-5, 1e-4, 5e-4, 9e-4])
def test_two_nearly_alike_are_one_cell_wherever_they_lie(apart: float) -> None:
    """Rounding told two that differ by half of its step apart in every second place."""
    for k in range(200):
        d = 1e8 * (1.0 + 0.0007 * k)
        params, tokens = np.array([1e6, 1e6, 2e6]), np.array([d, d * (1.0 + apart), d])
        assert cells_of(params, tokens).tolist() == [0, 0, 1]
        noise = RunNoise.pooled(params, tokens, np.array([3.1, 3.3, 3.0]))
        assert noise is not None
        assert (noise.cells, noise.freedom) == (1, 1)
        frame = pl.DataFrame({"n": params, "d": tokens})
        assert frame.group_by(cell_of("n", "d")).len()["len"].sort().to_list() == [1, 2]


def test_what_lies_apart_is_not_one_cell_and_a_size_has_gaps_of_its_own() -> None:
    assert cells_of(np.array([1e6, 1.0011e6])).tolist() == [0, 1]
    # of all sizes together the token counts have no gap; of one size each stands alone
    tokens = 1e9 * np.exp(np.arange(40) * 8e-4)
    params = np.tile(np.geomspace(1e6, 8e6, 4), 10)
    assert len(np.unique(cells_of(params, tokens))) == 40
    assert len(np.unique(cells_of(tokens))) == 1


def test_one_value_stands_for_a_cell() -> None:
    values = np.array([2e6, 1e6, 2.001e6, 1.0e6, 2.0005e6, 5e6])
    cell = cells_of(values)
    assert number_of_cells(cell) == 3
    assert merged(values, cell).tolist() == [2.0005e6, 1e6, 2.0005e6, 1e6, 2.0005e6, 5e6]
    assert cells_of_logs(np.log(values)).tolist() == cell.tolist()
    assert number_of_cells(cells_of(values[:0])) == 0


def test_frames_and_arrays_have_the_same_cells() -> None:
    rng = np.random.default_rng(0)
    params = rng.choice([1e6, 2e6, 2.001e6, 4e6], 300) * np.exp(rng.uniform(-4e-4, 4e-4, 300))
    tokens = rng.choice([1e8, 2e8], 300) * np.exp(rng.uniform(-1e-3, 1e-3, 300))
    cells = cells_of(params, tokens)
    frame = pl.DataFrame({"n": params, "d": tokens, "cell": cells})
    groups = frame.group_by(cell_of("n", "d")).agg(pl.col("cell").n_unique().alias("number"))
    assert groups["number"].to_list() == [1] * len(np.unique(cells))
    unknown = pl.DataFrame({"n": [1e6, None, 1e6]}).select(cell_of("n"))
    assert unknown["n_cell"].to_list() == [0, None, 0]


def _groups(*, but: tuple[str, ...] = (), **settings: list[object]) -> list[int]:
    """Group runs of one N and D by what is known of their settings."""
    rows = len(next(iter(settings.values())))
    table = pl.DataFrame({"tokens": [1e9] * rows, **settings})
    alike = repeats_of(np.full(rows, 1e6), np.full(rows, 1e9), settings_of(table, but=but))
    return [alike.tolist().index(group) for group in alike.tolist()]


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("lr_peak", [1e-3, 2e-3, 1.0001e-3]),
        ("warmup_tokens", [0.0, 1e6, 0.0]),
        ("schedule_kind", ["cosine", "wsd", "cosine"]),
        ("schedule_fraction", [1.0, 0.5, 0.995]),
        ("schedule_tokens", [1e9, 2e9, 1.001e9]),
        ("tokens_per_step", [65536.0, 131072.0, 65536.0]),
        ("seq_len", [128, 256, 128]),
        ("layers", [2, 3, 2]),
        ("d_model", [64, 96, 64]),
        ("dataset", ["c4", "fineweb", "c4"]),
        ("tokenizer", ["gpt2", "bytes", "gpt2"]),
        ("unique_tokens", [1e8, 4e8, 1e8]),
    ],
)
def test_runs_of_one_n_and_d_that_were_trained_otherwise_are_no_repeats(
    setting: str, values: list[object]
) -> None:
    assert _groups(**{setting: values}) == [0, 1, 0]
    # what is known of no run tells none apart
    assert _groups(**{setting: [None] * 3}) == [0, 0, 0]


def test_the_end_of_a_schedule_is_a_share_of_its_peak() -> None:
    peaks = [1e-3, 1e-3, 1e-3]
    assert _groups(lr_peak=peaks, lr_end=[0.0, 1e-4, 1e-9]) == [0, 1, 0]
    # trials of rates vary both, and nothing else
    trials = {"lr_peak": [1e-3, 2e-3, 4e-3], "lr_end": [1e-4, 1e-4, 1e-4]}
    assert _groups(**trials) == [0, 1, 2]
    assert _groups(**trials, but=RATES) == [0, 0, 0]
    assert _groups(**trials, tokens_per_step=[1e5, 1e5, 2e5], but=RATES) == [0, 0, 2]


def test_an_unknown_setting_agrees_with_the_one_that_all_others_have_and_else_with_none() -> None:
    assert _groups(lr_peak=[1e-3, None, 1e-3]) == [0, 0, 0]
    # it may be either: the two without one repeat each other, and neither of the others
    assert _groups(lr_peak=[1e-3, None, 2e-3, None]) == [0, 1, 2, 1]
    # among runs of its own rate nothing contradicts it
    batches = [65536.0, None, 131072.0, 131072.0]
    assert _groups(lr_peak=[1e-3, 1e-3, 2e-3, None], tokens_per_step=batches) == [0, 0, 2, 3]


def test_many_rates_close_together_are_not_one() -> None:
    """Of all sizes together the rates leave no gap; within a cell they do."""
    rates = np.geomspace(1e-3, 1e-2, 400)
    params = np.concatenate([np.full(2, 1e6), np.geomspace(2e6, 1e9, 398)])
    table = pl.DataFrame({"lr_peak": np.concatenate([rates[[0, -1]], rates[1:-1]])})
    assert len(set(repeats_of(params, np.full(400, 1e9), settings_of(table)))) == 400


def test_every_setting_is_in_the_tables_of_runs_and_of_losses() -> None:
    assert set(SETTINGS) <= set(Runs.columns())
    # which has a schedule's length as the share of it that is done
    assert set(SETTINGS) - {"schedule_tokens"} <= set(Losses.columns())


def test_a_rate_grid_is_no_noise_of_seeds() -> None:
    """Two seeds .01 apart, and a third run of the same N and D at four times their rate."""
    settings = settings_of(pl.DataFrame({"lr_peak": [1e-3, 1e-3, 4e-3]}))
    place = np.full(3, 1e6), np.full(3, 1e9), np.array([3.0, 3.01, 3.4])
    noise = RunNoise.pooled(*place, settings)
    assert noise is not None
    assert (noise.cells, noise.freedom) == (1, 1)
    assert noise.sd == pytest.approx(0.01 / np.sqrt(2.0))
    assert RunNoise.pooled(*place).sd > 0.2  # type: ignore[union-attr]
    assert RunNoise.pooled(*(axis[1:] for axis in place), settings[1:]) is None

"""Announced losses: said once, of runs that nobody has trained, beyond what was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from isoflop.approach import LAWS
from isoflop.approaches.announce_losses import announce_losses, announce_pair
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.mix_laws import mix_laws
from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.announced import (
    AlreadyAnnouncedError,
    Announcement,
    PairAnnouncement,
    add_announcement,
    read_announcements,
)
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Provenance
from isoflop.estimates.forecasts import NoForecasts
from isoflop.estimates.mixture import Mixture, write_mixture
from isoflop.tables import Losses, TableError, Targets, read_csv_table, write_table
from tests.approaches.conftest import LAW

if TYPE_CHECKING:
    from pathlib import Path

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 60, "interval": "percentile"},
        "parametric": {"starts": "coarse"},
    }
)


@pytest.fixture(scope="module")
def mixture(losses: pl.DataFrame) -> Mixture:
    """Give the mixture of the room's sweep, all laws alike."""
    found = {
        law: fit_approach(losses, law, SETTINGS, sweep="s", provenance=PROVENANCE, threads=1)
        for law in LAWS
    }
    untried = NoForecasts(
        sweep="s", settings=SETTINGS.only("counting"), refused="not tried", provenance=PROVENANCE
    )
    mixed, _ = mix_laws(
        {law: estimate for law, (estimate, _) in found.items()},
        {law: Draws.of(draws) for law, (_, draws) in found.items()},
        untried,
        SETTINGS,
        sweep="s",
        provenance=PROVENANCE,
    )
    assert isinstance(mixed, Mixture)
    return mixed


def targets(losses: pl.DataFrame, *, beyond: float = 10.0) -> pl.DataFrame:
    """Plan two runs beyond the largest compute of the sweep."""
    flops = float(losses["flops_6nd"].max()) * beyond
    params = np.array([1.0, 4.0]) * float(losses["params_total"].max())
    return pl.DataFrame(
        {
            "run": ["one", "two"],
            "params_total": params,
            "params_nonembedding": params,
            "params_with_head": params,
            "tokens": flops / 6.0 / params,
            "flops_6nd": [flops, flops],
            "flops_kaplan": [flops, flops],
            "flops_hoffmann": [flops, flops],
            "flops_attention": [flops, flops],
        }
    )


def announced(losses: pl.DataFrame, runs: pl.DataFrame, mixture: Mixture) -> Announcement:
    return announce_losses(losses, runs, mixture, SETTINGS, sweep="s", losses_sha256="0" * 64)


def test_the_law_behind_the_runs_is_predicted(losses: pl.DataFrame, mixture: Mixture) -> None:
    runs = targets(losses)
    said = announced(losses, runs, mixture)
    truth = LAW.loss(runs["params_total"].to_numpy(), runs["tokens"].to_numpy())
    assert [run.run for run in said.runs] == ["one", "two"]
    for run, true in zip(said.runs, truth, strict=True):
        chinchilla = run.losses["parametric"]
        assert chinchilla.predicted == pytest.approx(true, rel=0.005)
        low, high = chinchilla.intervals["0.95"]
        assert low < true < high
        # an interval of a run is wider than the noise of the simulated runs alone, +-1.96 x 0.3 %
        assert (high - low) / true > 2 * 1.96 * 0.003 * 0.8
    assert set(said.runs[0].losses) == {*LAWS, "kaplan", "mixture"} - set(said.refused)
    assert sum(said.weights.values()) == pytest.approx(1.0)
    assert said.runs_fitted == losses["run"].n_unique()


def test_the_mixture_lies_among_its_laws(losses: pl.DataFrame, mixture: Mixture) -> None:
    for run in announced(losses, targets(losses), mixture).runs:
        laws = [run.losses[law].predicted for law in LAWS if law in run.losses]
        # a median of draws, where a law's own prediction is that of all runs: .2 % apart
        assert 0.998 * min(laws) <= run.losses["mixture"].predicted <= 1.002 * max(laws)


def test_only_untrained_runs_beyond_the_fit_are_announced(
    losses: pl.DataFrame, mixture: Mixture
) -> None:
    runs = targets(losses)
    trained = runs.with_columns(run=pl.Series([losses["run"][0], "two"]))
    with pytest.raises(UnderdeterminedError, match="is trained already"):
        announced(losses, trained, mixture)
    with pytest.raises(UnderdeterminedError, match="FLOPs that were fitted"):
        announced(losses, targets(losses, beyond=0.5), mixture)
    with pytest.raises(MissingFactError, match="no params_total"):
        announced(losses, runs.drop("params_total"), mixture)


def test_a_sweep_is_announced_once(losses: pl.DataFrame, mixture: Mixture, tmp_path: Path) -> None:
    write_table(losses, Losses, tmp_path / "losses.parquet")
    write_mixture(mixture, tmp_path / "mixture.json")
    targets(losses).drop("flops_attention").write_csv(tmp_path / "runs.csv")
    out = tmp_path / "forecast.yaml"
    words = [
        "announce-losses", "--sweep", "s", "--losses", str(tmp_path / "losses.parquet"),
        "--mixture", str(tmp_path / "mixture.json"), "--runs", str(tmp_path / "runs.csv"),
        "--settings", SETTINGS.model_dump_json(), "--out", str(out),
    ]  # fmt: skip
    first = CliRunner().invoke(main, words)
    assert first.exit_code == 0, first.output
    assert "commit it before any of these runs is trained" in first.output
    found = read_announcements(out)
    said = found.of("s")
    assert said is not None
    assert said.runs[1].flops == pytest.approx(10.0 * float(losses["flops_6nd"].max()))
    assert found.of("t") is None
    before = out.read_bytes()
    second = CliRunner().invoke(main, words)
    assert second.exit_code == 1
    assert "announced already" in second.output
    assert out.read_bytes() == before
    add_announcement(said.model_copy(update={"sweep": "t"}), out)
    assert [one.sweep for one in read_announcements(out).announcements] == ["s", "t"]


def test_a_table_of_runs_to_come_is_checked(losses: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    targets(losses).select("run", "params_total", "tokens", "flops_6nd").write_csv(path)
    assert read_csv_table(path, Targets)["flops_kaplan"].null_count() == 2
    targets(losses).select("run", "params_total", "flops_6nd").write_csv(path)
    with pytest.raises(TableError, match="tokens"):
        read_csv_table(path, Targets)


def pair(losses: pl.DataFrame, seeds: int) -> pl.DataFrame:
    """Plan runs of two sizes, each with several seeds."""
    of = {"one": "chinchilla", "two": "kaplan"}
    return pl.concat(
        targets(losses).with_columns(
            run=pl.Series([f"{of[run]}-s{seed}" for run in targets(losses)["run"]]),
            sized_by=pl.Series([of[run] for run in targets(losses)["run"]]),
        )
        for seed in range(seeds)
    )


def announced_pair(losses: pl.DataFrame, runs: pl.DataFrame, mixture: Mixture) -> PairAnnouncement:
    return announce_pair(losses, runs, mixture, SETTINGS, sweep="s", losses_sha256="0" * 64)


def test_a_difference_of_means_is_that_of_the_laws_and_narrower_with_more_seeds(
    losses: pl.DataFrame, mixture: Mixture
) -> None:
    few, many = (announced_pair(losses, pair(losses, seeds), mixture) for seeds in (1, 9))
    runs = {run.run: run for run in announced(losses, targets(losses), mixture).runs}
    for law, said in many.difference.items():
        if law != "mixture":
            by_law = runs["two"].losses[law].predicted - runs["one"].losses[law].predicted
            assert said.predicted == pytest.approx(by_law, abs=1e-12)
    width = [
        np.subtract(*said.difference["parametric"].intervals["0.8"][::-1]) for said in (few, many)
    ]
    assert 0.0 < width[1] < 0.6 * width[0]
    assert few.noise == pytest.approx(3.0 * many.noise) if many.noise else few.noise is None
    assert many.runs["kaplan"] == tuple(f"kaplan-s{seed}" for seed in range(9))
    assert many.flops == pytest.approx(10.0 * float(losses["flops_6nd"].max()))


def test_a_pair_needs_both_sizes_untrained(losses: pl.DataFrame, mixture: Mixture) -> None:
    runs = pair(losses, 2)
    with pytest.raises(UnderdeterminedError, match="no run to come is sized by Kaplan’s exponent"):
        announced_pair(losses, runs.filter(pl.col("run").str.starts_with("chin")), mixture)
    # a name says nothing of it
    unsaid = runs.with_columns(sized_by=pl.lit(None, dtype=pl.String))
    with pytest.raises(UnderdeterminedError, match=r"column sized_by .*: kaplan, chinchilla"):
        announced_pair(losses, unsaid, mixture)
    # what is trained already is left out, and not announced again
    trained = losses.with_columns(
        run=pl.when(pl.col("run") == losses["run"][0])
        .then(pl.lit("kaplan-s0"))
        .otherwise(pl.col("run"))
    )
    assert announced_pair(trained, runs, mixture).runs == {
        "kaplan": ("kaplan-s1",),
        "chinchilla": ("chinchilla-s0", "chinchilla-s1"),
    }


def test_a_pair_is_announced_once(losses: pl.DataFrame, mixture: Mixture, tmp_path: Path) -> None:
    out = tmp_path / "forecast.yaml"
    said = announced_pair(losses, pair(losses, 2), mixture)
    add_announcement(said, out)
    assert read_announcements(out).pair_of("s") == said
    assert read_announcements(out).of("s") is None
    before = out.read_bytes()
    with pytest.raises(AlreadyAnnouncedError, match="difference of s’s pair is announced already"):
        add_announcement(said, out)
    assert out.read_bytes() == before

"""Genuine logs of others, from their folders to losses, and OLMo's ladder on to laws.

They are looked for as in tests/ingest/test_genuine_logs.py, and none of them is in this project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.interaction_laws import NestedFit, fit_law
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.observations import observe
from isoflop.config.approaches import CountingSettings, NestedSettings, ParametricSettings
from isoflop.config.losses import LossesSettings
from isoflop.losses.build import BuiltLosses, build_losses
from tests.ingest.samples import OLMO_LADDER, ingest, write
from tests.ingest.test_genuine_logs import LOGS, needs_logs

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.approaches.observations import Observations
    from isoflop.ingest.sweep import Ingested

pytestmark = pytest.mark.mirror

VOCABULARY = 100_352
LADDER = {
    "190M": (190_354_176, 768), "370M": (371_262_464, 1024), "760M": (758_220_288, 1536),
    "1B": (1_279_395_840, 2048), "3B": (3_169_537_280, 3328),
}  # fmt: skip
"""N with the head and without the embedding, as the ladder counts it, and the width; untied."""


def built_of(tables: Ingested) -> BuiltLosses:
    return build_losses(tables.curves, tables.runs, tables.files, LossesSettings())


def copied(folder: Path, source: str, sidecar: str, *, only: str = "") -> Ingested:
    write(folder, {}, sidecar)
    for path in (LOGS / source).iterdir():
        if only in path.name:
            (folder / path.name).write_bytes(path.read_bytes())
    return ingest(folder, {}, sidecar)


def rms(observations: Observations, fitted: np.ndarray) -> float:
    residuals = np.log(observations.loss) - fitted
    return float(np.sqrt(np.nanmean(residuals**2)))


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> BuiltLosses:
    rules = ""
    for name, (params, width) in LADDER.items():
        matrix = VOCABULARY * width
        rules += (
            f'- {{match: "*{name}-*", params: {{total: {params + matrix}, '
            f"nonembedding: {params - matrix}}}}}\n"
        )
    folder = tmp_path_factory.mktemp("ladder") / "olmo"
    return built_of(copied(folder, "olmo_ladder_wandb_csv", OLMO_LADDER + rules, only="xC"))


@needs_logs
def test_every_run_of_olmos_ladder_has_its_final_loss(ladder: BuiltLosses) -> None:
    assert ladder.kind == "eval"
    finals = ladder.losses.filter("is_final")
    assert finals.height == len(LADDER) * 6
    assert ladder.left_out.is_empty()
    assert finals["loss"].is_between(2.4, 3.8).all()


@needs_logs
@pytest.mark.parametrize(
    ("params", "chinchilla", "nested", "gamma"),
    # fitted once by another program, from the same files (soft L1 of .005, final losses)
    [("total", 0.0053, 0.0015, 0.23), ("nonembedding", 0.0054, 0.0016, 0.18)],
)
def test_laws_of_olmos_ladder(
    ladder: BuiltLosses, params: str, chinchilla: float, nested: float, gamma: float
) -> None:
    sweep = observe(ladder.losses, CountingSettings.model_validate({"params": params}))
    objective = {"objective": "huber", "huber_delta": 0.005, "starts": "coarse"}
    plain = fit_parametric(sweep, ParametricSettings.model_validate(objective))
    bent = fit_law(sweep, NestedFit, NestedSettings.model_validate(objective))
    assert rms(sweep, plain.fitted) == pytest.approx(chinchilla, abs=1e-4)
    assert rms(sweep, bent.fitted) == pytest.approx(nested, abs=1e-4)
    assert bent.parameters[-1] == pytest.approx(gamma, abs=0.01)


@needs_logs
def test_bigsciences_runs_have_curves_and_no_final_loss(tmp_path: Path) -> None:
    tables = copied(tmp_path / "s", "megatron_deepspeed_slurm", "title: t\n")
    built = built_of(tables)
    assert built.losses["run"].n_unique() == 4
    assert not built.losses["is_final"].any()
    told = dict(built.left_out.select("item", "reason").iter_rows())
    for run in tables.runs["run"]:
        assert "of its schedule" in told[run]
        assert "no final loss (its curve is kept)" in told[run]
    # the ramp-up of their batch is declared
    assert not tables.runs["notes"].str.contains("step x tokens per step").any()


@needs_logs
def test_nanochats_speedrun_has_its_final_loss_and_a_word_on_each_doubt(tmp_path: Path) -> None:
    tables = copied(tmp_path / "s", "nanochat", "title: t\n", only="speedrun")
    built = built_of(tables)
    assert built.kind == "train"
    (final,) = built.losses.filter("is_final").iter_rows(named=True)
    assert final["tokens"] == 21_399 * 524_288  # its last training line
    assert final["loss"] == pytest.approx(2.72, abs=0.02)
    reasons = " ".join(built.left_out["reason"])
    assert "lags" not in reasons  # its moving average is put where it was measured
    assert "bits per byte: no losses without bytes_per_token" in tables.runs["notes"][0]

"""Folders that trainers' own libraries wrote, dropped in and built to a report.

W&B offline in two launches, a project of trackio and Lightning resumed from a checkpoint; see
tests/ingest/test_trainers_tables.py and test_lightning.py, which compare every loss. Two runs
determine no law: the report says so of each approach, and gives the runs.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from isoflop.tables import Losses, read_table
from tests.ingest.test_lightning import GENUINE, GENUINE_SIDECAR
from tests.ingest.test_trainers_tables import FIXTURES
from tests.workflow.toy import LEAST

if TYPE_CHECKING:
    from tests.workflow.toy import Project

ENDS = {
    sweep: {
        run: logged["last_eval_loss"]
        for run, logged in json.loads((FIXTURES / sweep / "expected.json").read_text()).items()
    }
    for sweep in ("wandb", "trackio")
}


def test_what_the_libraries_wrote_comes_to_a_report(project: Project) -> None:
    raw = project.root / "data/raw"
    for sweep in ENDS:
        shutil.copytree(FIXTURES / sweep, raw / sweep)
        (raw / sweep / "expected.json").unlink()
    shutil.copytree(GENUINE / "csv", raw / "lightning")
    (raw / "lightning/sweep.yaml").write_text(GENUINE_SIDECAR)
    outcome = project.snakemake(settings=LEAST)
    assert outcome.status == 0, outcome.text + project.logs()
    for sweep in (*ENDS, "lightning"):
        losses = read_table(project.root / f"data/losses/{sweep}.parquet", Losses)
        ends = dict(losses.filter("is_final").select("run", "loss").iter_rows())
        assert len(ends) == 2
        if sweep in ENDS:
            assert ends == pytest.approx(ENDS[sweep], abs=1e-4)
        report = " ".join((project.root / "reports" / sweep / "report.html").read_text().split())
        for run, loss in ends.items():
            assert run in report
            assert f"{loss:.4f}" in report
        assert "parametric needs 6 points with at least three sizes" in report
        estimates = (project.root / "data/estimates" / sweep).glob("*.json")
        assert all("refused" in json.loads(path.read_text()) for path in estimates)

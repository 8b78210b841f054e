"""An estimator is added by the five files of CONTRIBUTING.md, and reaches estimate and report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import example_sweep
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ESTIMATOR = '''"""A toy: the sizes of the lowest final losses at each planned budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from isoflop.approaches.estimators.account import closed_form, spread
from isoflop.approaches.estimators.power_laws import fit_power_laws
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import ToyDiagnostics
from isoflop.estimates.laws import PowerLaws


@dataclass(frozen=True, eq=False)
class ToyFit(Fit):
    approach: ClassVar[str] = "toy"
    takes_losses: ClassVar[bool] = False
    observations: object
    law: ClassVar[PowerLaws] = PowerLaws()
    n_parameters: ClassVar[int] = 2

    @cached_property
    def parameters(self):
        return self.refit(Resamples(np.ones((1, self.observations.n_runs)))).parameters[0]

    @property
    def fitted(self):
        return np.full(len(self.observations.loss), np.nan)

    def refit(self, resamples):
        final = self.observations.at(self.observations.is_final)
        budgets = np.unique(final.run_budget)
        loss = np.where(resamples.weights > 0, final.loss, np.inf)
        best = np.stack(
            [np.where(final.run_budget == c, loss, np.inf).argmin(axis=1) for c in budgets], 1
        )
        columns = (np.log(v)[best] for v in (final.params, final.tokens, final.loss))
        laws = fit_power_laws(np.log(budgets)[None], *columns, np.ones(best.shape))
        return Refits(laws, np.full(len(laws), ""))

    def refit_losses(self, observations):
        return ToyFit(observations)

    def diagnostics(self):
        left = np.zeros(3)
        kind = "least squares of log N on log C"
        account = closed_form(0.0, kind=kind, points=4, parameters=2, condition_number=None)
        return ToyDiagnostics(account=account, residuals=spread(left))

    def cautions(self):
        return ["A toy."]


def fit_toy(observations, settings):
    if len(np.unique(observations.run_budget)) < settings.min_budgets:
        raise UnderdeterminedError("toy needs more budgets. Add runs.")
    return ToyFit(observations)
'''
EDITS = {
    "approach.py": [
        (
            '\n)\n"""Every approach, in the order',
            '\n    Row("toy", None, "Toy", "the toy", "#112233", "*", (5, 5)),'
            '\n)\n"""Every approach, in the order',
        )
    ],
    "approaches/estimators/registry.py": [
        (
            "from isoflop.approaches.observations",
            "from isoflop.approaches.estimators.toy import fit_toy\n"
            "from isoflop.approaches.observations",
        ),
        (
            '    "envelope": _envelope,\n',
            '    "envelope": _envelope,\n    "toy": lambda o, s, _: fit_toy(o, s.toy),\n',
        ),
    ],
    "config/approaches.py": [
        (
            "class ApproachesSettings(Section):",
            "class ToySettings(Section):\n"
            '    """A toy."""\n\n'
            "    min_budgets: int = 2\n"
            '    """Fewest budgets."""\n\n\n'
            "class ApproachesSettings(Section):",
        ),
        (
            "    envelope: EnvelopeSettings = EnvelopeSettings()\n",
            "    envelope: EnvelopeSettings = EnvelopeSettings()\n"
            "    toy: ToySettings = ToySettings()\n",
        ),
    ],
    "estimates/diagnostics.py": [
        (
            "Diagnostics = Annotated[\n    EnvelopeDiagnostics\n",
            "class ToyDiagnostics(Section):\n"
            '    approach: Literal["toy"] = "toy"\n'
            "    account: Account\n"
            "    residuals: Spread\n"
            "    trends: None = None\n\n\n"
            "Diagnostics = Annotated[\n    ToyDiagnostics\n    | EnvelopeDiagnostics\n",
        )
    ],
}
USE = """
import sys
from pathlib import Path

from isoflop.drawing.manifest import FigureText, write_manifest
from isoflop.estimates.estimate import read_estimates
from isoflop.figures.plot_figures import FIGURES, plot_figure
from isoflop.report.document import write_document
from tests import example_sweep

root = Path(sys.argv[1])
paths = example_sweep.Paths.below(root)
inputs = paths.figure_inputs()
folder = root / "figures"
drawn = ("predictions", "exponents")
absent = FigureText(shown=False, reason="Not drawn.", alt="Not drawn.")
manifest = {name: absent for name in FIGURES}
manifest |= {name: plot_figure(name, inputs, folder) for name in drawn}
write_manifest(manifest, folder)
print(manifest["predictions"].alt)
print(write_document(paths.report_inputs(folder)).markdown)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the package with the toy added by its five files."""
    source = tmp_path_factory.mktemp("src")
    shutil.copytree(
        ROOT / "src/isoflop", source / "isoflop", ignore=shutil.ignore_patterns("__pycache__")
    )
    (source / "isoflop/approaches/estimators/toy.py").write_text(ESTIMATOR)
    for name, edits in EDITS.items():
        path = source / "isoflop" / name
        text = path.read_text(encoding="utf-8")
        for before, after in edits:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    assert len(EDITS) + 1 == 5
    return source


def run(package: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_five_files_make_an_estimator(package: Path, tmp_path: Path) -> None:
    example_sweep.write(tmp_path)  # by the package without the toy: other tests share its files
    folder = tmp_path / "data/estimates/made-up"
    said = run(
        package, "-c", "from isoflop.cli import main; main()", "fit-approach",
        "--approach", "toy", "--sweep", "made-up",
        "--losses", str(tmp_path / "data/losses/made-up.parquet"),
        "--settings", '{"bootstrap": {"draws": 50, "simulations": 50, "simulation_draws": 40}}',
        "--estimate", str(folder / "toy.json"), "--draws", str(folder / "toy.draws.parquet"),
    )  # fmt: skip
    a = json.loads((folder / "toy.json").read_text())["a"]
    assert said.startswith(f"made-up, toy: a = {a['value']:.4f}")
    for level, (low, high) in a["intervals"].items():
        assert f", {100.0 * float(level):.0f} % {low:.3f} to {high:.3f}" in said
    assert set(a["levels"]) == {"0.8", "0.95"}
    assert a["simulated"][0]["truth"] > 0.0
    figure, _, report = run(package, "-c", USE, str(tmp_path)).partition("\n")
    assert f"Toy {a['value']:.3f}" in figure
    rows = [line for line in report.splitlines() if "Toy" in line and f"{a['value']:.3f}" in line]
    assert rows

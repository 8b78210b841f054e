"""Let the package `chinchilla` forecast what the backtest hides, beside approach 3.

    pip install chinchilla==0.2.0
    python bench/peers.py --backtest reports/published/backtest.json --plan PLAN --root .

Its fit gives no intervals, so it is scored by its errors alone: bias and rms of log L over the
hidden points of every sweep and cut of the backtest, with its default loss (`asymmetric_mae`) and
with Hoffmann et al.'s (`log_huber`, delta .001). It asks its user for the grid of starts: here two
values of each parameter, 32 starts. PLAN is what the rule backtest_laws passes (`snakemake -p`).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from chinchilla import Chinchilla
from chinchilla._metrics import asymmetric_mae, log_huber

from isoflop.approaches.backtest_laws import cuts, points_of
from isoflop.estimates.backtest import Plan, read_backtest
from isoflop.tables import Losses, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

LOSSES: dict[str, Callable[..., np.ndarray]] = {
    "asymmetric MAE, its default": asymmetric_mae,
    "Huber on log L, delta .001": partial(log_huber, delta=1e-3),
}


def fitted(below: pl.DataFrame, loss: Callable[..., np.ndarray]) -> Chinchilla:
    """Fit as the package's README does."""
    least = float(below["loss"].min())  # type: ignore[arg-type]
    grid = {
        "E": (0.3 * least, 0.8 * least),
        "a": (3.0, 8.0),
        "b": (3.0, 8.0),
        "alpha": (0.25, 0.5),
        "beta": (0.25, 0.5),
    }
    with tempfile.TemporaryDirectory() as folder:
        tool = Chinchilla(folder, param_grid=grid, loss_fn=loss, log_level=logging.CRITICAL)
        for n, d, y in below.select("params_total", "tokens", "loss").iter_rows():
            tool.append(N=n, D=d, loss=y)
        tool.fit(parallel=False)
    return tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backtest", type=Path, required=True)
    parser.add_argument("--plan", required=True, help="As the rule backtest_laws passes it.")
    parser.add_argument("--root", type=Path, default=Path())
    options = parser.parse_args()
    mpl.use("Agg")
    backtest = read_backtest(options.backtest)
    cells = {(cell.sweep, cell.hidden): cell for cell in backtest.cells}
    logs: dict[str, list[float]] = {name: [] for name in LOSSES}
    studies: list[str] = []
    for planned in Plan.model_validate_json(options.plan).sweeps:
        if planned.sweep not in {sweep for sweep, _ in cells}:
            continue
        points = points_of(planned, read_table(options.root / planned.losses, Losses))
        for hidden, (below, above, _) in cuts(points).items():
            cell = cells[planned.sweep, hidden]
            studies.append(planned.study)
            said = {"sweep": planned.sweep, "hidden": hidden}
            for name, loss in LOSSES.items():
                with warnings.catch_warnings(action="ignore"):
                    tool = fitted(below, loss)
                    value = tool.predict_loss(
                        above["params_total"].to_numpy(), above["tokens"].to_numpy()
                    )
                error = np.log(value) - np.log(above["loss"].to_numpy())
                rms = float(np.sqrt(np.mean(error**2)))
                logs[name].append(np.log(rms / cell.scores["parametric"].rms))
                said[name] = f"bias {error.mean():+.4f}, rms {rms:.4f}"
            said["approach 3"] = f"rms {cell.scores['parametric'].rms:.4f}"
            print(json.dumps(said), flush=True)
    for name, ratios in logs.items():
        by_study = [
            np.mean([r for r, s in zip(ratios, studies, strict=True) if s == study])
            for study in set(studies)
        ]
        pooled, per_study = np.exp(np.mean(ratios)), np.exp(np.mean(by_study))
        print(f"{name}: rms / approach 3's {pooled:.2f}, by study {per_study:.2f}")


if __name__ == "__main__":
    main()

"""Time the estimators beside the usual tools, in one run on one machine.

    python bench/approaches.py [--sample 40] [--threads 1] [--markdown FILE]

The 240 points are those of Hoffmann et al. (2022), figure 4, digitised by Epoch AI
(--points FILE); without the file, 240 points are simulated. Scipy refits a sample of the same
resamples, and its time is scaled up to all of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from isoflop.approaches.envelope import fit_envelope
from isoflop.approaches.parametric import fit_parametric
from isoflop.approaches.profiles import fit_profiles
from isoflop.approaches.resampling import resample
from isoflop.approaches.simulate import Design, isoflop_design, simulate
from isoflop.config import (
    BootstrapSettings,
    CountingSettings,
    EnvelopeSettings,
    ParametricSettings,
    ProfilesSettings,
)
from isoflop.laws import ChinchillaLaw

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.approaches.observations import Observations

DRAWS = 4000
DELTA = 1e-3
TOLERANCES = {
    "ftol 1e-15, gtol 1e-12": {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10**5, "maxfun": 10**6},
    "default tolerances": {},
}
LAW = ChinchillaLaw(E=1.8172, A=477.8, B=2143.0, alpha=0.3473, beta=0.3672)
POINTS = Path("..") / "shared" / "datasets" / "hoffmann_epoch245"
FILE = "epoch_chinchilla_svg_extracted_data.csv"


def main() -> None:
    """Run all timings and print or write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, default=POINTS / FILE)
    parser.add_argument("--sample", type=int, default=40, help="resamples that scipy refits")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="file to write the table to")
    options = parser.parse_args()
    rows = [*approach_3(options.points, options.sample, options.threads), *approaches_1_and_2()]
    text = "\n".join(
        ["| task | tool | CPU s | wall s | times faster | excess |", "|---|---|---|---|---|---|"]
        + ["| " + " | ".join(line) + " |" for line in rows]
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(page(text), encoding="utf-8")


def page(table: str) -> str:
    tools = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    cores = len(os.sched_getaffinity(0))
    return (
        "# Benchmarks\n\n"
        "Made by `python bench/approaches.py --markdown docs/benchmarks.md`, which anyone can run; "
        "ratios are of CPU time within this one run.\n\n"
        f"{platform.processor() or platform.machine()}, {cores} cores, Python "
        f"{platform.python_version()}, {tools}.\n\n{table}\n\n"
        "Scipy refits a sample of the resamples, from the same optimum, and its time is scaled to "
        "all 4,000. Excess: how far the worst of the sample ends above the lower of the two "
        "objectives, relative.\n"
    )


def timed(task: Callable[[], Any]) -> tuple[Any, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = task()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def points_240(path: Path) -> Observations:
    """Read the 240 points, or simulate as many."""
    if not path.exists():
        rng = np.random.default_rng(0)
        params = np.exp(rng.uniform(np.log(5e7), np.log(1e10), 240))
        tokens = np.exp(rng.uniform(np.log(1e9), np.log(3e11), 240))
        design = Design(params, tokens, np.full(240, np.nan), points=1)
        return simulate(LAW, design, noise=0.006, rng=rng)
    columns = np.genfromtxt(
        path, delimiter=",", names=True, dtype=None, encoding="utf-8", comments=None
    )
    kept = columns["loss"] < np.sort(columns["loss"])[-5]
    params, flops = columns["Model_Size"][kept], columns["Training_FLOP"][kept]
    design = Design(params, flops / (6 * params), np.full(len(params), np.nan), points=1)
    empty = simulate(LAW, design, noise=0.0, rng=np.random.default_rng(0))
    return empty.with_loss(columns["loss"][kept])


def approach_3(path: Path, sample: int, threads: int) -> list[list[str]]:
    data = points_240(path)
    fit, cpu_grid, wall_grid = timed(
        lambda: fit_parametric(data, ParametricSettings(), CountingSettings(), threads=threads)
    )
    resamples = resample(fit, BootstrapSettings(draws=DRAWS))
    refits, cpu, wall = timed(lambda: fit.refit(resamples))
    x, y, target = (np.log(v) for v in (data.params, data.tokens, data.loss))
    ours = np.array(
        [
            objective(to_theta(p, 0.0, 0.0), w, x, y, target)[0]
            for p, w in zip(refits.parameters[:sample], resamples.weights, strict=False)
        ]
    )
    rows, first, worst = [], 0.0, 0.0
    for centred in (False, True):
        at = (x.mean(), y.mean()) if centred else (0.0, 0.0)
        points = (x - at[0], y - at[1], target)
        start = to_theta(fit.parameters, *at)
        for name, keys in TOLERANCES.items():
            found, base, base_wall = timed(
                lambda start=start, points=points, keys=keys: np.array(
                    [
                        minimize(
                            objective, start, (w, *points), "L-BFGS-B", jac=True, options=keys
                        ).fun
                        for w in resamples.weights[:sample]
                    ]
                )
            )
            base, base_wall = (v * DRAWS / sample for v in (base, base_wall))
            first = first or base
            excess = (found / np.minimum(found, ours) - 1).max()
            worst = max(worst, float((ours / np.minimum(found, ours) - 1).max()))
            tool = f"scipy L-BFGS-B, gradient, {name}{', centred logs' if centred else ''}"
            rows.append(
                row(f"{DRAWS} refits", tool, base, base_wall, ratio=first / base, excess=excess)
            )
    mine = f"isoflop, {threads} thread{'s' if threads > 1 else ''}"
    rows.append(row(f"{DRAWS} refits", mine, cpu, wall, ratio=first / cpu, excess=worst))
    rows.append(row("grid of 4,500 starts", mine, cpu_grid, wall_grid))
    return rows


def row(
    task: str,
    tool: str,
    cpu: float,
    wall: float,
    *,
    ratio: float | None = None,
    excess: float | None = None,
) -> list[str]:
    return [
        task,
        tool,
        f"{cpu:.2f}",
        f"{wall:.2f}",
        "" if ratio is None else f"{ratio:.1f}",
        "" if excess is None else f"{excess:.0e}",
    ]


def to_theta(parameters: np.ndarray, x: float, y: float) -> np.ndarray:
    """Give log E, log A, log B, alpha, beta, with N and D measured from exp(x) and exp(y)."""
    log_e, log_a, log_b = np.log(parameters[:3])
    alpha, beta = parameters[3:]
    return np.array([log_e, log_a - alpha * x, log_b - beta * y, alpha, beta])


def objective(
    theta: np.ndarray, weights: np.ndarray, x: np.ndarray, y: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray]:
    """Give the Huber sum of Hoffmann et al. (2022), equation 3, and its gradient."""
    log_e, log_a, log_b, alpha, beta = theta
    e = np.exp(log_e)
    a = np.exp(log_a - alpha * x)
    b = np.exp(log_b - beta * y)
    total = e + a + b
    residual = target - np.log(total)
    clipped = np.clip(residual, -DELTA, DELTA)
    pull = -weights * clipped / total
    pull_a, pull_b = pull * a, pull * b
    gradient = [e * pull.sum(), pull_a.sum(), pull_b.sum(), -(pull_a @ x), -(pull_b @ y)]
    return float(weights @ (clipped * (residual - 0.5 * clipped))), np.array(gradient)


def approaches_1_and_2() -> list[list[str]]:
    design = isoflop_design(LAW, np.geomspace(1e17, 1e19, 7), sizes=10, points=200)
    data = simulate(LAW, design, noise=0.003, rng=np.random.default_rng(0), penalty=0.3)
    counting, rows = CountingSettings(), []
    for name, fit in {
        "envelope, grid": fit_envelope(data, EnvelopeSettings(), counting),
        "envelope, hull": fit_envelope(data, EnvelopeSettings(frontier="hull"), counting),
        "profiles, parabola": fit_profiles(data, ProfilesSettings(), counting),
        "profiles, Akima": fit_profiles(data, ProfilesSettings(curve="akima"), counting),
    }.items():
        _, cpu, wall = timed(
            lambda fit=fit: fit.refit(resample(fit, BootstrapSettings(draws=DRAWS)))
        )
        task = f"{DRAWS} draws of {name}, 70 runs of 200 points"
        rows.append(row(task, "isoflop", cpu, wall))
    return rows


if __name__ == "__main__":
    main()

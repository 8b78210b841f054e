"""Time the estimators beside the usual tools, in one run on one machine.

    python bench/approaches.py [--sample 100] [--rounds 5] [--markdown FILE]

The 240 points are those of Hoffmann et al. (2022), figure 4, digitised by Epoch AI
(--points FILE); without the file, 240 points are simulated. Scipy refits a sample of the same
resamples, and its time is scaled up to all of them. All tools take turns, and of each the fastest
round counts. BLAS has one thread, which is the faster way to run scipy's loop by the clock; the
row "BLAS threads as installed" is timed in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
AS_INSTALLED = "ISOFLOP_BENCH_BLAS_AS_INSTALLED"
if AS_INSTALLED not in os.environ:
    os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))  # read once, when numpy is imported

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests/simulate.py
import numpy as np  # noqa: E402
import page  # noqa: E402
from scipy.optimize import least_squares, minimize  # noqa: E402
from tests.simulate import Design, isoflop_design, simulate  # noqa: E402

from isoflop.approaches.estimators.envelope import fit_envelope  # noqa: E402
from isoflop.approaches.estimators.interaction_laws import NestedFit, fit_law  # noqa: E402
from isoflop.approaches.estimators.parametric import fit_parametric  # noqa: E402
from isoflop.approaches.estimators.profiles import fit_profiles  # noqa: E402
from isoflop.approaches.protocol import Resamples  # noqa: E402
from isoflop.approaches.uncertainty.resampling import resample  # noqa: E402
from isoflop.config.approaches import (  # noqa: E402
    BootstrapSettings,
    EnvelopeSettings,
    LawSettings,
    ParametricSettings,
    ProfilesSettings,
)
from isoflop.laws import ChinchillaLaw  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isoflop.approaches.estimators.parametric import ParametricFit
    from isoflop.approaches.observations import Observations

DRAWS = 4000
DELTA = 1e-3
TIGHT = "ftol 1e-15, gtol 1e-12"
TOLERANCES = {
    TIGHT: {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10**5, "maxfun": 10**6},
    "default tolerances": {},
}
LAW = ChinchillaLaw(E=1.8172, A=477.8, B=2143.0, alpha=0.3473, beta=0.3672)
POINTS = Path("..") / "shared" / "datasets" / "hoffmann_epoch245"
FILE = "epoch_chinchilla_svg_extracted_data.csv"
Timed = tuple[Any, float, float]


def main() -> None:
    """Run all timings and print or write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, default=POINTS / FILE)
    parser.add_argument("--sample", type=int, default=100, help="resamples that scipy refits")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each tool")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args()
    if AS_INSTALLED in os.environ:
        print(*baseline_as_installed(options))
        return
    rows = approach_3(options) + nested_law(options) + grid(options) + approaches_1_and_2(options)
    text = page.table("task | tool | wall s | CPU s | times faster | excess", rows)
    print(text)
    if options.markdown:
        command = "python bench/approaches.py --markdown docs/benchmarks.md"
        about = (
            f"Made by `{command}`; all tools take turns in one process, and of each the fastest "
            f"of {options.rounds} rounds counts. Times faster: by the clock, against the first row."
        )
        notes = (
            f"Scipy refits {options.sample} of the resamples, from the same optimum, and its time "
            f"is scaled to all {DRAWS:,}. Excess: how far the worst of them ends above the lowest "
            "objective that any of the tools finds, relative. BLAS has one thread, but in the row "
            "that says otherwise: SciPy's L-BFGS-B keeps a second one busy for nothing."
        )
        text = f"{about}\n\n{page.machine()}\n\n{text}\n\n{notes}"
        page.write_section(options.markdown, "Speed", text)


def timed(task: Callable[[], Any]) -> Timed:
    cpu, wall = time.process_time(), time.perf_counter()
    result = task()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def in_turns(tasks: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timed]:
    """Give each task's result and the wall and CPU time of its fastest round."""
    runs = [{name: timed(task) for name, task in tasks.items()} for _ in range(rounds)]
    return {name: min((run[name] for run in runs), key=lambda found: found[1]) for name in tasks}


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
    return replace(empty, loss=columns["loss"][kept])


def fitted(options: argparse.Namespace) -> tuple[ParametricFit, Resamples]:
    """Fit the 240 points and draw the resamples."""
    data = points_240(options.points)
    fit = fit_parametric(data, ParametricSettings(starts="coarse"), threads=1)
    return fit, resample(fit, BootstrapSettings(draws=DRAWS))


def scipy_loop(
    fit: ParametricFit, weights: np.ndarray, tolerances: dict[str, float], *, centred: bool
) -> Callable[[], np.ndarray]:
    """Refit each resample from the optimum of all runs, as one would with scipy."""
    data = fit.observations
    x, y, target = (np.log(v) for v in (data.params, data.tokens, data.loss))
    at = (x.mean(), y.mean()) if centred else (0.0, 0.0)
    points = (x - at[0], y - at[1], target)
    start = to_theta(fit.parameters, *at)

    def refit(w: np.ndarray) -> float:
        found = minimize(objective, start, (w, *points), "L-BFGS-B", jac=True, options=tolerances)
        return float(found.fun)

    return lambda: np.array([refit(w) for w in weights])


def approach_3(options: argparse.Namespace) -> list[list[str]]:
    fit, resamples = fitted(options)
    sample = np.linspace(0, DRAWS - 1, options.sample).astype(int)
    weights = resamples.weights[sample]
    loops = {
        f"scipy L-BFGS-B, gradient, {name}{', centred logs' if centred else ''}": scipy_loop(
            fit, weights, tolerances, centred=centred
        )
        for centred in (False, True)
        for name, tolerances in TOLERANCES.items()
    }
    own = {
        f"isoflop, {n} thread{'s' if n > 1 else ''}": lambda n=n: replace(fit, threads=n).refit(
            resamples
        )
        for n in range(1, min(2, page.cores()) + 1)
    }
    found = in_turns({**loops, **own}, options.rounds)
    x, y, target = (
        np.log(v) for v in (fit.observations.params, fit.observations.tokens, fit.observations.loss)
    )
    ends = {name: found[name][0] for name in loops}
    for name in own:
        parameters = found[name][0].parameters[sample]
        ends[name] = np.array(
            [
                objective(to_theta(p, 0.0, 0.0), w, x, y, target)[0]
                for p, w in zip(parameters, weights, strict=True)
            ]
        )
    best = np.min(list(ends.values()), axis=0)
    scale = {name: DRAWS / options.sample if name in loops else 1.0 for name in found}
    first = next(iter(loops))
    base = found[first][1] * scale[first]
    rows = []
    for name, (_, wall, cpu) in found.items():
        wall, cpu = wall * scale[name], cpu * scale[name]  # noqa: PLW2901
        excess = float((ends[name] / best - 1).max())
        rows.append(row(f"{DRAWS} refits", name, wall, cpu, ratio=base / wall, excess=excess))
    installed = [DRAWS / options.sample * v for v in ask_baseline_as_installed(options)]
    name = f"{first}, BLAS threads as installed"
    rows.insert(1, row(f"{DRAWS} refits", name, *installed, ratio=base / installed[0]))
    return rows


def nested_law(options: argparse.Namespace) -> list[list[str]]:
    """Refit the law with a free power by least squares on log L, beside scipy's own."""
    data = points_240(options.points)
    fit = fit_law(data, NestedFit, LawSettings(objective="mse"), threads=1)
    # the same losses for both: what runs of a size share is not drawn anew
    resamples = Resamples(resample(fit, BootstrapSettings(draws=DRAWS)).weights)
    sample = np.linspace(0, DRAWS - 1, options.sample).astype(int)
    weights = resamples.weights[sample]
    x, y, target = (np.log(v) for v in (data.params, data.tokens, data.loss))
    start = np.concatenate([np.log(fit.parameters[:3]), fit.parameters[3:]])

    def residuals(theta: np.ndarray, w: np.ndarray) -> np.ndarray:
        log_e, log_a, log_b, alpha, beta, gamma = theta
        inner = np.logaddexp(log_a - alpha * x, log_b - beta * y)
        return np.asarray(np.sqrt(w) * (np.logaddexp(log_e, gamma * inner) - target))

    def loop() -> np.ndarray:
        ends = [least_squares(residuals, start, args=(w,), x_scale="jac") for w in weights]
        return np.array([2.0 * end.cost for end in ends])

    baseline = "scipy least_squares"
    own = {
        f"isoflop, {n} thread{'s' if n > 1 else ''}": lambda n=n: replace(fit, threads=n).refit(
            resamples
        )
        for n in range(1, min(2, page.cores()) + 1)
    }
    found = in_turns({baseline: loop, **own}, max(1, options.rounds // 2))
    ends = {baseline: found[baseline][0]}
    for name in own:
        drawn = found[name][0].parameters[sample]
        thetas = np.concatenate([np.log(drawn[:, :3]), drawn[:, 3:]], axis=1)
        ends[name] = np.array(
            [(residuals(theta, w) ** 2).sum() for theta, w in zip(thetas, weights, strict=True)]
        )
    best = np.min(list(ends.values()), axis=0)
    scale = {name: DRAWS / options.sample if name == baseline else 1.0 for name in found}
    base = found[baseline][1] * scale[baseline]
    return [
        row(f"{DRAWS} refits of the nested law", name, wall * scale[name], cpu * scale[name],
            ratio=base / (wall * scale[name]), excess=float((ends[name] / best - 1).max()))
        for name, (_, wall, cpu) in found.items()
    ]  # fmt: skip


def ask_baseline_as_installed(options: argparse.Namespace) -> list[float]:
    """Time the first row in a process whose BLAS has the threads that it takes by itself."""
    environment = {k: v for k, v in os.environ.items() if k not in BLAS_THREADS}
    words = ("--points", options.points, "--sample", options.sample, "--rounds", options.rounds)
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)],
        env={**environment, AS_INSTALLED: "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [float(word) for word in done.stdout.split()]


def baseline_as_installed(options: argparse.Namespace) -> tuple[float, float]:
    fit, resamples = fitted(options)
    weights = resamples.weights[np.linspace(0, DRAWS - 1, options.sample).astype(int)]
    loop = scipy_loop(fit, weights, TOLERANCES[TIGHT], centred=False)
    _, wall, cpu = in_turns({"loop": loop}, options.rounds)["loop"]
    return wall, cpu


def grid(options: argparse.Namespace) -> list[list[str]]:
    data = points_240(options.points)
    tasks = {
        f"isoflop, {n} thread{'s' if n > 1 else ''}": lambda n=n: fit_parametric(
            data, ParametricSettings(), threads=n
        )
        for n in range(1, min(2, page.cores()) + 1)
    }
    found = in_turns(tasks, max(1, options.rounds // 2))
    return [row("grid of 4,500 starts", name, wall, cpu) for name, (_, wall, cpu) in found.items()]


def row(
    task: str,
    tool: str,
    wall: float,
    cpu: float,
    *,
    ratio: float | None = None,
    excess: float | None = None,
) -> list[str]:
    return [
        task,
        tool,
        f"{wall:.2f}",
        f"{cpu:.2f}",
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


def approaches_1_and_2(options: argparse.Namespace) -> list[list[str]]:
    design = isoflop_design(LAW, np.geomspace(1e17, 1e19, 7), sizes=10, points=200)
    data = simulate(LAW, design, noise=0.003, rng=np.random.default_rng(0), penalty=0.3)
    fits = {
        "envelope, grid": fit_envelope(data, EnvelopeSettings()),
        "envelope, hull": fit_envelope(data, EnvelopeSettings(frontier="hull")),
        "profiles, parabola": fit_profiles(data, ProfilesSettings()),
        "profiles, Akima": fit_profiles(data, ProfilesSettings(curve="akima")),
    }
    tasks = {
        name: lambda fit=fit: fit.refit(resample(fit, BootstrapSettings(draws=DRAWS)))
        for name, fit in fits.items()
    }
    return [
        row(f"{DRAWS} draws of {name}, 70 runs of 200 points", "isoflop", wall, cpu)
        for name, (_, wall, cpu) in in_turns(tasks, options.rounds).items()
    ]


if __name__ == "__main__":
    main()

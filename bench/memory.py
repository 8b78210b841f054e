"""Measure the peak memory of a sweep of 10,000 runs of 10,000 steps, 1e8 points.

    python bench/memory.py [--runs 10000] [--steps 10000] [--markdown FILE]

Each task runs in a process of its own, and its peak is that process's largest resident set as the
kernel counts it, Python, libraries and input included. The sweep has 100 budgets of 100 sizes
(at full size) simulated from a known law. Its table of curves is written to --folder, 2.2 GB, in
row groups as ingest writes them. Before it comes ingest, which holds all points in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import page

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests/simulate.py

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulate import Design

    from isoflop.approaches.observations import Observations

# imports of numpy and isoflop are in the tasks: a child's peak is never less than its parent's
DRAWS = {"arrays": 400, "table": 4000}
NOISE = 0.003
TASKS = {
    "raw-float32": "approach 1 on all points, arrays of float32",
    "raw-float64": "approach 1 on all points, arrays of float64",
    "build-losses": "`build-losses`, 200 points kept per run",
    "envelope": "`fit-approach`, approach 1",
    "profiles": "`fit-approach`, approach 2",
    "parametric": "`fit-approach`, approach 3",
}


def main() -> None:
    """Run every task in a fresh process, and print or write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where tables go, and are reused")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--only", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measured(options)))
        return
    with tempfile.TemporaryDirectory(prefix="isoflop-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        needed = not set(options.only) <= {"raw-float32", "raw-float64"}
        if needed and not (folder / "files.parquet").exists():
            child("write-curves", options, folder)
        rows = [line(name, child(name, options, folder)) for name in options.only]
    text = page.table("task | input | wall s | peak GB", rows)
    print(text)
    if options.markdown:
        command = "python bench/memory.py --markdown docs/benchmarks.md"
        about = (
            f"Made by `{command}`: {options.runs:,} runs of {options.steps:,} steps, each task in "
            "a process of its own. The peak is its largest resident set, with Python, the "
            f"libraries and the input; 1 GB is 1e9 bytes. {DRAWS['arrays']} draws from the arrays, "
            f"{DRAWS['table']:,} from the tables; intervals are percentiles, without the hundreds "
            "of further sweeps that calibration simulates."
        )
        text = f"{about}\n\n{page.machine()}\n\n{text}"
        page.write_section(options.markdown, "Memory", text)


def line(name: str, found: dict[str, Any]) -> list[str]:
    return [TASKS[name], found["input"], f"{found['wall']:.0f}", f"{found['peak'] / 1e9:.2f}"]


def child(task: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    words = ["--task", task, "--runs", options.runs, "--steps", options.steps, "--folder", folder]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    print(task, done.stdout.strip().splitlines()[-1], file=sys.stderr)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Do one task in this process."""
    folder, runs, steps = options.folder, options.runs, options.steps
    tasks: dict[str, Callable[[], str]] = {
        "raw-float32": lambda: fit_arrays(runs, steps, "float32"),
        "raw-float64": lambda: fit_arrays(runs, steps, "float64"),
        "write-curves": lambda: write_curves(folder, runs, steps),
        "build-losses": lambda: build(folder),
    }
    begin = time.perf_counter()
    made_of = tasks.get(options.task, lambda: fit_table(folder, options.task))()
    wall = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # kilobytes, but bytes on macOS
    peak *= 1 if sys.platform == "darwin" else 1024
    return {"task": options.task, "input": made_of, "wall": wall, "peak": peak}


def design_of(runs: int) -> tuple[Any, Design]:
    import numpy as np
    from tests.simulate import isoflop_design

    from isoflop.laws import ChinchillaLaw

    law = ChinchillaLaw(E=1.8172, A=477.8, B=2143.0, alpha=0.3473, beta=0.3672)
    sizes = round(runs**0.5)
    return law, isoflop_design(law, np.geomspace(1e18, 1e21, runs // sizes), sizes=sizes)


def fit_arrays(runs: int, steps: int, dtype: str) -> str:
    """Fit approach 1 to all points; the columns that it does not read take no memory."""
    from isoflop.approaches.fit_approach import fit_approach
    from isoflop.config.approaches import ApproachesSettings, BootstrapSettings
    from isoflop.estimates.estimate import provenance

    observations = arrays(runs, steps, dtype)
    bootstrap = BootstrapSettings(draws=DRAWS["arrays"], interval="percentile")
    settings = ApproachesSettings(bootstrap=bootstrap)
    estimate, draws = fit_approach(
        observations,
        "envelope",
        settings,
        sweep="simulated",
        provenance=provenance([]),
    )
    if draws.height != DRAWS["arrays"] or draws["refused"].null_count() < draws.height:
        raise SystemExit(f"{draws.height} draws, some refused: {estimate}")
    columns = ("run", "tokens", "flops", "loss")
    size = sum(getattr(observations, name).nbytes for name in columns)
    return f"{size / 1e9:.2f} GB in memory"


def arrays(runs: int, steps: int, dtype: str) -> Observations:
    import numpy as np

    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import CountingSettings

    law, design = design_of(runs)
    n = len(design.params)
    rng = np.random.default_rng(0)
    share = np.arange(1, steps + 1) / steps
    tokens, flops, loss = (np.empty((n, steps), dtype=dtype) for _ in range(3))
    run = np.empty((n, steps), dtype=np.intp)
    for i, (params, horizon) in enumerate(zip(design.params, design.tokens, strict=True)):
        run[i] = i
        tokens[i] = horizon * share
        flops[i] = 6.0 * params * horizon * share
        loss[i] = law.loss(params, horizon * share) * np.exp(rng.normal(0.0, NOISE))
    unread = np.broadcast_to(np.nan, n * steps)
    return Observations(
        sweep="simulated",
        counting=CountingSettings(),
        runs=tuple(name(i) for i in range(n)),
        run=run.ravel(),
        params=unread,
        tokens=tokens.ravel(),
        flops=flops.ravel(),
        loss=loss.ravel(),
        is_final=np.broadcast_to(np.False_, n * steps),
        schedule_fraction=unread,
        run_params=design.params,
        run_budget=design.budget,
    )


def name(i: int) -> str:
    return f"run{i:05d}"


def write_curves(folder: Path, runs: int, steps: int) -> str:
    """Write the three tables of ingest, curves in row groups of the size that ingest writes."""
    import numpy as np
    import polars as pl
    import pyarrow.parquet as pq

    from isoflop.tables import Curves, Files, Runs, validated, write_table

    law, design = design_of(runs)
    n = len(design.params)
    rng = np.random.default_rng(0)
    share = np.arange(1, steps + 1) / steps
    at_once = max(1, 2**18 // steps)
    schema = {key: column.dtype for key, column in Curves.columns().items()}
    path, writer = folder / "curves.parquet", None
    for start in range(0, n, at_once):
        rows = np.arange(start, min(start + at_once, n))
        params, tokens = design.params[rows, None], design.tokens[rows, None] * share
        # a line's own noise is what smoothing is for
        error = rng.normal(0.0, NOISE, (len(rows), 1)) + rng.normal(0.0, 0.01, tokens.shape)
        flops = 6.0 * params * tokens
        frame = pl.DataFrame(
            {
                "run": pl.Series([name(i) for i in rows]).gather(np.repeat(rows - start, steps)),
                "step": np.tile(np.arange(1, steps + 1), len(rows)),
                "tokens": tokens.ravel(),
                "flops_6nd": flops.ravel(),
                "flops_kaplan": 0.9 * flops.ravel(),
                "train_loss": (law.loss(params, tokens) * np.exp(error)).ravel(),
            }
        ).with_columns(
            segment=pl.lit(0),
            loss_kind=pl.lit("instant"),
            superseded=pl.lit(value=False),
            is_nan=pl.lit(value=False),
        )
        missing = [pl.lit(None).alias(key) for key in schema if key not in frame.columns]
        piece = validated(frame.with_columns(missing).select(schema.keys()), Curves, name="curves")
        piece = piece.with_columns(pl.col("loss_kind").cast(pl.String)).to_arrow()
        writer = writer or pq.ParquetWriter(path, piece.schema, compression="zstd")
        writer.write_table(piece)
    writer.close()
    table = pl.DataFrame(
        {
            "run": [name(i) for i in range(n)],
            "params_total": design.params,
            "params_nonembedding": 0.9 * design.params,
            "tokens": design.tokens,
            "schedule_tokens": design.tokens,
            "budget": design.budget,
        }
    ).with_columns(
        sweep=pl.lit("simulated"),
        trainer=pl.lit("simulated"),
        paths=pl.col("run"),
        role=pl.lit("fit"),
        params_total_source=pl.lit("log"),
        tokens_source=pl.lit("log"),
        status=pl.lit("finished"),
        excluded=pl.lit(value=False),
    )
    empty = [pl.lit(None).alias(key) for key in Runs.column_names() if key not in table.columns]
    table = table.with_columns(empty).select(Runs.column_names())
    write_table(table, Runs, folder / "runs.parquet")
    files = {key: column.dtype for key, column in Files.columns().items()}
    write_table(pl.DataFrame(schema=files), Files, folder / "files.parquet")
    return ""


def command(*words: str | Path) -> None:
    from isoflop.cli import main as isoflop

    isoflop([str(word) for word in words], standalone_mode=False)


def on_disk(path: Path) -> str:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(path).metadata.num_rows
    return f"{rows:,} rows, {path.stat().st_size / 1e9:.2f} GB on disk"


def build(folder: Path) -> str:
    inputs = ("curves", "runs", "files")
    command(
        *("build-losses", "--sweep", "simulated", "--settings", "config.yaml"),
        *(word for key in inputs for word in (f"--{key}", folder / f"{key}.parquet")),
        *("--losses", folder / "losses.parquet", "--left-out", folder / "left_out.parquet"),
        *("--alternate-loss", folder / "alternate_loss.parquet"),
    )
    return on_disk(folder / "curves.parquet")


def fit_table(folder: Path, approach: str) -> str:
    bootstrap = {"draws": DRAWS["table"], "interval": "percentile"}
    command(
        *("fit-approach", "--approach", approach, "--sweep", "simulated"),
        *("--settings", json.dumps({"bootstrap": bootstrap}), "--threads", "1"),
        *("--losses", folder / "losses.parquet"),
        *("--estimate", folder / f"{approach}.json", "--draws", folder / f"{approach}.parquet"),
    )
    refused = json.loads((folder / f"{approach}.json").read_text()).get("refused")
    if refused:
        raise SystemExit(refused)
    return on_disk(folder / "losses.parquet")


if __name__ == "__main__":
    main()

"""Time every fit of a report: approaches, laws, forecasts and the mixture, into docs/benchmarks.md.

    python bench/every_fit.py --sweep novels-gpu [--markdown docs/benchmarks.md]

The losses are those of a built project (data/losses), the settings those of a report: intervals are
calibrated on sweeps simulated from each law that the runs do not reject, the mixture's too. The
loop says how fast the machine is at that moment.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import page
import polars as pl

from isoflop.interface import Sweep

TITLE = "Every fit"


def timed_fits(sweep: Sweep, threads: int) -> list[list[str]]:
    """Fit everything, and give the wall and CPU seconds of each step and of all."""
    names: list[str] = []
    begun: list[tuple[float, float]] = []

    def tell(step: str) -> None:
        names.append(step.partition(": ")[2])
        begun.append((time.perf_counter(), time.process_time()))

    sweep.fit(threads=threads, tell=tell)
    tell("")
    spans = [*pairwise(begun), (begun[0], begun[-1])]
    return [
        [name or "all together", f"{last[0] - first[0]:.1f}", f"{last[1] - first[1]:.1f}"]
        for name, (first, last) in zip(names, spans, strict=True)
    ]


def loop_seconds() -> float:
    begun = time.process_time()
    total = 0
    for number in range(20_000_000):
        total += number
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", default="novels-gpu")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--threads", type=int, default=page.cores())
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    losses, curves = asked.data / "losses", asked.data / "curves"
    sweep = Sweep(
        name=asked.sweep,
        losses=pl.read_parquet(losses / f"{asked.sweep}.parquet", glob=False),
        runs=pl.read_parquet(curves / f"{asked.sweep}.runs.parquet", glob=False),
        left_out=pl.read_parquet(losses / f"{asked.sweep}.left_out.parquet", glob=False),
    )
    speed = loop_seconds()
    table = page.table("fit | wall s | CPU s", timed_fits(sweep, asked.threads))
    print(table)
    if asked.markdown:
        text = (
            f"Made by `python bench/every_fit.py --sweep {asked.sweep} --markdown "
            f"docs/benchmarks.md` from the losses of a built project, with {asked.threads} "
            "threads and the settings of a report: calibration and the check of the mixture "
            f"included. 20,000,000 additions in a loop took {speed:.2f} s.\n\n"
            f"{page.machine()}\n\n{table}"
        )
        page.write_section(asked.markdown, TITLE, text)


if __name__ == "__main__":
    main()

"""CPU seconds of one question, beside the libraries that it loads, into docs/benchmarks.md.

    python bench/ask.py --sweep novels [--before OTHER/src] [--markdown docs/benchmarks.md]

Each command is a process of its own, as somebody runs it; all take turns, so that a machine that
slows down slows them alike, and the median of the rounds counts. The loop says how fast the machine
is at that moment.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import page

LOOP = "20,000,000 additions in a loop"
POLARS = "`import polars`"
LIBRARIES = "`import numpy, polars, pydantic`"
ASKED = "from isoflop.cli import main; main({words}, standalone_mode=False)"
TITLE = "One question"


def cpu_seconds(code: str, source: Path | None) -> float:
    """Give the CPU time of a Python process and of its threads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = {} if source is None else {"PYTHONPATH": str(source)}
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **path})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(sweep: str, rounds: int, before: Path | None) -> list[list[str]]:
    published, fitted = ["allocate", "1e21"], ["allocate", "1e15", "--sweep", sweep]
    served = [*fitted, "--inference-tokens", "1e12"]
    backwards = ["allocate", "--params", "1e8", "--sweep", sweep]
    cases: dict[str, tuple[str, Path | None]] = {
        LOOP: ("total = 0\nfor _ in range(20_000_000): total += 1", None),
        POLARS: ("import polars", None),
        LIBRARIES: ("import numpy, polars, pydantic", None),
    }
    for words in (published, fitted, served, backwards):
        name = f"`isoflop {' '.join(words)}`"
        cases[name] = (ASKED.format(words=words), None)
        if before is not None:
            cases[f"{name}, before"] = (ASKED.format(words=words), before)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (code, source) in cases.items():
            seconds[name].append(cpu_seconds(code, source))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        [
            name,
            f"{median:.2f}",
            f"{median / medians[POLARS]:.1f}",
            f"{median / medians[LIBRARIES]:.1f}",
            f"{median / medians[LOOP]:.2f}",
        ]
        for name, median in medians.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", default="novels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    table = page.table(
        "command | CPU s | of Polars | of the libraries | of the loop",
        rows(asked.sweep, asked.rounds, asked.before),
    )
    print(table)
    if asked.markdown:
        text = (
            "Made by `python bench/ask.py --markdown docs/benchmarks.md` from the estimates of "
            f"`{asked.sweep}`: CPU seconds of whole processes, the median of {asked.rounds} rounds "
            "in which all take turns. The loop says how fast the machine was: on one that does it "
            "in 0.7 s, as such machines have done, a question takes 0.7 times the last "
            "column.\n\n"
            f"{page.machine()}\n\n{table}"
        )
        page.write_section(asked.markdown, TITLE, text)


if __name__ == "__main__":
    main()

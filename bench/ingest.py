"""How fast raw logs are read: MB per CPU second, beside a plain regular expression in Python.

    python bench/ingest.py [MB]
    python bench/ingest.py --memory MB...

Each case writes a made-up log of about that many MB (default 64) and reads it as ingest does, to
the records that the cache would keep. CPU seconds are of all threads, and the least of three
rounds that take turns with the expression and with a loop that tells the machine's speed. With
--memory each case is a whole `isoflop ingest-sweep` of one such log in a process of its own, and
its peak that process's largest resident set, Python and libraries included.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.ingest.formats import scan
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.source import RawFile

if TYPE_CHECKING:
    from collections.abc import Callable


def nanogpt(step: int) -> str:
    loss = 1.5 + 4.0 / (1.0 + step) ** 0.5
    line = f"iter {step}: loss {loss:.4f}, time 20.12ms, mfu 1.00%\n"
    if step % 250 == 0:
        line = f"step {step}: train loss {loss:.4f}, val loss {loss:.4f}\n" + line
    return line


def megatron(step: int) -> str:
    loss = 1.5 + 4.0 / (1.0 + step) ** 0.5
    return (
        f" [2026-05-28 22:26:20] iteration {step:8d}/ 1000000 | consumed samples: {step * 32:12d} |"
        f" elapsed time per iteration (ms): 512.3 | learning rate: 3.000000E-04 |"
        f" global batch size:    32 | lm loss: {loss:.6E} | loss scale: 1.0 |"
        f" grad norm: 1.250 | number of skipped iterations:   0 | number of nan iterations:   0 |\n"
    )


def json_lines(step: int) -> str:
    loss = 1.5 + 4.0 / (1.0 + step) ** 0.5
    return f'{{"step": {step}, "loss": {loss:.4f}, "lr": 0.0003, "tokens": {step * 1024}}}\n'


def csv(step: int) -> str:
    loss = 1.5 + 4.0 / (1.0 + step) ** 0.5
    return (
        "step,loss,lr,tokens\n" if step == 0 else ""
    ) + f"{step},{loss!r},0.0003,{step * 1024}\n"


CASES: dict[str, tuple[str, Callable[[int], str], str, float]] = {
    "nanoGPT": ("nanogpt", nanogpt, r"^iter (\d+): loss ([\d.]+), time ([\d.]+)ms", 1.0),
    "Megatron": ("megatron", megatron, r".*iteration +(\d+)/.* lm loss: (\S+) ", 1.0),
    "JSON lines": ("table", json_lines, r'.*"step": (\d+), "loss": ([\d.]+)', 1.0),
    "CSV": ("table", csv, r"(\d+),([\d.]+),([\d.e-]+),(\d+)$", 1.0),
}
"""By case: its format, a line, a plain expression, and its share of the size."""


ROUNDS = 3
"""Times that everything is measured; the least counts, since other programs only add to it."""

SIDECAR = """title: t
facts:
  params: {total: 1.0e+7}
  architecture: {seq_len: 512}
  tokens_per_step: 16384
  schedule: {kind: constant}
"""
ENDINGS = {"nanoGPT": "log", "Megatron": "log", "JSON lines": "jsonl", "CSV": "csv"}


def write(path: Path, line: Callable[[int], str], size: float) -> int:
    """Write a log of about so many MB; give its bytes."""
    with path.open("w") as log:
        written = step = 0
        while written < size * 1e6:
            written += log.write(line(step))
            step += 1
    return written


def memory(sizes: list[float]) -> None:
    """Ingest a sweep of one log in a process of its own, and tell its peak."""
    print(f"{'format':<12} {'MB':>6} {'peak MB':>8} {'CPU s':>6}")
    for size in sizes:
        for case, (_, line, _, _) in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                raw, out = Path(folder) / "raw", Path(folder) / "out"
                raw.mkdir()
                (raw / "sweep.yaml").write_text(SIDECAR)
                written = write(raw / f"a.{ENDINGS[case]}", line, size)
                words = [sys.executable, "-m", "isoflop", "ingest-sweep", "--sweep=t"]
                words += ["--raw", str(raw), "--settings=config.yaml"]
                for table in ("curves", "runs", "files", "evals", "gates"):
                    words += [f"--{table}", str(out / table)]
                process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
                _, status, used = os.wait4(process.pid, 0)
                assert status == 0
                seconds = used.ru_utime + used.ru_stime
                print(
                    f"{case:<12} {written / 1e6:>6.0f} {used.ru_maxrss / 1024:>8.0f} "
                    f"{seconds:>6.0f}",
                    flush=True,
                )


def seconds(work: Callable[[], object]) -> float:
    """Measure the CPU seconds of something."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def additions() -> None:
    """Add 20 million numbers as a plain script does: what the machine gives at the moment."""
    exec("total = 0\nfor each in range(20_000_000): total += each", {})


def main(size: float) -> None:
    print(
        f"{'format':<12} {'MB':>6} {'records':>10} {'MB/CPU s':>9} {'regex MB/CPU s':>15} "
        f"{'ratio':>6} {'2e7 additions, s':>17}"
    )
    for case, (name, line, pattern, share) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            written = write(path, line, share * size)
            compiled = re.compile(pattern)
            kept: list[int] = []

            def ours(path: Path = path, name: str = name, kept: list[int] = kept) -> None:
                kept.append(gather(scan(name, RawFile.at(path, path.parent))).lines)

            def plain(
                path: Path = path, compiled: re.Pattern[str] = compiled, kept: list[int] = kept
            ) -> None:
                with path.open() as log:
                    found = [m.groups() for text in log if (m := compiled.match(text))]
                assert kept[-1] >= len(found) > 0

            rounds = [[seconds(work) for work in (ours, plain, additions)] for _ in range(ROUNDS)]
            best, regex, loop = (min(times) for times in zip(*rounds, strict=True))
            print(
                f"{case:<12} {written / 1e6:>6.0f} {kept[-1]:>10,} {written / 1e6 / best:>9.0f} "
                f"{written / 1e6 / regex:>15.0f} {regex / best:>6.1f} {loop:>17.2f}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    if "--memory" in sys.argv:
        memory([float(word) for word in sys.argv[2:]])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 64.0)

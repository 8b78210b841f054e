"""Ingest of a large sweep: first, a no-op, one run added; seconds and memory of each.

    python bench/sweep.py 10000        10,000 runs of 100 KB
    python bench/sweep.py 1000 1000    1,000 runs of 1 MB
    python bench/sweep.py 1000 20 --names    named in nine scripts, by some 200 bytes each

Each is `isoflop ingest-sweep`, tables written, in a process of its own; so is `isoflop
build-losses` after it, with --losses. Nothing of the sweep is kept.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLES = ("curves", "runs", "files", "evals", "gates")
LINE = "iter {step}: loss {loss:.4f}, time 201.35ms, mfu 31.42%\n"
SHAPE = (8, 10, 12, 14, 16)
SCRIPTS = (
    "Μοντέλο-μεγάλο-", "модель-большая-", "模型扩展定律", "モデル規模の法則", "모델-크기-법칙-",
    "نموذج-كبير-", "מודל-גדול-", "मॉडल-बड़ा-", "แบบจำลอง-ใหญ่-", "e\u0301chelle-", "échelle-",
)  # fmt: skip
LONGEST = 230
"""Bytes of a name before its number and suffix; a file system takes 255."""


def log(run: int, kilobytes: int) -> str:
    """Write a nanoGPT log of about this size; sizes and lengths differ from run to run."""
    width = 64 * SHAPE[run % 5]
    lines = kilobytes * 1000 // 56
    header = "".join(
        f"Overriding: {name} = {value}\n"
        for name, value in {
            "n_layer": SHAPE[run % 5], "n_head": SHAPE[run % 5], "n_embd": width,
            "block_size": 1024, "max_iters": lines, "lr_decay_iters": lines,
            "learning_rate": 0.0006, "seed": run,
        }.items()
    )  # fmt: skip
    params = 12 * SHAPE[run % 5] * width**2
    header += "tokens per iteration will be: 491,520\nnumber of parameters: 1.00M\n"
    header += f"num decayed parameter tensors: 50, with {params:,} parameters\n"
    header += f"num non-decayed parameter tensors: 98, with {width * 20:,} parameters\n"
    wave = 1e-3 * (run % 97)
    # noise, since a table of smooth curves packs to a third of what one of real ones does
    noise = random.Random(run).random
    body = (
        LINE.format(step=step, loss=2.0 + wave + 8.0 / (1 + step) ** 0.4 + 0.05 * noise())
        for step in range(lines + 1)
    )
    return header + "".join(body)


def name(run: int, *, scripts: bool) -> str:
    """Name a log: by its number, or in one of many scripts, two of which look alike, as well."""
    if not scripts:
        return f"r{run:06}.log"
    syllables = SCRIPTS[run % len(SCRIPTS)]
    text = syllables * (LONGEST // len(syllables.encode()))
    return f"{text}{run:06}.log"


def measured(*words: object) -> str:
    """Run a command of isoflop's; say what it took, and its last line."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "isoflop", *map(str, words)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return (
        f"{time.perf_counter() - begun:.1f} s, {used.ru_utime + used.ru_stime:.1f} CPU s, "
        f"{used.ru_maxrss / 1e6:.2f} GB; {said[-1]}"
    )


def main() -> None:
    """Write a sweep, ingest it three times, say what it took."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("runs", type=int)
    parser.add_argument("kilobytes", type=int, nargs="?", default=100)
    parser.add_argument("--names", action="store_true", help="long ones, in many scripts")
    parser.add_argument("--losses", action="store_true", help="build the losses, too")
    parser.add_argument("--below", type=Path, help="folder to work in")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.below) as temporary:
        below = Path(temporary)
        folder = below / "s"
        folder.mkdir()
        (folder / "sweep.yaml").write_text("title: many\nfacts: {schedule: {kind: constant}}\n")
        for run in range(chosen.runs):
            (folder / name(run, scripts=chosen.names)).write_text(log(run, chosen.kilobytes))
        time.sleep(2.5)  # the times of files just written are not believed
        made = {table: below / f"{table}.parquet" for table in TABLES}
        ingest: list[object] = [
            "ingest-sweep", "--sweep", "s", "--raw", folder, "--cache", below / "cache",
            "--settings", "{}", *(word for t in made for word in (f"--{t}", made[t])),
        ]  # fmt: skip
        for what in ("first", "no-op", "one added"):
            if what == "one added":
                (folder / "added.log").write_text(log(chosen.runs, chosen.kilobytes))
            print(f"{what}: {measured(*ingest)}", flush=True)
        if chosen.losses:
            told = ("curves", "runs", "files")
            print(
                "losses:",
                measured(
                    "build-losses", "--sweep", "s", "--settings", "{}",
                    *(word for t in told for word in (f"--{t}", made[t])),
                    "--losses", below / "losses.parquet",
                    "--left-out", below / "left_out.parquet",
                    "--alternate-loss", below / "alternate_loss.parquet",
                ),
                flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()

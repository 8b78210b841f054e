"""Kill a training at random moments, and see that it goes on to the same losses.

    python3 run.py kills --training                       200 kills
    python3 run.py kills --training --kills 20 --seed 7   fewer, at other moments

A small model is trained once undisturbed. Then the same training is started in another folder and
killed (SIGKILL) after a random time, over and over, until it ends before its kill; then the next
chain starts from an empty folder. Nobody deletes a file in between. A chain is at fault where the
log does not end as the undisturbed one, point by point to the last digit, where a training fails
other than by a kill, or where a checkpoint or a temporary file is left.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.train.example_design import TRAINING, design, shortened, write_corpus

from isoflop.train.plan_file import write_plan
from isoflop.train.plan_sweep import plan_sweep
from isoflop.train.raw_log import read_log

STEPS: Final = 1500
"""Some seconds of training, beside the second or two that torch takes to load."""
EARLIEST: Final = 0.3
"""Earliest moment of a kill [s]."""
LOSSES: Final = {"train": "train_loss", "eval": "loss"}


def main() -> None:
    """Kill, go on, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311  no secret
    kills = chains = 0
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as kept:
        undisturbed = laid_out(Path(kept) / "undisturbed")
        since = time.monotonic()
        if (status := trained(undisturbed, None)) != 0:
            sys.exit(f"the undisturbed training ended with {status}")
        took = time.monotonic() - since
        wanted = losses(undisturbed)
        print(f"undisturbed: {took:.1f} s, {len(wanted)} points", flush=True)
        while kills < options.kills:
            folder = laid_out(Path(kept) / f"chain{chains}")
            while kills < options.kills:
                status = trained(folder, EARLIEST + (took - EARLIEST) * moments.random())
                if status is not None:
                    break
                kills += 1
            else:
                status = trained(folder, None)
            chains += 1
            faults += [f"chain {chains}: {fault}" for fault in faults_of(folder, status, wanted)]
            print(f"{kills} kills, {chains} trainings brought to an end, {len(faults)} faults")
            print("".join(f"  {fault}\n" for fault in faults), end="", flush=True)
    sys.exit(1 if faults else 0)


def laid_out(folder: Path) -> Path:
    """Lay out a corpus and a plan of one small run."""
    write_corpus(folder)
    plan = plan_sweep("toy", design())
    short = shortened(plan, plan.run_named("c1e10-l1d16-s0", source="plan"), steps=STEPS)
    write_plan(folder / "plan.yaml", short)
    return folder


def trained(folder: Path, seconds: float | None) -> int | None:
    """Train until it ends, and give its status; None where it was killed after some seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(folder)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return None


def losses(folder: Path) -> dict[tuple[str, int], float]:
    """Give every loss of a log, the last one of a step that was trained twice."""
    (log,) = (folder / "raw").rglob("*.jsonl")
    return {
        (line["kind"], line["step"]): line[LOSSES[line["kind"]]]
        for line in read_log(log)
        if line["kind"] in LOSSES
    }


def faults_of(folder: Path, status: int | None, wanted: dict[tuple[str, int], float]) -> list[str]:
    """Say which promises a chain that was brought to an end has broken."""
    if status != 0:
        return [f"the training ended with {status}"]
    faults = []
    reached = losses(folder)
    differing = sorted(key for key in {*reached, *wanted} if reached.get(key) != wanted.get(key))
    if differing:
        faults.append(f"{len(differing)} losses differ, the first at {differing[0]}")
    left = [path for path in (folder / "checkpoints").rglob("*") if path.is_file()]
    if left:
        faults.append(f"left {', '.join(path.name for path in left)}")
    return faults


if __name__ == "__main__":
    main()

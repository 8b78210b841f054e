"""Time the plan of a build: what Snakemake needs to know before the first job, by sweeps and files.

    python -m bench.plan                            1 to 300 sweeps, a sweep of 10 to 10,000 logs
    python -m bench.plan --sweeps 1000 --files 0    another number of them

A dry run of `all`, in a project of its own. Processor time and not the clock's, so a busy machine
matters less; the peak is the resident set of that process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.workflow.toy import Project, copy_project, run_log


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--sweeps", type=int, nargs="+", default=[1, 10, 100, 300])
    parser.add_argument("--files", type=int, nargs="+", default=[10, 1000, 10_000])
    options = parser.parse_args()
    print("| sweeps | logs of each | jobs | CPU s | wall s | peak MB |\n|---|---|---|---|---|---|")
    for sweeps in options.sweeps:
        print(row(sweeps, 9), flush=True)
    for files in filter(None, options.files):
        print(row(1, files), flush=True)


def row(sweeps: int, files: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project", sweep=False)
        _, text = run_log(16, 1e12)
        for number in range(sweeps):
            raw = project.root / f"data/raw/s{number:04d}"
            raw.mkdir()
            (raw / "sweep.yaml").write_text(f"title: Sweep {number}\n")
            (raw / "0.jsonl").write_text(text)
            for file in range(1, files):
                # links to one inode: planning asks for names, sizes and times alone
                os.link(raw / "0.jsonl", raw / f"{file}.jsonl")
        jobs, cpu, wall, peak = planned(project)
    return f"| {sweeps} | {files} | {jobs} | {cpu:.1f} | {wall:.1f} | {peak:.0f} |"


def planned(project: Project) -> tuple[int, float, float, float]:
    start = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, text
    (total,) = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["total"]][:1]
    return (
        int(total),
        usage.ru_utime + usage.ru_stime,
        time.monotonic() - start,
        usage.ru_maxrss / 1e3,
    )


if __name__ == "__main__":
    main()

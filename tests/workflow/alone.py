"""Run a command in a folder that has its declared inputs and nothing else.

    python alone.py INPUT... -- OUTPUT... -- COMMAND...

What the command writes as one of the outputs goes to where it belongs, the rest away. Paths are
below the folder it is called in. As Snakemake's `shadow: "minimal"`, which starts a Snakemake for
each job.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WARM_JOBS = "ISOFLOP_TESTS_JOBS"
"""Environment variable of where warm_jobs.py is asked for a command; without it commands start."""


def main(words: list[str]) -> int:
    """Give the command's exit status."""
    first = words.index("--")
    second = words.index("--", first + 1)
    inputs, outputs, command = words[:first], words[first + 1 : second], words[second + 1 :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in [*inputs, *outputs]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        for path in inputs:
            (folder / path).symlink_to(Path(path).absolute())
        if address := os.environ.get(WARM_JOBS):
            asking = Path(__file__).with_name("warm_jobs.py")
            command[:1] = [sys.executable, "-IS", str(asking), address, "ask"]
        status = subprocess.run(command, cwd=folder, check=False).returncode
        if status == 0:
            for path in outputs:
                shutil.move(folder / path, path)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Check that announced losses rest on the tables of losses whose digests they name.

    python -m tools.announced

`losses_sha256` of an announcement (data/reference/forecast.yaml) is of data/losses/<sweep>.parquet
as it stood in the commit that announced: logs and columns came since, so today's table has another.
The table is built again from that commit's logs by that commit's code, with today's libraries, in a
checkout of its own; it takes half a minute an announcement.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.estimates.announced import FILE, read_announcements

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS = Path("data/reference") / FILE


def announcing_commit(digest: str, root: Path) -> str:
    """Find the first commit whose announcements name a digest.

    Raises
    ------
    LookupError : none does; a shallow clone lacks what came before.
    """
    command = ["git", "log", "--format=%H", "--reverse", f"-S{digest}", "--", str(FACTS)]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    if not listed.split():
        raise LookupError(
            f"no commit of {root} announces with {digest}; fetch the whole history "
            "(git fetch --unshallow)"
        )
    return listed.split()[0]


def losses_then(sweep: str, commit: str, root: Path) -> str:
    """Build a sweep's table of losses as a commit has it; give its digest."""
    with tempfile.TemporaryDirectory() as folder:
        then = Path(folder) / "then"
        git = ["git", "worktree", "add", "--quiet", "--detach", str(then), commit]
        subprocess.run(git, cwd=root, check=True)
        try:
            table = f"data/losses/{sweep}.parquet"
            beside = Path(sys.executable).parent
            environment = {
                **os.environ,
                "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(then / "src"),
            }
            snakemake = [sys.executable, "-m", "snakemake", table, "--cores", "1", "--quiet", "all"]
            subprocess.run(snakemake, cwd=then, check=True, env=environment)
            return hashlib.sha256((then / table).read_bytes()).hexdigest()
        finally:
            git = ["git", "worktree", "remove", "--force", str(then)]
            subprocess.run(git, cwd=root, check=True)


def verdicts(root: Path, build: Callable[[str, str, Path], str] = losses_then) -> dict[str, bool]:
    """Tell, in a line for each announcement, whether its table is found again."""
    announced = read_announcements(root / FACTS)
    same = {}
    for kind, announcements in (("losses", announced.announcements), ("pair", announced.pairs)):
        for announcement in announcements:
            sweep, digest = announcement.sweep, announcement.losses_sha256
            commit = announcing_commit(digest, root)
            line = f"{sweep}, {kind}: data/losses/{sweep}.parquet of {commit[:7]}"
            same[line] = build(sweep, commit, root) == digest
    return same


def main() -> None:
    """Say it, and exit with 1 where a table is another."""
    told = verdicts(Path.cwd())
    for line, same in told.items():
        print(f"{line} {'has the digest that was announced' if same else 'HAS ANOTHER DIGEST'}")
    sys.exit(not all(told.values()))


if __name__ == "__main__":
    main()

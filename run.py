#!/usr/bin/env python3
"""One word each: report, test, lint, train, archive, clean, setup.

Needs Python 3.11 to 3.13 and nothing else. The environment in .venv is made when it is missing or
when requirements.lock or pyproject.toml have changed; what is installed is pinned with hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
UV = "uv==0.13.9"
PINS = ("requirements.lock", "pyproject.toml", "constraints-train.txt")
DERIVED = (
    "data/curves",
    "data/losses",
    "data/estimates",
    "data/cache",
    "data/published",
    "reports",
    "logs",
    "benchmarks",
    ".snakemake",
)


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the project's folder, or end with its exit status."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    status = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        check=False,
    ).returncode
    if status != 0:
        sys.exit(status)


def uv(*arguments: str | Path) -> list[str | Path]:
    """Build a command of uv that works on .venv."""
    return [PYTHON, "-m", "uv", "pip", arguments[0], "--quiet", "--python", PYTHON, *arguments[1:]]


def setup() -> None:
    """Make .venv, unless it is there and up to date."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"isoflop needs Python 3.11 to 3.13; this is {found}. Try: python3.12 run.py ...")
    digest = hashlib.sha256(sys.version.encode())
    for name in PINS:
        digest.update((ROOT / name).read_bytes())
    stamp = VENV / "isoflop-pins"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    print("run.py: making the environment in .venv", flush=True)
    if not PYTHON.exists():
        run(sys.executable, "-m", "venv", VENV)
    run(PYTHON, "-m", "pip", "install", "--quiet", UV)
    run(*uv("install", "--compile-bytecode", "--require-hashes", "-r", "requirements.lock"))
    run(*uv("install", "--no-deps", "--editable", "."))
    stamp.write_text(digest.hexdigest())


def setup_train() -> bool:
    """Install the extra `train` with torch's CPU build; say so where it cannot be had."""
    wanted = ["-r", "constraints-train.txt"]
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")
    environment = {**os.environ, "UV_FIND_LINKS": links} if links else dict(os.environ)
    if _runs([PYTHON, "-c", "import torch, tokenizers"]):
        return True
    # a local wheel first (find-links), then the builds that torch publishes for CPUs
    attempts: list[list[str]] = [["--torch-backend=cpu"]]
    if links:
        attempts.insert(0, [])
    for attempt in attempts:
        if _runs(uv("install", "--compile-bytecode", *attempt, *wanted), env=environment):
            return True
    print("run.py: torch cannot be had here; the trainer's tests will be skipped", flush=True)
    return False


def _runs(command: list[str | Path], env: dict[str, str] | None = None) -> bool:
    """Say whether a command succeeds."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=env, check=False, capture_output=True
    )
    return done.returncode == 0


def snakemake(*arguments: str) -> None:
    """Run the workflow on every core, or as the caller's own flags say."""
    cores = (
        ()
        if any(a.startswith(("--cores", "-c", "--profile")) for a in arguments)
        else ("--cores", "all")
    )
    # the message of a failed job belongs on the screen, not only in its log
    run(BIN / "snakemake", *cores, "--show-failed-logs", *arguments)


def report(*arguments: str) -> None:
    """Rebuild every report and the index."""
    snakemake(*arguments)


def archive(*arguments: str) -> None:
    """Build one archive per sweep."""
    snakemake("archive", *arguments)


def train(*arguments: str) -> None:
    """Train the planned sweep."""
    if not setup_train():
        sys.exit("run.py: the trainer needs torch; see docs/sweep.md")
    snakemake("train", *arguments)


def test(*arguments: str) -> None:
    """Run the tests, the trainer's included where torch can be had."""
    setup_train()
    run(PYTHON, "-m", "pytest", *arguments)


def lint(*arguments: str) -> None:
    """Check style, types, formatting, schema and workflow."""
    if arguments:
        sys.exit("run.py: lint takes no arguments")
    run(BIN / "ruff", "check", ".")
    run(BIN / "ruff", "format", "--check", ".")
    run(BIN / "mypy")
    run(BIN / "snakefmt", "--check", "Snakefile", "rules")
    run(BIN / "snakemake", "--lint")
    run(BIN / "isoflop", "write-config", "--check")
    run(BIN / "isoflop", "write-schema", "--check")


def clean() -> None:
    """Remove what the workflow made; raw logs, checkpoints and corpora stay."""
    for name in DERIVED:
        shutil.rmtree(ROOT / name, ignore_errors=True)


WORDS = {"report": report, "test": test, "lint": lint, "train": train, "archive": archive}


def main() -> None:
    """Do what the first word says."""
    word, arguments = (sys.argv[1:2] or ["help"])[0], sys.argv[2:]
    if word == "clean":
        clean()
    elif word == "setup":
        setup()
    elif word in WORDS:
        setup()
        WORDS[word](*arguments)
    else:
        sys.exit(f"usage: python3 run.py [{' | '.join([*WORDS, 'clean', 'setup'])}] [arguments]")


if __name__ == "__main__":
    main()

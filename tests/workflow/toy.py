"""A small project with simulated raw logs, on which the real workflow runs."""

from __future__ import annotations

import atexit
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isoflop.counting import Architecture, flops_per_token, params
from isoflop.laws import ChinchillaLaw
from tests.workflow.alone import WARM_JOBS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config.yaml", "requirements.lock", "rules", "src", "workflow")
LAW = ChinchillaLaw(E=1.2, A=60.0, B=300.0, alpha=0.42, beta=0.40)
WIDTHS = (16, 24, 32, 48, 64, 96, 128)
BUDGETS = (1e12, 4e12, 1.6e13, 6.4e13)
TOKENS_PER_STEP = 256
APPROACHES = """{
    bootstrap: {draws: 60, interval: percentile},
    parametric: {starts: coarse},
    forecast: {draws: 60},
    mixture: {simulations: 4},
    specifications: {
        draws: 10,
        loss: [eval],
        counting: [{params: total, flops: 6nd}, {params: nonembedding, flops: kaplan}],
        envelope: {frontier: [grid], edge: [trim], min_schedule_fraction: [0.5]},
        profiles: {axis: [each], curve: [parabola], window: [], weights: [equal, variance]},
    },
}"""
SETTINGS = f"approaches={' '.join(APPROACHES.split())}"
"""Few draws, intervals that no simulated sweeps calibrate, and few specifications but where a test
looks for them: the shipped sweep, which CI builds first, goes the whole way."""
LEAST_OF_APPROACHES = """{
    bootstrap: {draws: 10, interval: percentile},
    parametric: {starts: coarse},
    forecast: {draws: 2},
    mixture: {simulations: 0},
    specifications: {
        draws: 0,
        loss: [eval],
        counting: [{params: total, flops: 6nd}],
        envelope: {frontier: [grid], edge: [trim], min_schedule_fraction: [0.5]},
        profiles: {axis: [each], curve: [parabola], window: [], weights: [equal]},
        parametric: {objective: [likelihood], huber_delta: [], drop_highest: [0]},
        kaplan: {edge: [trim]},
    },
}"""
LEAST = f"approaches={' '.join(LEAST_OF_APPROACHES.split())}"
"""As little as every rule can do, where a test asks about the workflow and not the statistics."""


@dataclass(frozen=True)
class Outcome:
    """What one call of snakemake did."""

    status: int
    text: str

    @property
    def rules(self) -> dict[str, int]:
        """Count the jobs of each rule in a dry run."""
        counts = {}
        lines = iter(self.text.splitlines())
        for line in lines:
            if line.split() == ["job", "count"]:
                next(lines)
                for row in lines:
                    words = row.split()
                    if len(words) != 2 or words[0] == "total":
                        return counts
                    counts[words[0]] = int(words[1])
        return counts


def _started(*words: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a process that serves until its standard input ends, as it does with this one."""
    process = subprocess.Popen(
        [sys.executable, "-P", *map(str, words)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # told to, since a pipe that is left open at the end is a warning
    atexit.register(process.communicate)
    return process


class Warm:
    """The process of warm.py, which runs snakemake for every project of this one's tests."""

    def __init__(self) -> None:
        self._process = _started(Path(__file__).with_name("warm.py"))

    def call(self, folder: Path, environment: dict[str, str], words: Sequence[str]) -> Outcome:
        """Run snakemake in a folder."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        with tempfile.TemporaryDirectory() as kept:
            printed = Path(kept) / "printed.txt"
            program = str(Path(sys.executable).with_name("snakemake"))
            call = {
                "folder": str(folder),
                "environment": environment,
                "words": [program, *words],
                "printed": str(printed),
            }
            orders.write(json.dumps(call) + "\n")
            orders.flush()
            status = answers.readline()
            assert status, "warm.py ended"
            return Outcome(int(status), printed.read_text())


@cache
def _warm() -> Warm:
    return Warm()


class WarmJobs:
    """The process of warm_jobs.py, which runs jobs of `isoflop` without the time of its imports."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="isoflop-jobs-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        program, address = Path(__file__).with_name("warm_jobs.py"), folder / "socket"
        self._process = _started(
            program, address, environment={**os.environ, "PYTHONWARNINGS": "default"}
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "warm_jobs.py ended"
        # the shell of a job reads this file first, and a function goes before a program
        asking = shlex.join([sys.executable, "-IS", str(program), str(address), "ask"])
        functions = folder / "functions.sh"
        functions.write_text(f'isoflop() {{ {asking} "$@"; }}\n')
        self.environment = {"BASH_ENV": str(functions), WARM_JOBS: str(address)}


@cache
def _warm_jobs() -> WarmJobs:
    return WarmJobs()


@dataclass(frozen=True)
class Project:
    """A copy of the project in an empty folder."""

    root: Path

    def snakemake(
        self, *arguments: str, settings: str = SETTINGS, own_jobs: bool = False
    ) -> Outcome:
        """Run snakemake with the settings of the tests laid over config.yaml.

        Parameters
        ----------
        arguments : words of the command line.
        settings : the word after `--config`.
        own_jobs : whether each job starts `isoflop` itself, as for users.
        """
        # figures in one process: each of two would import all libraries again, and the build from a
        # wheel, whose bytes are compared, draws in two
        alone = ("--set-threads", "plot_figures=1")
        words = [*alone, "--cores", "2", "--nocolor", *arguments, "--config", settings]
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        if not own_jobs and "--dry-run" not in arguments:
            environment |= _warm_jobs().environment
        return _warm().call(self.root, environment, words)

    def build(self, *arguments: str, own_jobs: bool = False) -> Outcome:
        """Run snakemake and insist that it works."""
        outcome = self.snakemake(*arguments, own_jobs=own_jobs)
        assert outcome.status == 0, outcome.text + self.logs()
        return outcome

    def planned(self, *arguments: str) -> dict[str, int]:
        """Say which rules would run, and how often, `all` itself left out."""
        outcome = self.build("--dry-run", *arguments)
        return {rule: n for rule, n in outcome.rules.items() if rule != "all"}

    def logs(self) -> str:
        """Collect what the jobs printed."""
        found = sorted(self.root.glob("logs/**/*.log"))
        return "".join(f"\n== {path.relative_to(self.root)}\n{path.read_text()}" for path in found)

    def outputs(self) -> dict[str, bytes]:
        """Read every output of the workflow but its logs and timings."""
        found = [
            path
            for folder in ("data/curves", "data/losses", "data/estimates", "reports")
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file() and path.name != ".snakemake_timestamp"
        ]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def set_config(self, old: str, new: str) -> None:
        """Change one line of config.yaml."""
        path = self.root / "config.yaml"
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in config.yaml"
        path.write_text(text.replace(old, new))


PARAMETRIC = "Hoffmann data).\n    "
"""What stands before parametric.drop_highest in config.yaml, and nowhere else."""


def run_log(width: int, budget: float, *, seed: int = 0, role: str = "fit") -> tuple[str, str]:
    """Write one raw log, in the trainer's own format, with losses from the known law."""
    shape = Architecture(
        layers=2,
        d_model=width,
        heads=width // 8,
        d_head=8,
        d_ff=4 * width,
        vocab_size=256,
        seq_len=64,
        tied=True,
    )
    total, body, head = (params(shape, name) for name in ("total", "nonembedding", "with_head"))
    steps = round(budget / (6 * total * TOKENS_PER_STEP))
    name = f"d{width}-c{budget:.1e}-s{seed}" if role == "fit" else f"{role}-d{width}"
    counts = {"total": total, "nonembedding": body, "with_head": head}
    conventions = ("6nd", "kaplan", "hoffmann", "attention")
    rates = {
        convention: flops_per_token(
            convention,
            params_total=total,
            params_nonembedding=body,
            params_with_head=head,
            architecture=shape,
        )
        for convention in conventions
    }
    header = {
        "kind": "header",
        "format": "isoflop-train",
        "version": 1,
        "run": name,
        "sweep": "toy",
        "role": role,
        "budget": budget,
        "architecture": {
            "layers": 2,
            "d_model": width,
            "heads": width // 8,
            "d_head": 8,
            "d_ff": 4 * width,
            "vocab_size": 256,
            "seq_len": 64,
            "tied": True,
            "gated": False,
            "qk_norm": False,
        },
        "params": counts,
        "tokens_per_step": TOKENS_PER_STEP,
        "steps": steps,
        "tokens": steps * TOKENS_PER_STEP,
        "schedule": {
            "kind": "cosine",
            "warmup_steps": steps // 50,
            "steps": steps,
            "lr_peak": 1e-2,
            "lr_end": 1e-3,
        },
        "optimizer": {"name": "adamw"},
        "flops_per_token": rates,
        "flops_convention": "6nd",
        "corpus": {"name": "simulated", "sha256": "0" * 64, "train_tokens": 10**9},
        "tokenizer": {"kind": "bytes", "vocab_size": 256},
        "seed": seed,
        "device": "simulated",
        "dtype": "float64",
        "software": {"python": "3", "torch": "0", "isoflop": "0"},
    }
    noise = np.random.default_rng([seed, width, int(budget / 1e11)])
    lines = [header]
    for step in np.unique(np.geomspace(max(1, steps / 50), steps, 30).astype(int)):
        tokens = int(step) * TOKENS_PER_STEP
        # an unfinished cosine lags behind the law, which speaks of finished runs
        lag = 0.05 * (1 - step / steps)
        loss = float(LAW.loss(total, tokens)) * float(np.exp(noise.normal(0, 1e-3))) + lag
        lines.append(
            {
                "kind": "train",
                "step": int(step),
                "tokens": tokens,
                "train_loss": round(loss, 6),
                "lr": 1e-3,
                "grad_norm": 1.0,
                "tokens_per_second": 1e5,
            }
        )
        lines.append(
            {
                "kind": "eval",
                "step": int(step),
                "tokens": tokens,
                "eval_set": "validation",
                "loss": round(loss, 6),
                "bits_per_byte": round(loss / float(np.log(2)), 6),
            }
        )
    end = {"kind": "end", "step": steps, "tokens": steps * TOKENS_PER_STEP}
    lines.append({**end, "status": "finished", "wall_seconds": 1.0})
    return f"{role}/{name}.jsonl", "".join(json.dumps(line) + "\n" for line in lines)


def keep_jobs_apart(project: Project) -> None:
    """Let each job work in a folder with its declared inputs and no others."""
    alone = f"{sys.executable} -IS {Path(__file__).with_name('alone.py')}"
    for room in ("losses", "approaches", "figures", "report"):
        path = project.root / "rules" / f"{room}.smk"
        rules = path.read_text()
        assert rules.count("\n        isoflop ") == rules.count("\nrule ")
        apart = f"\n        {alone} {{input:q}} -- {{output:q}} -- isoflop "
        path.write_text(rules.replace("\n        isoflop ", apart))


def write_sweep(folder: Path, *, budgets: tuple[float, ...] = BUDGETS) -> None:
    """Write a sweep: every width at every budget, and two check runs."""
    logs = [run_log(width, budget) for budget in budgets for width in WIDTHS]
    logs += [run_log(width, 4 * budgets[-1], role="check") for width in (64, 96)]
    for name, text in logs:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "sweep.yaml").write_text(
        'title: "A toy sweep 扩展定律 قوانين 1️⃣"\n'
        'description: "Simulated from a known law, for the tests. 扩展定律 👩‍👩‍👧"\n',
        encoding="utf-8",
    )


def copy_project(target: Path, *, sweep: bool = True) -> Project:
    """Copy what the workflow needs, without the shipped sweeps."""
    target.mkdir(parents=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy2(source, target / name)
    shutil.copytree(ROOT / "data" / "reference", target / "data" / "reference")
    shutil.copytree(ROOT / "data" / "plans", target / "data" / "plans")
    (target / "data" / "raw").mkdir(parents=True)
    if sweep:
        write_sweep(target / "data" / "raw" / "toy")
    return Project(target)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the checkout."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def run_from_wheel(folder: Path, logs: Path, settings: Path) -> str:
    """Make the report of a folder of logs by `isoflop run` of a wheel, outside of any checkout.

    In folder/out, and given as that it told.
    """
    with zipfile.ZipFile(build_wheel(folder / "dist")) as wheel:
        wheel.extractall(folder / "site")
    done = subprocess.run(
        [
            sys.executable, "-m", "isoflop", "run", logs,
            "--out", folder / "out", "--config", settings, "--cores", "2",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "PYTHONWARNINGS": "default"},
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_environment(root: Path) -> None:
    """Put run.py beside an environment that it takes for its own: this one."""
    for name in ("run.py", "requirements-uv.lock", "pyproject.toml", "constraints-train.txt"):
        shutil.copy2(ROOT / name, root / name)
    tools = root / ".venv/bin"
    tools.mkdir(parents=True)
    (tools / "python").symlink_to(sys.executable)
    (tools / "snakemake").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snakemake "$@"\n')
    (tools / "snakemake").chmod(0o755)
    write_stamp = (
        "import json, runpy, sys; names = runpy.run_path('run.py'); "
        "wanted = {'folder': str(names['ROOT']), 'python': sys.version, 'pins': names['_pins']()}; "
        "names['STAMP'].write_text(json.dumps(wanted))"
    )
    subprocess.run([sys.executable, "-c", write_stamp], cwd=root, check=True)

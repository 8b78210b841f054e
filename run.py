#!/usr/bin/env python3
"""One word each, as report, test or lint; docs/running.md says what each does.

Needs Python 3.11 to 3.15 and nothing else. The environment in .venv is made when it is missing, was
made for another folder or interpreter, was left half made, or when the pins have changed; what is
installed is pinned with hashes.

After a kill the same command goes on by itself. Nothing half-written ever has its final name, so
what Snakemake calls incomplete is simply made anew, and Snakemake's lock is lifted as soon as no
process works in the folder.
"""

# without `from __future__ import annotations`: Python 3.6 must get as far as check_python()
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows: only Snakemake's own lock is left

OLDEST, NEWEST = (3, 11), (3, 15)
HOW_TO_GET_ONE = """\
None of python3.{oldest} to python3.{newest} is here. Get one, and call run.py by it:
  Debian, Ubuntu   apt install python3 python3-venv       (Debian 12, Ubuntu 24.04 or later)
  macOS            brew install python@3.13
  conda            conda create -n isoflop python=3.13
  uv               uv run --no-project --python 3.13 run.py {words}"""


def check_python():
    """End with what to do where this Python is not one that isoflop runs on."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    oldest, newest = OLDEST[1], NEWEST[1]
    words = " ".join(sys.argv[1:])
    message = f"isoflop needs Python 3.{oldest} to 3.{newest}; this is {platform.python_version()}."
    for minor in range(newest, oldest - 1, -1):
        other = shutil.which(f"python3.{minor}")
        # a pyenv shim has the name without having the interpreter
        if other and subprocess.call([other, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            sys.exit(f"{message} Try: python3.{minor} run.py {words}")
    how = HOW_TO_GET_ONE.format(oldest=oldest, newest=newest, words=words)
    sys.exit(f"{message}\n{how}")


check_python()

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))  # for those of its modules that need Python alone
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "isoflop.json"
LOCKS = ROOT / ".run"
"""Who works in the folder: build.lock is run.py's, jobs.lock is shared by snakemake and its jobs
(src/isoflop/folder_lock.py)."""
PINS = ("requirements.lock", "requirements-uv.lock", "pyproject.toml", "constraints-train.txt")
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
OF_NO_SWEEP = ("fetch_corpus", "fetch_published")
"""Rules whose logs are named by what is no sweep of data/raw."""
PROBE = ".space."
"""How names of files begin that see whether a disk is full."""
QUICK = "not (workflow or mirror or slow or train)"

FULL = (errno.ENOSPC, errno.EDQUOT)
LEAST = 2**20
"""Bytes that a disk must take for a build to be begun on it."""
DYING = 3.0
"""Seconds that a build waits for a lock: killed processes on a busy machine take some to die."""

kept_locks: list[int] = []
"""The folder's lock, while this process has it."""


def run(*command: str | Path, progress: "Shown | None" = None, **environment: str) -> None:
    """Run a command in the project's folder, or end with its exit status.

    Parameters
    ----------
    command : words of it.
    progress : what is shown instead of what it writes; None shows that as it is.
    environment : variables beside those of this process.
    """
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        # it keeps the folder's lock should this process be killed alone
        pass_fds=tuple(kept_locks),
        stdout=None if progress is None else subprocess.PIPE,
        stderr=None if progress is None else subprocess.STDOUT,
    ) as process:
        reader = None
        if progress is not None:
            # in a thread: a signal that interrupts reading would lose what was being read
            reader = threading.Thread(target=progress.follow, args=(process.stdout,))
            reader.start()
        status = _wait(process)
        if progress is not None and reader is not None:
            reader.join()
            progress.end(failed=status != 0)
    if status != 0:
        check_space()  # what was called may have failed by it, in a traceback of its own
        sys.exit(status if status > 0 else 128 - status)


class Shown:
    """A line of progress, written over, instead of Snakemake's blocks of text for every job.

    What Snakemake says before its first job, warnings among it, is shown as it comes; of a build
    that fails, all that it wrote from the first error on.
    """

    ROUTINE = re.compile(
        r"(Assuming unrestricted shared filesystem|Building DAG of jobs|Using shell:"
        r"|Provided cores:|Rules claiming more threads|Singularity containers:|Conda environments:"
        r"|host:)"
    )
    ERROR = re.compile(r"(Error in|\w*Exception|\w*Error)\b")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun = False
        from isoflop.progress import Progress

        self.progress = Progress(sys.stdout)

    def follow(self, stream: Iterable[bytes]) -> None:
        """Take all that Snakemake writes."""
        for raw in stream:
            line = raw.decode("utf-8", "replace")
            self.lines.append(line)
            self.begun = self.begun or line.startswith("Job stats:")
            told = self.progress.read(line)
            if not (told or self.begun or self.ROUTINE.match(line) or not line.strip()):
                self._write(line)

    def end(self, *, failed: bool) -> None:
        """Leave the line free; say what went wrong."""
        from isoflop.progress import STEPS

        self.progress.end()
        if failed:
            first = (i for i, line in enumerate(self.lines) if self.ERROR.match(line))
            self._write("".join(self.lines[next(first, 0) :]))
        elif self.begun:
            *_, steps = ["", *filter(STEPS.match, self.lines)]
            self._write(steps)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def check_space() -> None:
    """Raise the system's own error, with the folder's name, where a disk of the build is full.

    By writing: a quota is in no number that the system gives.
    """
    disks: dict[int, Path] = {}
    for path in map(ROOT.joinpath, (".", VENV.name, LOCKS.name, *DERIVED)):
        if path.is_dir():
            disks.setdefault(path.stat().st_dev, path.resolve())
    for path in disks.values():
        probe = path / f"{PROBE}{os.getpid()}.tmp"
        try:
            with probe.open("wb", buffering=0) as file:
                left = LEAST
                while left > 0:
                    left -= file.write(os.urandom(left))
        except OSError as error:
            if error.errno in FULL:
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
        finally:
            with suppress(OSError):
                probe.unlink()


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a command that gets the same signals, however long it takes to tidy up."""
    previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the terminal interrupted the command too
    finally:
        signal.signal(signal.SIGTERM, previous)


def uv(*arguments: str | Path) -> list[str | Path]:
    """Build a command of uv that works on .venv."""
    return [PYTHON, "-m", "uv", "pip", arguments[0], "--quiet", "--python", PYTHON, *arguments[1:]]


def setup() -> None:
    """Make .venv, unless it is there and up to date."""
    wanted = {"folder": str(ROOT), "python": sys.version, "pins": _pins()}
    if _stamp() == wanted and PYTHON.exists():
        return
    with folder("setup"):
        check_venv()
        why = _why(_stamp(), wanted)
        if why:
            print(f"run.py: making the environment in .venv {why}".rstrip(), flush=True)
            if VENV.is_symlink():
                VENV.unlink()  # what it points to belongs to somebody else
            run(sys.executable, "-m", "venv", "--clear", VENV)
        else:
            print("run.py: bringing the environment in .venv up to date", flush=True)
        # without a stamp until it is whole: an interrupted one is made anew
        STAMP.unlink(missing_ok=True)
        install()
        STAMP.write_text(json.dumps(wanted, indent=1) + "\n")


def check_venv() -> None:
    """End with what to install where this Python was packaged without what makes environments."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(
            f"run.py: {sys.executable} cannot make environments. On Debian and Ubuntu that is a "
            f"package of its own: apt install python{version}-venv. Then run this again."
        )


def install() -> None:
    """Install uv, what is pinned, and the project itself, so that an edit of src/ counts."""
    without = _without_compiler()
    run(PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", PINS[1])
    locked = ("--compile-bytecode", "--require-hashes", "-r", PINS[0])
    run(*uv("install", *locked), **without)
    run(*uv("install", "--no-deps", "--no-build-isolation", "--editable", "."))


def _pins() -> str:
    digest = hashlib.sha256()
    for name in PINS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _stamp() -> dict[str, str]:
    """Read what .venv was made for; nothing of one that was never finished."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _why(stamp: dict[str, str], wanted: dict[str, str]) -> str:
    """Say why the environment is made from scratch; empty where an update will do."""
    if not VENV.exists():
        return "(there is none yet)"
    if not stamp:
        return "(the one there was never finished)"
    if stamp.get("folder") != wanted["folder"]:
        return f"(the one there was made for {stamp.get('folder')})"
    if stamp.get("python") != wanted["python"] or not PYTHON.exists():
        return "(the one there was made for another Python)"
    return ""


def _without_compiler() -> dict[str, str]:
    """Let the sources among the pins install without a C compiler, where there is none.

    On Python 3.14 and later immutables has no wheel, on 3.15 neither has PyYAML. Both work without
    their compiled parts, but their builds insist on trying: `true` compiles nothing and succeeds.
    """
    if sys.version_info < (3, 14) or any(map(shutil.which, ("cc", "gcc", "clang"))):
        return {}
    print("run.py: no C compiler; immutables and PyYAML are installed as pure Python", flush=True)
    return {"CC": "true", "LDSHARED": "true"}


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


@contextmanager
def folder(word: str) -> Iterator[None]:
    """Keep other calls of run.py out of the folder; the second says who is at work, and ends."""
    if fcntl is None or kept_locks:
        yield
        return
    LOCKS.mkdir(exist_ok=True)
    descriptor = lock_file("build.lock")
    try:
        _lock(descriptor)
    except BlockingIOError:
        holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "another run.py"
        sys.exit(
            f"run.py: {holder}, or a command that it started, is at work in this folder. "
            "Wait for it or end it, then run this again."
        )
    except OSError as error:
        print(f"run.py: no lock to be had in this folder ({error}): start one build at a time")
        os.close(descriptor)
        yield
        return
    kept_locks.append(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"`run.py {word}` (process {os.getpid()} on {platform.node()}, since {since})"
        try:
            os.write(descriptor, holder.encode())
        except OSError as error:  # the system's error of a write names no file
            raise OSError(error.errno, os.strerror(error.errno), str(LOCKS)) from None
        yield
    finally:
        kept_locks.remove(descriptor)
        os.close(descriptor)


def lock_file(name: str) -> int:
    """Open a lock of the folder, and give its descriptor."""
    path = LOCKS / name
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        sys.exit(
            f"run.py: {path} is another user's, who built here and whose outputs you may not "
            "replace. Work in a checkout of your own, or have that user open this one to you: "
            "chmod -R g+w ."
        )


def _lock(descriptor: int) -> None:
    """Lock the folder, which what was killed a moment ago has until it is dead."""
    until = time.monotonic() + DYING
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def without_jobs() -> Iterator[None]:
    """Wait for what an earlier build left running: a job of it may yet replace an output.

    A snakemake that is started meanwhile waits too, before it makes a lock of its own.
    """
    if not kept_locks:
        yield
        return
    descriptor = lock_file("jobs.lock")
    told = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    print(
                        f"run.py: waiting for {_holders(LOCKS / 'jobs.lock')} of another build",
                        flush=True,
                    )
                told = True
                time.sleep(0.2)
            else:
                break
        yield
    finally:
        os.close(descriptor)


def _holders(path: Path) -> str:
    """Name the processes that have a file locked, where the system tells."""
    inode = str(path.stat().st_ino)
    try:
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        rows = []
    holders = sorted({row[4] for row in rows if row[1] == "FLOCK" and row[5].endswith(f":{inode}")})
    return f"process {', '.join(holders)}" if holders else "a process"


def recover() -> None:
    """Undo what a killed build left: Snakemake's lock, and files that never got their names."""
    if not kept_locks:
        return
    # also where Snakemake lived on and gave its lock back: one of its jobs may have been killed
    left = [p for name in (*DERIVED, LOCKS.name) for p in (ROOT / name).rglob(".*.tmp")]
    # check_space() writes beside those folders too, where all else is the user's
    left += [path for folder in (ROOT, VENV) for path in folder.glob(f"{PROBE}*.tmp")]
    if left:
        from isoflop.files import remove_temporaries

        remove_temporaries(left)
    locks = list((ROOT / ".snakemake" / "locks").glob("*"))
    if not locks:
        return
    print("run.py: an earlier build was killed; going on where it stopped", flush=True)
    # all that `snakemake --unlock` does once it has read every rule
    for path in locks:
        path.unlink()


SHOWN_SHORT = ("--cores", "-c", "--config", "--configfile", "--keep-going", "-k")
"""Flags of Snakemake beside which a terminal shows a line of progress."""


def snakemake(*arguments: str) -> None:
    """Run the workflow on every core, or as the caller's own flags say.

    On a terminal with a line of progress; elsewhere, as in CI, in Snakemake's own words.
    """
    theirs = ("--cores", "-c", "--profile", "--workflow-profile")
    cores = () if any(a.startswith(theirs) for a in arguments) else ("--cores", "all")
    # the message of a failed job belongs on the screen, not only in its log
    command = (BIN / "snakemake", *cores, "--show-failed-logs", "--rerun-incomplete", *arguments)
    if any(re.fullmatch("-[a-zA-Z]*n[a-zA-Z]*|--dry-?run", a) for a in arguments):
        run(*command)
        return
    from isoflop.files import closed_folder

    written = (*DERIVED, LOCKS.name)
    closed = closed_folder(ROOT, written)
    if closed:
        sys.exit(f"run.py: {closed}")
    with folder(" ".join(sys.argv[1:])):
        with without_jobs():
            recover()
        check_space()
        from isoflop.files import scratch

        # whoever asks Snakemake for anything of its own gets its own words
        plain = not sys.stdout.isatty() or any(
            a.startswith("-") and a.partition("=")[0] not in SHOWN_SHORT for a in arguments
        )
        command = (*command, *(() if plain else ("--nocolor",)))
        try:
            with scratch(ROOT) as temporary:
                run(*command, progress=None if plain else Shown(), TMPDIR=str(temporary))
        except SystemExit:
            # last of all, below what may be a traceback of Snakemake's
            closed = closed_folder(ROOT, written, below=True)
            if closed:
                print(f"run.py: {closed}", file=sys.stderr)
            raise


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
    """Run the tests, on every core; --quick leaves out whole workflows and what else takes long."""
    chosen = [argument for argument in arguments if argument != "--quick"]
    quick = len(chosen) < len(arguments)
    if quick:
        chosen = ["-m", QUICK, *chosen]
    else:
        setup_train()
    if not arguments or arguments == ("--quick",):
        # a file's tests stay in one process, as they share what they built; the longest come first
        chosen += [f"--numprocesses={_processes(quick=quick)}"]
        chosen += ["--dist=loadfile", "--no-loadscope-reorder"]
    # the quick tier draws a tenth of the random examples (tests/tiers.py)
    run(
        PYTHON, "-m", "pytest", *chosen,
        ISOFLOP_TESTS="quick" if quick else "whole",
        # containers often set it, and then each of the hundreds of processes compiles the package
        PYTHONDONTWRITEBYTECODE="",
    )  # fmt: skip


def _processes(*, quick: bool) -> int:
    """Count the processes that share the tests: one a core, and eight at most.

    The whole suite gets one more, since kills, clusters and browsers wait: on two cores three
    processes took 747 s for 1,330 s of CPU, and four 751 s.
    """
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return min(cores + (not quick), 8)


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


def picture(*arguments: str) -> None:
    """Make README's picture of the shipped report, or --check that its numbers are the report's."""
    snakemake("reports/novels-gpu/report.html")
    run(PYTHON, "tools/picture.py", *arguments)


def mutations(*arguments: str) -> None:
    """Plant faults and see which no test finds; --sample 40 takes that many (docs/mutations.md)."""
    run(PYTHON, "tools/mutations.py", *arguments)


def docs(*arguments: str) -> None:
    """Build site/: the manual, the commands, the Python interface and the tutorial, as pages."""
    run(PYTHON, "tools/docs.py", *arguments)


def fuzz(*arguments: str) -> None:
    """Damage 10,000 logs at random and see whether ingest stays on its feet (docs/ingest.md)."""
    run(PYTHON, "tools/fuzz.py", *arguments)


def kills(*arguments: str) -> None:
    """Kill builds at random moments and see that each goes on to the same bytes."""
    # modules: they take the tests' toy sweep and small model
    which = "tools.kill_training" if "--training" in arguments else "tools.kills"
    if "--training" in arguments:
        setup_train()
    run(PYTHON, "-m", which, *(a for a in arguments if a != "--training"))


def licences(*arguments: str) -> None:
    """List what is installed under which licence."""
    run(PYTHON, "tools/licences.py", *arguments)


def clean(*arguments: str) -> None:
    """Remove what the workflow made, or with --stale only what no sweep of data/raw stands for.

    Raw logs, checkpoints and corpora stay.
    """
    if arguments not in {(), ("--stale",)}:
        sys.exit("usage: python3 run.py clean [--stale]")
    with folder("clean"), without_jobs():
        if arguments:
            clean_stale()
            return
        for name in DERIVED:
            remove(ROOT / name)


def clean_stale() -> None:
    """Remove what builds made of sweeps that data/raw no longer has, and nothing beside it."""
    from isoflop.made_outputs import MARK, stale_outputs

    if not any((ROOT / "data" / "raw").glob("*/sweep.yaml")):
        sys.exit("run.py: data/raw has no sweep (is it mounted?), so nothing was removed")
    for sweep, outputs in stale_outputs(ROOT).items():
        print(f"run.py: removing what was made of {sweep}: {len(outputs)} files")
        for path in (*outputs, *_told_of(sweep)):
            path.unlink()
            for above in path.parents:
                mark = above / MARK
                if above in {ROOT, *(ROOT / name for name in DERIVED)}:
                    break
                if {*above.iterdir()} <= {mark}:
                    mark.unlink(missing_ok=True)
                    above.rmdir()
        for left in (ROOT / "reports" / sweep, ROOT / "data" / "estimates" / sweep):
            if left.is_dir():
                print(f"run.py: {left.relative_to(ROOT)} stays, with what no build made")


def _told_of(sweep: str) -> Iterator[Path]:
    """List the logs and benchmarks of a sweep: <rule>/<sweep>.log, or below <rule>/<sweep>.

    A rule, an approach, a run or a published study may have the sweep's name too.
    """
    for folder, suffix in (("logs", ".log"), ("benchmarks", ".tsv")):
        for path in (ROOT / folder).glob(f"*/**/*{suffix}"):
            rule, *inner = path.relative_to(ROOT / folder).with_suffix("").parts
            if inner and inner[0] == sweep and rule not in OF_NO_SWEEP:
                yield path


def remove(path: Path) -> None:
    """Remove a folder; of one that is a link, what it has, since a user put the link there."""
    if path.is_symlink():
        for item in path.iterdir() if path.is_dir() else ():
            remove(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)


WORDS = {
    "report": report,
    "archive": archive,
    "train": train,
    "test": test,
    "lint": lint,
    "picture": picture,
    "mutations": mutations,
    "fuzz": fuzz,
    "kills": kills,
    "licences": licences,
    "docs": docs,
}


def check_folder() -> None:
    """End with what to do where this user may not write into the checkout."""
    if not os.access(ROOT, os.W_OK):
        sys.exit(
            f"run.py: {ROOT} may not be written to by you, and environment, tables and reports go "
            "there. Copy the checkout into a folder of yours and run it there."
        )


def main() -> None:
    """Do what the first word says."""
    word, arguments = (sys.argv[1:2] or ["help"])[0], sys.argv[2:]
    if word in {*WORDS, "clean", "setup"}:
        check_folder()
    if word in {*WORDS, "setup"}:
        from isoflop.files import cache_of_project

        os.environ.update(cache_of_project(ROOT))
    if word == "clean":
        clean(*arguments)
    elif word == "setup":
        setup()
    elif word in WORDS:
        setup()
        WORDS[word](*arguments)
    else:
        sys.exit(f"usage: python3 run.py [{' | '.join([*WORDS, 'clean', 'setup'])}] [arguments]")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = error.filename or ROOT
        sys.exit(f"run.py: the disk is full ({place}). Free some space, then run this again.")

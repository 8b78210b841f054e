"""run.py in a folder of its own, with commands that only write down how they were called."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

MINIMUM = "import sys; sys.exit(sys.version_info < (3, 11))"
fcntl = pytest.importorskip("fcntl")

NAMES = ("run.py", "requirements.lock", "requirements-uv.lock", "pyproject.toml")
STUB = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"{calls}"
{body}
"""


@dataclass(frozen=True)
class Call:
    """One call of run.py."""

    process: subprocess.Popen[bytes]
    printed: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self.printed.read_text()

    def wait(self) -> int:
        return self.process.wait(timeout=60)


@dataclass(frozen=True)
class Checkout:
    """A folder with run.py, and a Python whose `-m venv` makes stubs instead of tools."""

    root: Path

    @property
    def calls(self) -> list[str]:
        """Say what was called, in order."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def forget(self) -> None:
        (self.root / "calls").unlink(missing_ok=True)

    def start(self, *words: str, **environment: str) -> Call:
        """Start run.py as a process group of its own."""
        printed = self.root / f"printed-{time.monotonic_ns()}"
        with printed.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, self.root / "start.py", *words],
                cwd=self.root,
                env={**os.environ, **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Call(process, printed)

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run run.py and give its status and all that it printed."""
        call = self.start(*words, **environment)
        return call.wait(), call.text

    def stub(self, name: str, body: str = "") -> None:
        """Put a tool into .venv."""
        path = self.root / ".venv/bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB.format(calls=self.root / "calls", body=body))
        path.chmod(0o755)

    def build_stamp(self) -> dict[str, str]:
        stamp: dict[str, str] = json.loads((self.root / ".venv/isoflop.json").read_text())
        return stamp


# run.py as it is, but for `python -m venv`, which a stub beside it replaces
START = """\
import runpy, signal, sys
from pathlib import Path

# a shell's background jobs ignore an interrupt, and so would what they start
signal.signal(signal.SIGINT, signal.default_int_handler)

folder = Path(__file__).resolve().parent
sys.argv = [str(folder / "run.py"), *sys.argv[1:]]
sys.executable = str(folder / "base-python")
runpy.run_path(sys.argv[0], run_name="__main__")
"""
BASE_PYTHON = """\
#!/bin/sh
# `python -m venv --clear FOLDER`, killed halfway where a file says so
echo "venv $*" >>"{root}/calls"
rm -rf "{root}/.venv"
mkdir -p "{root}/.venv/bin"
ln -s "{python}" "{root}/.venv/bin/python"
[ ! -e "{root}/kill-venv" ] || kill -9 $$
rm "{root}/.venv/bin/python"
for name in python snakemake; do
    printf '#!/bin/sh\\necho "%s $*" >>"{root}/calls"\\n' $name >"{root}/.venv/bin/$name"
    echo '[ ! -e "{root}/kill-$2" ] || kill -9 $$' >>"{root}/.venv/bin/$name"
    chmod +x "{root}/.venv/bin/$name"
done
"""


def make(root: Path) -> Checkout:
    root.mkdir(parents=True)
    for name in (*NAMES, "constraints-train.txt"):
        shutil.copy2(ROOT / name, root / name)
    prepare(root)
    return Checkout(root)


def prepare(root: Path) -> None:
    """Write what stands in for the interpreter."""
    (root / "start.py").write_text(START)
    (root / "base-python").write_text(BASE_PYTHON.format(root=root, python=sys.executable))
    (root / "base-python").chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make(tmp_path / "a checkout")


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """Give a checkout whose environment is made."""
    status, text = checkout.run("setup")
    assert status == 0, text
    checkout.forget()
    return checkout


def test_setup_installs_what_is_pinned_and_the_project_once(checkout: Checkout) -> None:
    status, text = checkout.run("setup")
    assert status == 0, text
    assert "there is none yet" in text
    venv, pip, locked, editable = checkout.calls
    assert venv == f"venv -m venv --clear {checkout.root}/.venv"
    assert pip.endswith("pip install --quiet --require-hashes -r requirements-uv.lock")
    assert locked.endswith("--require-hashes -r requirements.lock")
    assert editable.endswith("--no-deps --no-build-isolation --editable .")
    checkout.forget()
    assert checkout.run("setup") == (0, "")
    assert checkout.calls == []


@pytest.mark.parametrize("step", ["venv", "pip", "uv"])
def test_an_interrupted_setup_is_made_anew(checkout: Checkout, step: str) -> None:
    (checkout.root / f"kill-{step}").touch()
    status, _ = checkout.run("setup")
    assert status != 0
    (checkout.root / f"kill-{step}").unlink()
    checkout.forget()
    status, text = checkout.run("setup")
    assert status == 0, text
    assert "never finished" in text
    assert len(checkout.calls) == 4
    assert checkout.run("setup") == (0, "")


def test_other_pins_update_the_environment_in_place(ready: Checkout) -> None:
    with (ready.root / "requirements.lock").open("a") as stream:
        stream.write("# another pin\n")
    status, text = ready.run("setup")
    assert status == 0, text
    assert [call.split()[0] for call in ready.calls] == ["python"] * 3


def test_an_interrupted_update_is_made_anew(ready: Checkout) -> None:
    with (ready.root / "requirements.lock").open("a") as stream:
        stream.write("# another pin\n")
    (ready.root / "kill-uv").touch()
    assert ready.run("setup")[0] != 0
    (ready.root / "kill-uv").unlink()
    assert "never finished" in ready.run("setup")[1]


def test_another_python_makes_the_environment_anew(ready: Checkout) -> None:
    stamp = {**ready.build_stamp(), "python": "3.11.0 of another day"}
    (ready.root / ".venv/isoflop.json").write_text(json.dumps(stamp))
    status, text = ready.run("setup")
    assert status == 0, text
    assert "made for another Python" in text


def test_a_copied_checkout_gets_an_environment_of_its_own(ready: Checkout, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ready.root, copy, symlinks=True)
    prepare(copy)
    status, text = Checkout(copy).run("report")
    assert status == 0, text
    assert f"made for {ready.root}" in text
    assert any(call.startswith("snakemake ") for call in Checkout(copy).calls)
    assert ready.calls == [], "the copy ran the first checkout's tools"


def test_a_renamed_checkout_gets_its_environment_anew(ready: Checkout, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    ready.root.rename(renamed)
    prepare(renamed)
    # the interpreter in the first line of every tool is gone
    (renamed / ".venv/bin/snakemake").write_text(f"#!{ready.root}/.venv/bin/python\n")
    status, text = Checkout(renamed).run("report")
    assert status == 0, text
    assert "Traceback" not in text
    assert any(call.startswith("snakemake ") for call in Checkout(renamed).calls)


def test_a_linked_environment_is_left_to_its_owner(ready: Checkout, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    (other.root / ".venv").symlink_to(ready.root / ".venv")
    status, text = other.run("setup")
    assert status == 0, text
    assert not (other.root / ".venv").is_symlink()
    assert ready.run("setup") == (0, "")


def test_a_build_goes_on_where_a_killed_one_stopped(ready: Checkout) -> None:
    locks = ready.root / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").touch()
    left = ready.root / "data/losses/.toy.parquet.4711.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    (left.parent / "toy.parquet").touch()
    status, text = ready.run("report")
    assert status == 0, text
    assert "going on where it stopped" in text
    (build,) = ready.calls
    assert list(locks.iterdir()) == []
    assert "--rerun-incomplete" in build.split()
    assert [path.name for path in left.parent.iterdir()] == ["toy.parquet"]


def test_what_a_killed_job_left_is_swept_up_where_snakemake_lived(ready: Checkout) -> None:
    left = ready.root / "data/losses/.toy.parquet.4711.tmp"
    rows = ready.root / "data/cache/.rows-a1b2.4711.tmp/1.parquet"
    figure = ready.root / "reports/toy/.figures.4711.tmp/.answer.pdf.4712.tmp"
    for path in (left, rows, figure):
        path.parent.mkdir(parents=True)
        path.touch()
    assert ready.run("report") == (0, "")
    assert len(ready.calls) == 1  # no lock was to be lifted
    assert not left.exists()
    assert [*(ready.root / "reports/toy").iterdir()] == []
    assert [*(ready.root / "data/cache").iterdir()] == []


def test_a_probe_for_space_that_a_kill_left_is_swept_up(ready: Checkout) -> None:
    """It may lie in the checkout itself, where git would see it; a user's files there stay."""
    places = (".space.4711.tmp", ".venv/.space.4712.tmp", "reports/.space.4713.tmp")
    mine = ready.root / ".notes.4711.tmp"
    (ready.root / "reports").mkdir()
    for path in (mine, *map(ready.root.joinpath, places)):
        path.touch()
    assert ready.run("report") == (0, "")
    assert [path.name for path in ready.root.rglob(".*.tmp")] == [mine.name]


def test_git_sees_nothing_that_a_killed_build_leaves(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git")
    shutil.copy2(ROOT / ".gitignore", tmp_path)
    subprocess.run([git, "init", "-q"], cwd=tmp_path, check=True)
    left = (".space.4711.tmp", ".run/outputs.json", ".run/cache/x", "reports/.x.html.4711.tmp")
    told = subprocess.run(
        [git, "check-ignore", *left, "data/raw/toy/.space.1.tmp"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout.split() == [*left]


def test_where_home_is_closed_the_cache_lies_in_the_checkout(ready: Checkout) -> None:
    """As of `docker run --user`; Snakemake and uv would end in tracebacks."""
    ready.stub("snakemake", 'echo "cache: $XDG_CACHE_HOME"')
    own = ready.root / ".run/cache"
    assert f"cache: {own}\n" in ready.run("report", HOME="/dev/null/x", XDG_CACHE_HOME="")[1]
    chosen = ready.run("report", HOME="/dev/null/x", XDG_CACHE_HOME="/chosen")[1]
    assert "cache: /chosen\n" in chosen
    home = ready.root.parent
    assert "cache: \n" in ready.run("report", HOME=str(home), XDG_CACHE_HOME="")[1]


def test_a_build_without_a_kill_before_it_lifts_no_lock(ready: Checkout) -> None:
    assert ready.run("archive")[0] == 0
    (build,) = ready.calls
    assert "--rerun-incomplete archive" in build


def wait_for(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


SLEEP = 'touch "{root}/began"; while [ ! -e "{root}/go" ]; do sleep 0.05; done'


@pytest.fixture
def building(ready: Checkout) -> Checkout:
    """Give a checkout whose snakemake goes on until a file `go` is there."""
    ready.stub("snakemake", SLEEP.format(root=ready.root))
    return ready


def test_the_second_build_names_the_first(building: Checkout) -> None:
    first = building.start("report", "--keep-going")
    wait_for((building.root / "began").exists)
    for words in (("report",), ("clean",)):
        status, text = building.run(*words)
        assert status == 1
        assert f"`run.py report --keep-going` (process {first.pid} on " in text
    # looking on is not building
    (building.root / "go").touch()
    assert first.wait() == 0
    assert building.run("report")[0] == 0


def test_a_dry_run_needs_no_lock(building: Checkout) -> None:
    first = building.start("report")
    wait_for((building.root / "began").exists)
    building.stub("snakemake")
    assert building.run("report", "-np")[0] == 0
    (building.root / "go").touch()
    first.wait()


def test_the_lock_lasts_as_long_as_the_build_when_run_py_alone_is_killed(
    building: Checkout,
) -> None:
    first = building.start("report")
    wait_for((building.root / "began").exists)
    first.process.kill()
    first.wait()
    status, text = building.run("report")
    assert status == 1
    assert "is at work in this folder" in text
    (building.root / "go").touch()
    wait_for(lambda: building.run("report")[0] == 0)


def test_a_killed_group_leaves_no_lock(building: Checkout) -> None:
    first = building.start("report")
    wait_for((building.root / "began").exists)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    building.stub("snakemake")
    assert building.run("report")[0] == 0


def test_a_build_waits_for_jobs_of_a_killed_one(ready: Checkout) -> None:
    """A job that outlives its build may still replace an output: two must not write at once."""
    lock = ready.root / ".run/jobs.lock"
    script = (
        "from isoflop.folder_lock import share_folder_of_build; share_folder_of_build(); "
        "print('shared', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "ISOFLOP_JOBS_LOCK": str(lock)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout
        assert job.stdout.readline() == "shared\n"
        build = ready.start("report")
        wait_for(lambda: "waiting for" in build.text)
        if Path("/proc/locks").exists():
            assert f"process {job.pid} of another build" in build.text
        assert ready.calls == []
        job.communicate("\n", timeout=20)
    assert build.wait() == 0
    assert len(ready.calls) == 1


def test_a_job_shares_the_lock_that_the_build_names(tmp_path: Path) -> None:
    script = (
        "import fcntl, os, sys\n"
        "from isoflop.cli import main\n"
        "try:\n    main(['write-schema', '--check'])\nexcept SystemExit:\n    pass\n"
        "with open(sys.argv[1]) as lock:\n"
        "    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    )
    lock = tmp_path / "jobs.lock"
    done = subprocess.run(
        [sys.executable, "-c", script, lock],
        env={**os.environ, "ISOFLOP_JOBS_LOCK": str(lock)},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "BlockingIOError" in done.stderr


BLOCKS = """
cat <<'END'
Building DAG of jobs...
a folder was refused: it has no sweep.yaml
Job stats:
total 2
rule build_losses:
    input: data/curves/novels.parquet
1 of 2 steps (50%) done
rule render_report:
    input: data/losses/novels.parquet
{last}
END
"""


def on_a_terminal(checkout: Checkout, *words: str) -> tuple[int, str]:
    """Run run.py on a terminal of its own, and give its status and all that came to the screen."""
    pty = pytest.importorskip("pty")
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, checkout.root / "start.py", *words],
        cwd=checkout.root, stdin=terminal, stdout=terminal, stderr=terminal,
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        # Linux ends what is read of a terminal that nobody has open with an error
        with suppress(OSError):
            while part := os.read(screen, 4096):
                shown += part
        os.close(screen)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_a_line_of_progress(ready: Checkout) -> None:
    ready.stub("snakemake", BLOCKS.format(last="2 of 2 steps (100%) done"))
    status, shown = on_a_terminal(ready, "report")
    assert status == 0
    assert shown == (
        "a folder was refused: it has no sweep.yaml\n"
        "\r\x1b[K1 of 2 steps, last begun: build_losses"
        "\r\x1b[K2 of 2 steps, last begun: render_report"
        "\r\x1b[K2 of 2 steps (100%) done\n"
    )
    # a flag of Snakemake's own asks for its own words, and so does a pipe
    status, shown = on_a_terminal(ready, "report", "--verbose")
    assert "input: data/curves/novels.parquet" in shown
    status, shown = ready.run("report")
    assert status == 0
    assert "input: data/curves/novels.parquet" in shown
    assert "\x1b" not in shown


def test_a_terminal_shows_why_a_build_failed(ready: Checkout) -> None:
    error = "Error in rule render_report:\n    the reason\nShutting down."
    ready.stub("snakemake", BLOCKS.format(last=error) + "exit 1")
    status, shown = on_a_terminal(ready, "report")
    assert status == 1
    assert shown.endswith(f"\r\x1b[K{error}\n")
    assert "input:" not in shown


def test_ctrl_c_lets_the_build_tidy_up(ready: Checkout) -> None:
    ready.stub(
        "snakemake",
        f"trap 'sleep 0.5; touch \"{ready.root}/tidy\"; exit 1' INT\n"
        + SLEEP.format(root=ready.root),
    )
    build = ready.start("report")
    wait_for((ready.root / "began").exists)
    os.killpg(build.pid, signal.SIGINT)
    assert build.wait() == 1
    assert (ready.root / "tidy").exists()
    assert "Traceback" not in build.text


def test_termination_reaches_the_build(ready: Checkout) -> None:
    ready.stub(
        "snakemake",
        f"trap 'touch \"{ready.root}/tidy\"; exit 3' TERM\n" + SLEEP.format(root=ready.root),
    )
    build = ready.start("report")
    wait_for((ready.root / "began").exists)
    build.process.terminate()
    assert build.wait() == 3
    assert (ready.root / "tidy").exists()


def test_quick_tests_install_no_torch_and_leave_the_slow_ones_out(ready: Checkout) -> None:
    tier = f'echo "$ISOFLOP_TESTS" >>"{ready.root}/calls"'
    ready.stub("python", tier)
    assert ready.run("test", "--quick")[0] == 0
    call, tier = ready.calls
    assert tier == "quick"
    assert call.startswith("python -m pytest -m not (workflow or mirror or slow or train)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert f"--numprocesses={min(cores, 8)} --dist=loadfile" in call
    ready.forget()
    assert ready.run("test")[0] == 0
    assert f"--numprocesses={min(cores + 1, 8)} --dist=loadfile" in ready.calls[-2]
    ready.forget()
    assert ready.run("test", "tests/losses", "-x")[0] == 0
    assert ready.calls[-2:] == ["python -m pytest tests/losses -x", "whole"]
    assert "torch" in ready.calls[0]


@pytest.mark.parametrize("there", ["python3.12", None])
def test_a_python_that_does_not_serve_says_which_does(
    checkout: Checkout, tmp_path: Path, there: str | None
) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    # a shim that has the name alone is not one
    for name, status in (("python3.15", 127), *([(there, 0)] if there else [])):
        (path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (path / name).chmod(0o755)
    start = checkout.root / "start.py"
    old = "import collections, sys\nsys.version_info = (3, 10, 13)\n"
    start.write_text(old + start.read_text())
    status, text = checkout.run("report", "-n", PATH=str(path))
    assert status == 1
    assert "isoflop needs Python 3.11 to 3.15" in text
    if there:
        assert text.endswith("Try: python3.12 run.py report -n\n")
    else:
        assert "apt install python3 python3-venv" in text
        assert "uv run --no-project --python 3.13 run.py report -n" in text


def test_a_python_without_venv_says_what_to_install(checkout: Checkout) -> None:
    """Debian's python3 has neither module: its package python3-venv has them."""
    start = (checkout.root / "start.py").read_text()
    (checkout.root / "start.py").write_text(f"import sys\nsys.modules['ensurepip'] = None\n{start}")
    status, text = checkout.run("setup")
    assert status == 1
    version = ".".join(map(str, sys.version_info[:2]))
    assert text.count("\n") == 1
    assert f"apt install python{version}-venv" in text
    assert checkout.calls == []


def as_ordinary_user(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a checkout's run.py as who may not write what others own."""
    python, user = sys.executable, {}
    if os.geteuid() == 0:
        # root may write anywhere: as an ordinary user, by an interpreter that such a user can reach
        python = shutil.which("python3", path="/usr/bin") or ""
        if not python or subprocess.call([python, "-c", MINIMUM]) != 0:
            pytest.skip("no Python that users other than root can start")
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        for parent in root.parents:
            if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(
                tempfile.gettempdir()
            ):
                parent.chmod(0o755)
    return subprocess.run(
        [python, root / "run.py", *words], capture_output=True, text=True, check=False, **user
    )  # type: ignore[call-overload,no-any-return]


def test_a_checkout_that_may_not_be_written_to_says_so(tmp_path: Path) -> None:
    root = tmp_path / "a checkout"
    root.mkdir()
    shutil.copy2(ROOT / "run.py", root)
    root.chmod(0o555)
    for word in ("report", "setup", "clean", "test"):
        done = as_ordinary_user(root, word)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert f"{root} may not be written to by you" in done.stderr


def test_another_users_lock_is_one_message(tmp_path: Path) -> None:
    """A checkout that two share, in which the other one's builds left their locks."""
    root = tmp_path / "shared"
    (root / ".run").mkdir(parents=True)
    shutil.copy2(ROOT / "run.py", root)
    root.chmod(0o777)
    (root / ".run/build.lock").touch()
    (root / ".run/build.lock").chmod(0o444)
    done = as_ordinary_user(root, "clean")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"{root}/.run/build.lock is another user's" in done.stderr


def test_an_old_python_gets_as_far_as_that_message() -> None:
    """Nothing that Python 3.6 cannot read, and nothing it cannot do before the check."""
    tree = ast.parse((ROOT / "run.py").read_text(), feature_version=(3, 6))
    names = [
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node) for node in tree.body
    ]
    before = tree.body[: names.index("check_python()")]
    assert [node.name for node in before if isinstance(node, ast.FunctionDef)] == ["check_python"]
    assert not any(isinstance(node, ast.AnnAssign) for node in before)
    for minor in range(6, 11):
        old = shutil.which(f"python3.{minor}")
        if old and subprocess.call([old, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            command = [old, ROOT / "run.py", "report"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert f"isoflop needs Python 3.11 to 3.15; this is 3.{minor}" in done.stderr


def test_supported_pythons_are_alike_everywhere() -> None:
    text = (ROOT / "run.py").read_text()
    assert "OLDEST, NEWEST = (3, 11), (3, 15)" in text
    assert 'requires-python = ">=3.11,<3.16"' in (ROOT / "pyproject.toml").read_text()
    for page in ("README.md", "docs/dependencies.md", "run.py"):
        assert "Python 3.11 to 3.15" in (ROOT / page).read_text(), page


def test_every_word_is_in_the_manual() -> None:
    usage = subprocess.run(
        [sys.executable, ROOT / "run.py", "help"], capture_output=True, text=True, check=False
    )
    words = usage.stderr.partition("[")[2].partition("]")[0].split(" | ")
    assert {"report", "mutations", "clean", "setup"} <= set(words)
    rows = (ROOT / "docs/running.md").read_text().splitlines()
    table = rows[rows.index("| word | what it does |") + 2 :]
    told = [row.split("`")[1] for row in table[: table.index("")]]
    assert sorted(told) == sorted(words)


def test_clean_stale_removes_what_no_sweep_stands_for(checkout: Checkout) -> None:
    """What builds made of it: not what lies beside, nor anything while data/raw is away."""
    made = {
        "reports/old/report.html", "reports/old/figures/answer.svg", "reports/new/report.html",
        "reports/index.html", "reports/published/index.html", "data/estimates/old/kaplan.json",
        "data/estimates/published/study/kaplan.json", "data/curves/old.parquet",
        "data/curves/old.gates.parquet", "data/curves/old.complaint.txt", "data/curves/new.parquet",
        "data/curves/new.runs.parquet", "data/curves/new.old.parquet",
        "data/losses/old.left_out.parquet", "data/losses/new.alternate_loss.parquet",
        "data/losses/published/study.parquet", "data/curves/x.runs.y.runs.parquet",
        "data/curves/x.runs.y.complaint.txt",
    }  # fmt: skip
    beside = {
        "data/estimates/hand/mine.json", "data/estimates/old/by-hand.json", "logs/ingest/old.log",
        "logs/fit/old/kaplan.log", "logs/fit/new/kaplan.log", "benchmarks/ingest/old.tsv",
        "reports/old/figures/.snakemake_timestamp",
    }  # fmt: skip
    for name in {*made, *beside}:
        path = checkout.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    record = {"ended": True, "outputs": {name: [0, 0, ""] for name in made}}
    (checkout.root / ".run").mkdir(exist_ok=True)
    (checkout.root / ".run/outputs.json").write_text(json.dumps(record))
    shutil.rmtree(checkout.root / "data/raw", ignore_errors=True)
    assert checkout.run("clean", "--stales")[0] == 1
    status, text = checkout.run("clean", "--stale")
    assert status == 1
    assert "data/raw has no sweep" in text
    for name in ("new", "x.runs.y"):
        (checkout.root / "data/raw" / name).mkdir(parents=True)
        (checkout.root / "data/raw" / name / "sweep.yaml").write_text("title: t")
    status, text = checkout.run("clean", "--stale")
    assert status == 0
    gone = {name for name in {*made, *beside} if not (checkout.root / name).exists()}
    assert gone == {
        "reports/old/report.html", "reports/old/figures/answer.svg", "data/curves/old.parquet",
        "reports/old/figures/.snakemake_timestamp", "data/estimates/old/kaplan.json",
        "data/curves/old.gates.parquet", "data/curves/old.complaint.txt",
        "data/curves/new.old.parquet", "data/losses/old.left_out.parquet", "logs/ingest/old.log",
        "logs/fit/old/kaplan.log", "benchmarks/ingest/old.tsv",
    }  # fmt: skip
    assert not (checkout.root / "reports/old").exists()
    assert "removing what was made of old: 7 files" in text
    assert "data/estimates/old stays" in text


@pytest.mark.parametrize("name", ["ingest_sweep", "kaplan", "study", "small.1", "tinystories"])
def test_clean_stale_leaves_what_was_told_of_other_sweeps(checkout: Checkout, name: str) -> None:
    """A sweep may be called like a rule, an approach, a published study, a run or a corpus."""
    told = {
        f"{folder}/{path}{suffix}"
        for folder, suffix in (("logs", ".log"), ("benchmarks", ".tsv"))
        for path in (
            "ingest_sweep/other", "fit_approach/other/kaplan", "train_run/other/small.1", "small.1",
            "fit_approach/published/study/kaplan", "fetch_corpus/tinystories",
            "fetch_published/study",
        )
    }  # fmt: skip
    its = {f"logs/ingest_sweep/{name}.log", f"benchmarks/train_run/{name}/small.1.tsv"}
    made = f"data/curves/{name}.parquet"
    for path in (*told, *its, made, "data/raw/other/sweep.yaml"):
        (checkout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout.root / path).write_text("")
    (checkout.root / ".run").mkdir(exist_ok=True)
    record = {"ended": True, "outputs": {made: [0, 0, ""]}}
    (checkout.root / ".run/outputs.json").write_text(json.dumps(record))
    status, text = checkout.run("clean", "--stale")
    assert status == 0, text
    gone = {path for path in {*told, *its, made} if not (checkout.root / path).exists()}
    assert gone == {*its, made}


def test_clean_leaves_a_link_and_removes_what_lies_behind_it(checkout: Checkout) -> None:
    """Reports may lie on another disk, by a link that is the user's."""
    elsewhere = checkout.root.parent / "big disk"
    (elsewhere / "toy").mkdir(parents=True)
    (elsewhere / "toy/report.html").write_text("")
    (elsewhere / "index.html").write_text("")
    shutil.rmtree(checkout.root / "reports", ignore_errors=True)
    (checkout.root / "reports").symlink_to(elsewhere)
    assert checkout.run("clean")[0] == 0
    assert (checkout.root / "reports").is_symlink()
    assert [*elsewhere.iterdir()] == []

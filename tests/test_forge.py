"""What forges and catalogues of workflows read fits the project."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def content(path: str) -> dict[str, object]:
    """Read a YAML file; `on` is a key and no truth value, as forges read it."""
    loaded = yaml.load(Path(path).read_text(), Loader=yaml.BaseLoader)  # noqa: S506  the safest
    assert isinstance(loaded, dict)
    return loaded


def test_the_forge_runs_what_a_clean_clone_must_pass_on_three_pythons() -> None:
    text = Path("run.py").read_text()
    oldest, newest = re.findall(r"OLDEST, NEWEST = \(3, (\d+)\), \(3, (\d+)\)", text)[0]
    (job,) = content(".github/workflows/ci.yml")["jobs"].values()  # type: ignore[attr-defined]
    pythons = job["strategy"]["matrix"]["python"]
    assert len(pythons) == 3
    assert (pythons[0], pythons[-1]) == (f"3.{oldest}", f"3.{newest}")
    assert job["steps"][-1] == {"run": "bash .ci/run"}


@pytest.mark.parametrize("others", [(), ("3.14.2",), ("3.12.1", "3.15.0")])
def test_ci_runs_on_the_other_end_of_the_interpreters_that_are_here(
    others: tuple[str, ...], tmp_path: Path
) -> None:
    """A name on the path without an interpreter behind it is none; pyenv's need no name there."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the newest one of those made up here may be this one")
    assert "python3 .ci/interpreters --run || other=$?\n" in Path(".ci/run").read_text()
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    for version in others:
        name = "python" + version.rpartition(".")[0]
        program = tmp_path / "versions" / version / "bin" / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, ".ci/interpreters"],
        env={"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Run on Python {platform.python_version()}, of 3.11 to 3.15.")
    if others:
        listed = ", ".join(others)
        assert done.stdout.endswith(f"Also here: {listed}; the other end is {others[-1]}.\n")
    else:
        assert "No other one is here" in done.stdout


def test_hooks_are_words_of_run_py() -> None:
    words = set(re.findall(r'^    "(\w+)": \w+,$', Path("run.py").read_text(), re.MULTILINE))
    (repository,) = content(".pre-commit-config.yaml")["repos"]  # type: ignore[misc]
    for hook in repository["hooks"]:
        command = hook["entry"].split()
        assert command[:2] == ["python3", "run.py"]
        assert command[2] in words


def test_every_dependency_says_its_licence() -> None:
    done = subprocess.run(
        [sys.executable, "tools/licences.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| numpy \| [\d.]+ \| .*BSD.* \| running \|$", done.stdout, re.MULTILINE)
    assert re.search(r"^\| ruff \| [\d.]+ \| MIT \| developing \|$", done.stdout, re.MULTILINE)


def test_issue_forms_ask_for_something() -> None:
    forms = sorted(Path(".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 3
    for path in forms:
        form = content(str(path))
        if path.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(form)
        fields = form["body"]
        assert len({field["id"] for field in fields}) == len(fields)  # type: ignore[index,attr-defined,arg-type]
        assert any(field.get("validations") for field in fields)  # type: ignore[attr-defined]


def test_the_catalogue_finds_the_workflow() -> None:
    """Standardised usage wants these files, and both words in the README."""
    readme = Path("README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    usage = content(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["software-stack-deployment"]["conda"] == "false"  # type: ignore[index]
    assert Path("config/README.md").stat().st_size > 500
    snakemake = Path(sys.executable).with_name("snakemake")
    plans = []
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        plan = subprocess.run(
            [snakemake, "--dry-run", "--snakefile", snakefile, "--forceall"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        rules = re.findall(r"^(?:local)?rule (\w+):$", plan, re.MULTILINE)
        plans.append(sorted(set(rules) - {"all", "default"}))
    assert plans[0] == plans[1]
    assert "render_report" in plans[0]

"""A project of one rule, so that what packs and rebuilds projects is tested in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoflop.archive.archive_report import (
    Packed,
    archive_report,
    code_members,
    members,
    raw_members,
)
from isoflop.config.sidecar import SweepFile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SWEEP = "s"
REPORT = f"reports/{SWEEP}/report.html"
SNAKEFILE = """
configfile: "config.yaml"


rule report:
    input:
        "data/raw/s/fit/run.jsonl",
    output:
        "reports/s/report.html",
    params:
        words=config["words"],
    shell:
        "echo {params.words} >{output} && cat {input} >>{output}"
"""


def write(root: Path) -> Path:
    """Write the project with its sweep and its built report, and give its folder."""
    files = {
        "Snakefile": SNAKEFILE,
        "config.yaml": "words: as shipped\n",
        "requirements.lock": "# nothing\n",
        "rules/none.smk": "",
        "src/isoflop_is_elsewhere.py": "",
        "src/__pycache__/cache.cpython-311.pyc": "no code of ours",
        "workflow/none.rst": "",
        "data/reference/none.yaml": "",
        "data/raw/s/sweep.yaml": "title: A *sweep*\nlicence: CC0-1.0\n",
        "data/raw/s/fit/run.jsonl": '{"host": "node17.example", "loss": 1.0}\n',
        "data/raw/s/.hidden": "not for others\n",
        # not as config.yaml has it: what ran is in settings/config.json
        REPORT: 'as set\n{"host": "node17.example", "loss": 1.0}\n',
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def pack(root: Path, target: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Path:
    """Archive the project as the rule does, from its folder."""
    from pathlib import Path

    monkeypatch.chdir(root)
    content: dict[str, Any] = {
        "members": members([("report", Path(REPORT)), ("settings", Path("config.yaml"))]),
        "targets": [REPORT],
        "raw": raw_members(Path("data/raw/s")),
        "raw_included": True,
        "code": code_members(Path()),
        "sidecar": SweepFile(title="A *sweep*", licence="CC0-1.0"),
        "day": None,
        "config": {"words": "as set"},
        "revisions": ["0123abc"],
    }
    archive_report(Packed(**{**content, **changes}), target, sweep=SWEEP, version="1")
    return target

"""Whose runs the figures' marks are, for the script that names them under the pointer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs


def runs_json(inputs: ReportInputs) -> str:
    """Write, by identifier, whose runs marks are: places in a list of names, as JSON."""
    marks = {
        f"{figure}-{gid}": runs
        for figure, text in inputs.manifest.items()
        for gid, runs in text.runs.items()
    }
    names = sorted({run for runs in marks.values() for run in runs})
    place = {name: number for number, name in enumerate(names)}
    content = {
        "names": names,
        "marks": {gid: [place[run] for run in runs] for gid, runs in marks.items()},
    }
    # a name that says </script> ends no script
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")

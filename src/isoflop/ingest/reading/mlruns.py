"""MLflow's older store of plain files: a run is a folder with a file for each of its metrics.

A run's folder is read as one file, named by its `meta.yaml`: what stands in its other files is
gathered into it. Experiments' own meta.yaml and tags have nothing of a run.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.source import RawFile, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.walk import Entry

LARGEST: Final = 1 << 28
"""Bytes of a run's files together."""
META: Final = "meta.yaml"
TOO_LARGE: Final = f"the files of this run have more than {LARGEST >> 20} MB together"
_LINE = re.compile(r"^(run_name|run_id|run_uuid|status|lifecycle_stage): *(.*)$", re.MULTILINE)


def run_folders(entries: Sequence[Entry]) -> dict[Path, list[Path]]:
    """Find the runs' folders among a sweep's files.

    Returns
    -------
    By meta.yaml of a run, the files below its folder, itself among them.
    """
    paths = [each.path for each in entries if each.reason is None]
    metas = {path.parent: path for path in paths if path.name == META}
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        home = next((parent for parent in path.parents if parent in metas), None)
        if home is not None and _is_run(home, metas):
            folders.setdefault(metas[home], []).append(path)
    return folders


def _is_run(home: Path, metas: dict[Path, Path]) -> bool:
    """Tell a run's folder from an experiment's: it lies in one, and has metrics."""
    return home.parent in metas and (home / "metrics").is_dir()


def gathered(meta: Path, paths: Sequence[Path], folder: Path, spool: Path) -> RawFile | None:
    """Write what a run's files say into one; None if that is too much.

    Parameters
    ----------
    meta : meta.yaml of the run.
    paths : the files below its folder.
    folder : the sweep's folder.
    spool : where to write.
    """
    if sum(path.stat().st_size for path in paths) > LARGEST:
        return None
    told: dict[str, dict[str, str]] = {"metrics": {}, "params": {}}
    for path in paths:
        kind, *key = path.relative_to(meta.parent).parts
        if kind in told and key:
            told[kind]["/".join(key)] = path.read_text(encoding="utf-8", errors="replace")
    text = meta.read_text(encoding="utf-8", errors="replace")
    run = {name: value.strip().strip("'\"") for name, value in _LINE.findall(text)}
    content = ("isoflop mlruns\n" + json.dumps({"run": run, **told}, sort_keys=True)).encode()
    spool.write_bytes(content)
    return RawFile(spool, shown(meta, folder), len(content), hashlib.sha256(content).hexdigest())

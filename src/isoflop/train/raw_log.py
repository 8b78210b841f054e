"""The raw log of a run: JSON lines, appended as they happen, the header first."""

from __future__ import annotations

import fcntl
import json
import math
import os
from typing import TYPE_CHECKING, Any, Self

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

DIGITS = 7
"""Significant digits of a logged number: beyond the noise of any loss, short enough to commit."""


class RawLogError(IsoflopError):
    """A raw log cannot be continued."""


class RunIsTrainedError(RawLogError):
    """Another process has the log open: it trains the run."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read what a log holds so far, without a last line that a kill cut short.

    Returns
    -------
    The records; empty if there is no log yet.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise RawLogError(
                f"{path}, line {number}: not JSON ({error.msg}); "
                f"move the log and its checkpoint away to train this run afresh"
            ) from error
    if records and records[0].get("kind") != "header":
        raise RawLogError(f"{path}: its first line is no header; move it away")
    return records


def rounded(value: Any) -> Any:
    """Round every float to a fixed number of significant digits; integers and NaN stay."""
    match value:
        case dict():
            return {key: rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
        case float() if math.isfinite(value):
            return float(f"{value:.{DIGITS}g}")
        case _:
            return value


class RawLog:
    """Appends records to a log that it locks; a line is with the system when `write` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunIsTrainedError(
                f"{path}: another process is training this run; wait for it, or end it first"
            ) from error
        _drop_cut_line(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, record: dict[str, object]) -> None:
        """Append one record; measured numbers are rounded, a header's facts are kept exact."""
        if record["kind"] != "header":
            record = rounded(record)
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def _drop_cut_line(path: Path) -> None:
    """Cut off a last line without its end: a kill in the middle of a write left it."""
    content = path.read_bytes()
    os.truncate(path, content.rfind(b"\n") + 1)

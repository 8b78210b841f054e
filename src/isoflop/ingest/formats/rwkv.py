"""train_log.txt of RWKV-LM: `NEW RUN <time>`, the arguments, then `<epoch> <loss> <ppl> <lr> ...`.

A row is a mini-epoch: the mean loss over its `epoch_steps` updates. Every `NEW RUN` begins a run or
goes on with one; a first epoch above 0 says that it goes on.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import Event, Facts, Point, Restart, Truncated, Unread
from isoflop.ingest.reading.settings import settings_of
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import NUMBER, finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 2

_ROW: Final = re.compile(
    rf"([0-9]+) ({NUMBER}) ({NUMBER}) ({NUMBER}) "
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ [0-9]+\s*$"
)
LONGEST: Final = 20_000
"""Characters of the arguments that are looked at: literals nest."""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    arguments: dict[str, Any] = {}
    run, count, begun = "", 0, False
    for line in file.lines():
        if not line.endswith("\n"):
            yield Truncated()
            return
        if line.startswith("NEW RUN"):
            arguments, begun = {}, False
        elif line.startswith("{"):
            arguments = _literal(line)
        elif match := _ROW.match(line):
            epoch, loss = step_number(match[1]), number(match[2])
            if epoch is None or loss is None:
                yield Unread()
                continue
            if not begun:
                if epoch == 0 or not run:
                    count += 1
                    run = f"run{count}"
                else:
                    yield Restart(run=run)
                yield Facts(facts_of(_facts(arguments)), run)
                begun = True
            made = (epoch + 1) * int(finite(arguments.get("epoch_steps")) or 1)
            yield Point(made, train_loss=loss, lr=number(match[4]), run=run)


def _literal(line: str) -> dict[str, Any]:
    """Read the arguments; none where they are no literal."""
    if len(line) > LONGEST:
        return {}
    try:
        told = ast.literal_eval(line)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {}
    return told if isinstance(told, dict) else {}


def _facts(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the facts of the arguments."""
    facts = settings_of({name: value for name, value in arguments.items() if name != "seed"})
    epochs, steps = finite(arguments.get("epoch_count")), finite(arguments.get("epoch_steps"))
    return facts | {
        "batch": finite(arguments.get("real_bsz")) or None,
        "schedule.steps": epochs * steps if epochs and steps else None,
        "schedule.lr_peak": finite(arguments.get("lr_init")) or None,
        "schedule.lr_end": finite(arguments.get("lr_final")) or None,
        "loss_unit": "nats_per_token",
        "loss_kind": "interval_mean",
    }

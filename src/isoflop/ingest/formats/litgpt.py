"""What LitGPT's pretraining prints: `Epoch 1 | iter 320 step 80 | loss train: 8.1, val: n/a | ...`.

`iter` counts micro-batches and `step` updates. The loss is the mean over as many micro-batches as
an update has (`RunningMean(window=gradient_accumulation_iters)`): it is that of one update. Its CSV
has micro-batches as steps and all ranks' tokens, by which it is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.events import Ended, Evaluation, Event, Facts, Point, Truncated, Unread
from isoflop.ingest.numbers import NUMBER, number, step_number
from isoflop.ingest.textlog import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.source import RawFile

VERSION = 2

_LINE: Final = re.compile(
    rf"Epoch [0-9]+ \| iter [0-9]+ step ([0-9]+) \| loss train: ({NUMBER}),"
    rf" val: ({NUMBER}|n/a) \|"
)
_PARAMS: Final = re.compile(r"Total parameters: ([0-9]+(?:,[0-9]{3})*)")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    facts: dict[str, object] = {"loss_unit": "nats_per_token", "loss_kind": "instant"}
    told, last = False, -1
    for line in file.lines():
        if not line.endswith("\n"):
            yield Truncated()
            return
        if match := _LINE.search(line):
            step, loss = step_number(match[1]), number(match[2])
            if step is None or loss is None:
                yield Unread()
                continue
            if not told:
                yield Facts(facts_of(facts))
                told = True
            if step != last:  # micro-batches of one update print its number again
                yield Point(step, train_loss=loss)
                last = step
            if (value := number(match[3])) is not None:
                yield Evaluation(step, "val", value)
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif match := _PARAMS.search(line):
            facts["params.total"] = number(match[1])

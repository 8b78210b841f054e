"""What NeMo Automodel prints: `step 13 | epoch 0 | loss 0.6407 | grad_norm 1.17 | lr ... | ...`.

The loss has four digits and is that step's. `num_label_tokens` counts the step's tokens with a
label, so D adds up from it. Lines of validation begin with `[val]`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Facts, Point, Truncated, Unread
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import NUMBER, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 1

_LINE: Final = re.compile(rf"\bstep ([0-9]+) \| epoch [0-9]+ \| loss ({NUMBER}) \|([^\n]*)")
_PAIR: Final = re.compile(rf"(grad_norm|lr|tps|num_label_tokens) ({NUMBER})")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    last, tokens = -1, 0.0
    for line in file.lines():
        if not line.endswith("\n"):
            yield Truncated()
            return
        if any(word in line for word in _CRASHED):
            yield Ended("crashed")
        match = _LINE.search(line)
        if match is None:
            continue
        step, loss = step_number(match[1]), number(match[2])
        if step is None or loss is None:
            yield Unread()
            continue
        pairs = {name: number(value) for name, value in _PAIR.findall(match[3])}
        if "[val]" in line:
            yield Evaluation(step, "validation", loss)
            continue
        if last < 0:
            yield Facts(facts_of({"loss_unit": "nats_per_token", "loss_kind": "instant"}))
        labels = pairs.get("num_label_tokens") or 0.0
        tokens = tokens + labels * (step - last) if 0 <= last < step else labels * max(step, 1)
        last = step
        yield Point(
            step,
            tokens=tokens or None,
            train_loss=loss,
            lr=pairs.get("lr"),
            grad_norm=pairs.get("grad_norm"),
            tokens_per_second=pairs.get("tps"),
        )

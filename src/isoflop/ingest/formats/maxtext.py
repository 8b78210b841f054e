"""What MaxText prints: `completed step: 10, seconds: 1.2, ..., total_weights: 65536, loss: 7.1`.

Step k is the one after k updates, so k + 1 are made. `total_weights` counts the step's tokens that
are no padding, so D adds up from it. `loss` has the auxiliary loss of experts in it where
`lm_loss` is printed too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Truncated, Unread
from isoflop.ingest.reading.textlog import LogFacts
from isoflop.ingest.words.numbers import NUMBER, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 4

_STEP: Final = re.compile(
    rf"completed step: ([0-9]+), seconds: ({NUMBER}), (?:TFLOP/s(?:/device)?: {NUMBER}, )?"
    rf"(?:Tokens/s/device: {NUMBER}, )?(?:total_weights: ({NUMBER}), )?loss: ({NUMBER})"
    rf"(?:, (?:[a-z_]+: {NUMBER}, )*lm_loss: ({NUMBER}))?"
)
_EVAL: Final = re.compile(rf"eval metrics after step: ([0-9]+), loss=({NUMBER})")
_PARAMS: Final = re.compile(rf"number parameters: ({NUMBER}) (billion|million)")
_SETTING: Final = re.compile(r"Config param (\w+): (\S+)")
_SETTINGS: Final = {
    "steps": "schedule.steps",
    "learning_rate": "schedule.lr_peak",
    "max_target_length": "architecture.seq_len",
    "vocab_size": "architecture.vocab_size",
    "global_batch_size_to_train_on": "batch",
}
LEAST_DIGITS: Final = 100
"""Units of its last digit from which a number of parameters is known to half a percent."""
_CRASHED: Final = ("Traceback (most recent call last)", "RESOURCE_EXHAUSTED")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    facts = LogFacts(loss_unit="nats_per_token", loss_kind="instant")
    made, tokens = 0, 0.0
    for line in file.lines():
        if not line.endswith("\n"):
            yield Truncated()
            return
        match, evaluated = _STEP.search(line), _EVAL.search(line)
        step = step_number((match or evaluated or [None, None])[1])
        if match and step is not None:
            yield from facts.news()
            weights = number(match[3] or "0") or 0.0
            # a log that begins in the middle, or goes back, has its D from the step alone
            goes_on = made and step >= made
            tokens = tokens + weights * (step + 1 - made) if goes_on else weights * (step + 1)
            made = step + 1
            loss = number(match[5] or match[4])
            seconds = number(match[2])
            yield Point(made, tokens=tokens or None, train_loss=loss, step_seconds=seconds)
        elif evaluated and step is not None and (value := number(evaluated[2])) is not None:
            yield Evaluation(step + 1, "eval", value)
        elif match or evaluated or "completed step:" in line:
            yield Unread()
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif match := _PARAMS.search(line):
            for name, value in _params(match[1], match[2]).items():
                facts[name] = value
        elif (match := _SETTING.search(line)) and match[1] in _SETTINGS:
            facts[_SETTINGS[match[1]]] = number(match[2])


def _params(text: str, unit: str) -> dict[str, Any]:
    """Give the number of parameters; of few digits it is none where nothing else says it."""
    total = (number(text) or 0.0) * (1e9 if unit == "billion" else 1e6)
    if int(re.sub(r"[^0-9]", "", text) or 0) >= LEAST_DIGITS:
        return {"params.total": total}
    why = f"its log has {text} {unit}, which is rounded by up to half of its last digit"
    return {"params.of_ranks": total, "params.unsummed": why}

"""What the HF Trainer prints: `{'loss': 2.163, 'learning_rate': 9.9e-05, 'epoch': 0.36}`.

Version 5 quotes the numbers, to four digits. A line has no step: it follows from the epoch where
the header is there (`Total optimization steps`, `Num Epochs`; Unsloth's banner), ms-swift's have
`global_step/max_steps`, and points are counted in their
order where lines tell tokens (TRL, or `include_num_input_tokens_seen`; its evaluations do not).
The loss is the mean since the last line; `train_loss` at the end is the mean of the whole run, and
no record: it says that what follows is another run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import (
    CountsLines,
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words import names
from isoflop.ingest.words.names import evaluated, tokens_seen
from isoflop.ingest.words.numbers import LARGEST_STEP, finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 9
COUNTER: Final = names.COUNTER
STEPS_REPEAT: Final = True
"""Lines of several updates may have one epoch, of which two digits are printed."""

_LINE = re.compile(r"\{'(?:loss|eval_loss|eval_\w+|train_runtime)': [^{}\n]*\}")
_PAIR = re.compile(r"'([^']+)': (?:'([^']*)'|([^,}\s]+))")
_TRAINABLE, _ALL, _DEVICE, _ACCUMULATED = "trainable", "all", "of device", "accumulated"
_HEADER: Final = (
    (re.compile(r"Number of trainable parameters = ([0-9]+(?:,[0-9]{3})*)"), _TRAINABLE),
    (re.compile(r"\|\| all params: ([0-9]+(?:,[0-9]{3})*)"), _ALL),
    (re.compile(r"batch size per device = ([0-9]+(?:,[0-9]{3})*)"), _DEVICE),
    (re.compile(r"Gradient Accumulation steps = ([0-9]+(?:,[0-9]{3})*)"), _ACCUMULATED),
    (re.compile(r"Total (?:train )?batch size \([^)]*\) = ([0-9]+(?:,[0-9]{3})*)"), "batch"),
    (re.compile(r"Total (?:optimization )?steps = ([0-9]+(?:,[0-9]{3})*)"), "schedule.steps"),
    (re.compile(r"Num Epochs = ([0-9]+(?:,[0-9]{3})*)"), "epochs"),
)
_STEP_OF: Final = re.compile(r"([0-9]+)/([0-9]+)")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    header: dict[str, Any] = {}
    told: dict[str, Any] | None = None
    steps = _Steps(header)
    counts_lines = False
    for line in _lines(file):
        if isinstance(line, dict):
            if (reward := names.of_rewards(line)) is not None:
                raise RefusedError(names.REWARDED.format(reward))
            step = steps.of(line)
            if step is None:
                continue
            if not 0 <= step < LARGEST_STEP:  # by an epoch below 0, or beyond all
                yield Unread()
                continue
            if steps.are_lines and not counts_lines:
                counts_lines = True
                yield CountsLines()
            if header != told:
                told = dict(header)
                yield Facts(_facts(header))
            yield from _record(step, line)
        elif not line.endswith("\n"):
            yield Truncated()
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        else:
            header |= _told(line)


def _lines(file: RawFile) -> Iterator[dict[str, str] | str]:
    """Yield the lines' dictionaries, and the other lines that say something.

    LLaMA-Factory prints each training line twice, first without its tokens: two that follow each
    other with one loss and epoch are one, and a first one at the end of a log is none.
    """
    before: dict[str, str] | None = None
    halves_alone = cut = False
    line = ""
    for line in file.lines():
        cut = not line.endswith("\n")
        records = [] if cut else _LINE.findall(line)
        for text in records:
            pairs = {name: quoted or bare for name, quoted, bare in _PAIR.findall(text)}
            if before is not None and _is_half(before) and _place(before) == _place(pairs):
                before |= pairs
                continue
            if before is not None:
                halves_alone = _is_half(before)
                yield before
            before = pairs
        if not cut and not records and (any(word in line for word in _CRASHED) or _told(line)):
            if before is not None:
                yield before
            before = None
            yield line
        elif cut:
            break
    if before is not None and (halves_alone or not _is_half(before)):
        yield before
    if cut:
        yield line


def _is_half(pairs: Mapping[str, str]) -> bool:
    """Tell the line that LLaMA-Factory prints before the Trainer's own."""
    return "throughput" in pairs and "grad_norm" not in pairs


def _place(pairs: Mapping[str, str]) -> tuple[float | None, float | None]:
    return finite(pairs.get("epoch")), finite(pairs.get("loss"))


def _told(line: str) -> dict[str, Any]:
    """Read what a line before training tells."""
    matches = ((name, pattern.search(line)) for pattern, name in _HEADER)
    return {name: number(match[1]) for name, match in matches if match}


@dataclass
class _Steps:
    """Finds the update after which a line was printed.

    Attributes
    ----------
    header : what the lines before training told; takes the length that each line tells.
    points : training lines of the run so far.
    counted : whether some line has told its tokens.
    ended : whether the run has, so that the next training line is another one's.
    are_lines : whether a step that it gave counts lines, since nothing tells updates.
    """

    header: MutableMapping[str, Any]
    points: int = 0
    counted: bool = False
    ended: bool = False
    are_lines: bool = False

    def of(self, pairs: Mapping[str, str]) -> int | None:
        """Give the update of a line; None of one that is no record.

        Raises
        ------
        RefusedError : nothing tells the steps.
        """
        if "train_loss" in pairs and "loss" not in pairs:
            self.ended = True
            return None
        if "loss" in pairs:
            self.points, self.ended = 1 if self.ended else self.points + 1, False
        self.counted |= tokens_seen(pairs) is not None
        epoch = finite(pairs.get("epoch"))
        total, epochs = self.header.get("schedule.steps"), self.header.get("epochs")
        if (match := _STEP_OF.fullmatch(pairs.get("global_step/max_steps", ""))) is not None:
            self.header.setdefault("schedule.steps", finite(match[2]) or None)
            return step_number(match[1])
        if (step := step_number(pairs.get("step"))) is not None:
            return step
        if epoch is not None and total and epochs:
            return int(epoch / epochs * total + 0.5)
        if self.counted or (epoch == 0 and "loss" not in pairs):
            self.are_lines |= epoch != 0 or "loss" in pairs
            return self.points
        raise RefusedError(
            "lines of the HF Trainer that tell epochs only, and no header ('Total optimization "
            "steps'); drop in trainer_state.json of the last checkpoint instead: it has every line "
            "with its step"
        )


def _facts(header: Mapping[str, Any]) -> Any:
    known = {name for _, name in _HEADER if "." in name or name == "batch"}
    facts = {name: value for name, value in header.items() if name in known}
    facts |= _params(header)
    return facts_of({"loss_unit": "nats_per_token", "loss_kind": "interval_mean", **facts})


def _params(header: Mapping[str, Any]) -> dict[str, Any]:
    """Give the number of parameters, or what is printed of it where that may be a part.

    Those that are trained are none of all beside adapters, whose line says both. Under FSDP the
    Trainer prints those of one device (huggingface/transformers, issue 40463), as no line tells.
    """
    trainable, everything = header.get(_TRAINABLE), header.get(_ALL)
    if everything is not None or trainable is None:
        return {} if everything is None else {"params.total": everything}
    batch, each = header.get("batch"), header.get(_DEVICE)
    devices = (batch or 1) / (each or batch or 1) / (header.get(_ACCUMULATED) or 1)
    if devices < 1.5:
        return {"params.total": trainable}
    return {
        "params.of_ranks": trainable,
        "params.unsummed": f"its log has {trainable:.10g} trainable parameters, which are all of "
        f"them, or under FSDP those of one of {devices:g} devices",
    }


def _record(step: int, pairs: Mapping[str, str]) -> Iterator[Event]:
    """Turn a line into a point or an evaluation."""
    tokens = tokens_seen(pairs)
    if "loss" in pairs:
        loss = number(pairs["loss"])
        if loss is None:
            yield Unread()
            return
        yield Point(
            step,
            tokens=tokens,
            train_loss=loss,
            lr=number(pairs.get("learning_rate")),
            grad_norm=number(pairs.get("grad_norm")),
            epoch=finite(pairs.get("epoch")),
        )
    for name, text in pairs.items():
        if (told := evaluated(name)) is not None:
            eval_set, metric = told
            value = number(text)
            if value is None:
                yield Unread()
            else:
                yield Evaluation(step, eval_set, value, metric, tokens=tokens)

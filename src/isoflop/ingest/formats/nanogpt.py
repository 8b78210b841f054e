"""What nanoGPT's train.py prints: `iter 10: loss 4.5211, time 47.85ms`, `step 500: val loss ...`.

The header gives tokens per iteration, the vocabulary, exact parameter counts of decayed and other
tensors, and the configuration as far as it was overridden; the rest of it is in nanoGPT's
configuration files, which sweep.yaml may name (`config:`). llama2.c prints
`10 | loss 7.08 | lr 6.0e-04 | 47.85ms | mfu 12.34%`, and its context.

Line `iter k` comes before update k + 1 is made, and so does `step k`: both show the model after k
updates. `iter` is the last micro-batch on rank 0, so it is noisy; `step` is a mean over
eval_iters batches.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.config.sidecar import RunArchitecture, RunFacts, RunParams, RunSchedule
from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Excluded,
    Facts,
    Point,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.textlog import Shape, TextFormat
from isoflop.ingest.words.numbers import NUMBER, finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


VERSION = 8
DEFAULTS = ("architecture.tied", "architecture.gated", "architecture.d_ff")
"""What model.py is and no log says; forks may be otherwise."""

# no \b: a line glued to the one before it counts too
_NEXT: Final = r"(?:,| \|)? "
_ITER = re.compile(
    rf"[Ii]ter (\d+)(?::| \||,)? (?:train[ _])?loss(?: =|:|=)? ?({NUMBER})"
    rf"(?:{_NEXT}lr ({NUMBER}))?(?:{_NEXT}grad_norm ({NUMBER}))?"
    rf"(?:{_NEXT}[a-z_]+ {NUMBER})*?{_NEXT}time ({NUMBER})(m?s)(?:{_NEXT}mfu [-\d.]+%)?"
)
"""Forks put other marks between the same values."""
_LLAMA2C = re.compile(
    rf"(\d+) \| loss ({NUMBER}) \| lr ({NUMBER}) \| ({NUMBER})(ms)(?: \| mfu [-\d.]+%)?"
)
_STEP = re.compile(rf"step (\d+): train loss ({NUMBER})(?: \([^)]*\) \||,) val loss ({NUMBER})")
_LOOKS_LIKE_A_RECORD = re.compile(
    r"\b(?:iter|step) \d+(?::|(?:/\d+)? ?[|,][^\n]*\bloss\b)"
    r"|\b(?i:iter|iteration|step)[ :=]+\d+\b[^\n]*loss\b|(?m:^)\d+ \| [^\n]*loss\b"
)
_RESUMED = re.compile(r"^Resuming training from ")
_CRASHED = re.compile(r"^Traceback \(most recent call last\)|CUDA out of memory")
_TOKENS = re.compile(r"tokens per iteration will be: ([\d,]+)")
_CONTEXT = re.compile(r" batch size \* (\d+) max seq len")
"""What llama2.c alone prints: its model is a gated Llama."""
_VOCABULARY = re.compile(r"(?:found vocab_size = |vocab_size of GPT-2 to )([\d,]+)")
_TENSORS = re.compile(r"num (non-)?decayed parameter tensors: \d+, with ([\d,]+) parameters")
_ASSIGNED = re.compile(r"^(?:Overriding: )?(\w+) = (.+)$")
_PRINTED = re.compile(r"^number of parameters: ([\d.]+)M")
"""Position embeddings left out, and written to two digits: it tells one network from another."""
_SETTINGS: Final = frozenset(
    {
        "batch_size", "block_size", "dataset", "decay_lr", "gradient_accumulation_steps",
        "learning_rate", "lr_decay_iters", "max_iters", "min_lr", "n_embd", "n_head", "n_layer",
        "vocab_size", "warmup_iters",
    }
)  # fmt: skip
_OF_A_RUN: Final = {"max_iters": "max_iters = {}", "printed": "{}M parameters"}
"""What a launch of the same run prints again, and in what words it is told."""

LONGEST_SETTING: Final = 200
"""Characters of a setting's value that are looked at: literals nest."""


SPLIT: Final = (
    """awk 'BEGIN {n = 1} /^(iter|step) [0-9]/ {r = 1} """
    """/ = |^tokens per iteration|^number of parameters/ {if (r) {n++; r = 0}} """
    """{print > sprintf("run%03d.log", n)}'"""
)
"""Gives what each launch printed a file: it begins with settings, or its tokens per iteration."""


class Reader:
    """What nanoGPT's lines say, one by one."""

    phase: str | None = None

    def __init__(self) -> None:
        self._header: dict[str, Any] = {}
        self._begun = False
        self._next: dict[str, Any] = {}  # settings of the next launch, in the same file
        self._resumed = False
        self._planned: dict[str, object] = {}

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells; see `textlog.LineReader`."""
        events = list(_records(line))
        if events:
            yield from self.begin()
            yield from events
        elif _LOOKS_LIKE_A_RECORD.search(line):
            yield Unread() if line.endswith("\n") else Truncated()
        elif _RESUMED.match(line):
            self._resumed = True
            yield Restart()
        elif _CRASHED.search(line):
            yield Ended("crashed")
        else:
            if self._begun and (_TOKENS.search(line) or self._is_another(line)):
                self._header, self._begun, self._resumed = self._next, False, False
                self._next = {}
            _take(line, self._next if self._begun else self._header)
            if not line.endswith("\n"):
                yield Truncated()

    def begin(self, of: int | None = None) -> Iterator[Event]:  # noqa: ARG002
        """Tell the facts of a launch before its first record."""
        if self._begun:
            return
        self._begun = True
        yield Facts(_facts(self._header))
        planned = {name: self._header[name] for name in _OF_A_RUN if name in self._header}
        differing = [
            name for name in planned if self._planned.get(name, planned[name]) != planned[name]
        ]
        if differing and not self._resumed:
            name = differing[0]
            yield Excluded(
                f"its file holds several runs: a launch that was not resumed prints "
                f"{_OF_A_RUN[name].format(planned[name])}, and the one before it "
                f"{_OF_A_RUN[name].format(self._planned[name])}. Give what each printed a file "
                f"of its own, as by {SPLIT} <this file>; or, if the earlier was a test and the "
                f"later launch is the run, name it in sweep.yaml, runs: [{{match: <this file>, "
                f"run: <its name>}}]",
                "",
                unless_named=True,
            )
        self._planned |= planned

    def _is_another(self, line: str) -> bool:
        """Tell the header of a launch of another network, where no other line begins one."""
        printed = _PRINTED.match(line)
        return printed is not None and printed[1] != self._header.get("printed", printed[1])

    def end(self) -> Iterator[Event]:
        """Nothing is left to say."""
        yield from ()


def read_config(texts: Sequence[str]) -> RunFacts:
    """Read facts from nanoGPT configuration files; a later file wins over an earlier one."""
    header: dict[str, Any] = {}
    for text in texts:
        for line in text.splitlines():
            _assign(line, header)
    return _facts(header)


def _records(line: str) -> Iterator[Event]:
    """Yield all records in a line; there are several where lines got glued together."""
    told = [match.groups() for match in _ITER.finditer(line)]
    told += [(*m.group(1, 2, 3), None, *m.group(4, 5)) for m in _LLAMA2C.finditer(line)]
    for at, loss, lr, norm, time, unit in told:
        step = step_number(at)
        if step is None:
            yield Unread()
            continue
        duration = number(time)
        if duration is not None and unit == "ms":
            duration *= 1e-3
        yield Point(
            step,
            train_loss=number(loss),
            lr=number(lr),
            grad_norm=number(norm),
            step_seconds=duration,
        )
    for match in _STEP.finditer(line):
        if match.end() == len(line):
            return  # cut: more digits may have followed
        for eval_set, text in (("train", match[2]), ("val", match[3])):
            step, value = step_number(match[1]), number(text)
            if step is None or value is None:
                yield Unread()
            else:
                yield Evaluation(step, eval_set, value)


def _take(line: str, header: dict[str, Any]) -> None:
    """Take a fact from a line of the header, if it has one."""
    if match := _TOKENS.search(line):
        header["tokens_per_step"] = number(match[1])
    elif match := _CONTEXT.search(line):
        header["block_size"], header["llama"] = step_number(match[1]), True
    elif match := _VOCABULARY.search(line):
        header["vocab_size"] = step_number(match[1])
    elif match := _PRINTED.match(line):
        header["printed"] = match[1]
    elif match := _TENSORS.search(line):
        kind = "other" if match[1] else "decayed"
        header[f"{kind}_params"] = number(match[2])
    else:
        _assign(line, header)


def _assign(line: str, header: dict[str, Any]) -> None:
    """Take `name = value` of a known setting; a value may name an earlier setting."""
    match = _ASSIGNED.match(line.strip())
    if match is None or match[1] not in _SETTINGS:
        return
    text = match[2].split("#")[0].strip()
    if len(text) > LONGEST_SETTING:
        return
    try:
        header[match[1]] = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        if text in header:
            header[match[1]] = header[text]


def _facts(header: Mapping[str, Any]) -> RunFacts:
    """Turn header and settings into facts; what is not of a setting's type is left out."""

    def integer(name: str) -> int | None:
        value = header.get(name)
        return step_number(value) or None if isinstance(value, int) else None

    def real(name: str) -> float | None:
        value = header.get(name)
        known = finite(value) if isinstance(value, int | float) else None
        return known if known and known > 0 else None

    width, accumulated = integer("n_embd"), integer("gradient_accumulation_steps")
    batch = integer("batch_size")
    decayed, other = real("decayed_params"), real("other_params")
    decays = header.get("decay_lr", True)
    has_schedule = "decay_lr" in header or "lr_decay_iters" in header
    dataset = header.get("dataset")
    llama = "llama" in header
    return RunFacts(
        architecture=RunArchitecture(
            layers=integer("n_layer"),
            d_model=width,
            heads=integer("n_head"),
            d_ff=4 * width if width and not llama else None,  # model.py's MLP
            vocab_size=integer("vocab_size"),
            seq_len=integer("block_size"),
            tied=True,
            gated=llama,
        ),
        # decayed and other tensors together are all: position embeddings and norms included
        params=RunParams(total=decayed + other if decayed and other else None),
        tokens_per_step=real("tokens_per_step"),
        # accumulation is counted over all ranks in the configuration: train.py divides it
        batch=batch * accumulated if batch and accumulated else None,
        schedule=RunSchedule(
            kind=("cosine" if decays else "constant") if has_schedule else None,
            steps=real("lr_decay_iters") if decays else None,
            warmup_steps=real("warmup_iters") if decays else None,
            lr_peak=real("learning_rate"),
            lr_end=real("min_lr") if decays else real("learning_rate"),
        ),
        loss_unit="nats_per_token",
        loss_kind="instant",
        primary_eval="val",
        dataset=dataset if isinstance(dataset, str) else None,
    )


_LINE: Final = "iter {step}: loss {train_loss}(?:, lr {lr})?(?:, grad_norm {grad_norm})?, time "
"""Forks print the rate, and the norm, too."""

FORMAT = TextFormat(
    shapes=(
        Shape(
            "iter ",
            _LINE + "{step_ms}ms",
            r"(?:, mfu [-0-9.]+%)?",
        ),
        Shape(
            "iter ",
            _LINE + "{step_seconds}s",
            r"(?:, mfu [-0-9.]+%)?",
        ),
        Shape(
            " | loss ",
            r"{step} \| loss {train_loss} \| lr {lr} \| {step_ms}ms",
            r"(?: \| mfu [-0-9.]+%)?",
        ),
        Shape(
            "step ",
            r"step {step}: train loss {loss__train}(?: \([^)]*\) \||,) val loss {loss__val}",
            r"(?: \([^)]*\))?",
        ),
    ),
    reader=Reader,
    triggers=(
        " = ", "tokens per iteration will be: ", "found vocab_size = ", "vocab_size of GPT-2 to ",
        "decayed parameter tensors: ", "Resuming training from ", "number of parameters: ",
        " max seq len", "Iter ", "loss ",
    ),
)  # fmt: skip

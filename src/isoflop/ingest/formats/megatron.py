"""What the Megatron family prints: `iteration 200/ 1000 | consumed samples: ... | lm loss: ...`.

Megatron-LM and -Core, -DeepSpeed, NeoX, Megatron-Bridge and NeMo 2 differ in the order and number
of the pairs between bars, so a line is read by its keys. `lm loss` is the mean since the last
line; losses of experts' balance and of further predicted tokens are other keys. NeMo 2 counts its
updates from 0 and repeats `val_loss`, the last one measured, on each line. NeoX says behind each
argument whether it is a default. D is samples
times context: a batch that ramps up is counted rightly. The argument dump tells shape, batch and
schedule; parameters are printed per rank and add up where all ranks are there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.facts.experts import of_experts
from isoflop.ingest.facts.identity import OF_EXPERTS
from isoflop.ingest.facts.model_ranks import RANK_WORDS, ModelRanks
from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.textlog import Shape, TextFormat, facts_of
from isoflop.ingest.words.numbers import number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERSION = 15
COUNTS_ALL_RANKS = True
"""`consumed samples` are those of the global batch on every rank that prints them."""

_ITERATION = re.compile(r"iteration +([0-9]+)/ *([0-9]+) \|")
_VALID = re.compile(
    r"(?P<kind>valid(?:ation)?|test)(?:-(?P<named>\S+))? (?:loss|results) at (?:iteration )?"
    r"(?P<step>[0-9]+)(?: on (?P<of>validation|test) set)?[^|]*\|(?P<pairs>.*)"
)
_ARGUMENT = re.compile(r"(?:^|[\]:])\s+(\w+) \.{3,} ?(.*)$")
"""Behind whatever loggers and launchers write before a line."""
_ORIGIN = re.compile(r"\.*(?:default|updated)$")
_VOCABULARY = re.compile(r"padded vocab \(size: [0-9]+\).*\(new size: ([0-9]+)\)")
_ESTIMATED = re.compile(r"estimated model parameters( without embeddings)?: ([0-9.]+)")
_BILLIONS = re.compile(r"Total number of parameters in billions: ([0-9.]+)")
_TOTAL = re.compile(r"\bUNIQUE_PARAMS=([0-9]+)\b")
"""What DeepSpeed's pipelines print of all ranks of a model together, tied weights once."""
_RESUMED = re.compile(
    r"successfully loaded (?:checkpoint .* at iteration |\S*/global_step)([0-9]+)"
)
_LOADING = re.compile(r"loading (?:distributed )?checkpoint from .* at iteration ([0-9]+)")
_CRASHED = ("Traceback (most recent call last)", "CUDA out of memory")
_NEMO: Final = "reduced_train_loss"
_LOSSES: Final = ("lm loss", "lm_loss", _NEMO, "total loss")
_ARGUMENTS: Final = {
    "num_layers": "architecture.layers",
    "hidden_size": "architecture.d_model",
    "num_attention_heads": "architecture.heads",
    "kv_channels": "architecture.d_head",
    "num_kv_heads": "architecture.kv_heads",
    "num_query_groups": "architecture.kv_heads",
    "ffn_hidden_size": "architecture.d_ff",
    "num_experts": "architecture.experts",
    "moe_router_topk": "architecture.experts_per_token",
    "moe_ffn_hidden_size": "architecture.d_expert",
    "moe_shared_expert_intermediate_size": "architecture.d_shared",
    "padded_vocab_size": "architecture.vocab_size",
    "seq_length": "architecture.seq_len",
    "global_batch_size": "batch",
    "train_batch_size": "batch",
    "lr": "schedule.lr_peak",
    "min_lr": "schedule.lr_end",
    "lr_decay_style": "schedule.kind",
    "lr_warmup_iters": "schedule.warmup_steps",
    "seed": "seed",
    "tokenizer_type": "tokenizer",
}


class Reader:
    """What Megatron's lines say, one by one."""

    phase: str | None = None

    def __init__(self) -> None:
        self._arguments: dict[str, str] = {}
        self._facts: dict[str, Any] = {}
        self._ranks = ModelRanks()
        self._of: int | None = None
        self._told: dict[str, Any] | None = None
        self._sets: set[str] = set()
        self._loading: int | None = None
        self._measured_last: str | None = None
        self._batch: float | None = None

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells; see `textlog.LineReader`."""
        if not line.endswith("\n"):
            yield Truncated()
            return
        matches = list(_ITERATION.finditer(line))
        if matches:
            yield from self._trained(line, matches)
        elif match := _VALID.search(line):
            yield from self._evaluated(match)
        elif match := _RESUMED.search(line):
            resumed, self._loading = self._loading, None
            if resumed is None or resumed != step_number(match[1]):
                yield Restart(step_number(match[1]))
        elif match := _LOADING.search(line):
            self._loading = step_number(match[1])
            yield Restart(self._loading)
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        else:
            self._take(line)

    def begin(self, of: int | None = None) -> Iterator[Event]:
        """Tell what is known of the run, where that is new."""
        self._of = self._of or of
        values = self._values()
        if values != self._told:
            self._told = values
            yield Facts(facts_of(values))

    def end(self) -> Iterator[Event]:
        """Tell what stands after the last record."""
        yield from self.begin() if self._told is not None else ()

    def _trained(self, line: str, matches: Sequence[re.Match[str]]) -> Iterator[Event]:
        """Tell a line of updates: its point, and what it evaluates."""
        step = step_number(matches[0][1])
        if step is None or len(matches) > 1:
            yield Unread()  # of two ranks' lines in one there is no telling whose pairs are whose
            return
        of, pairs = step_number(matches[0][2]), _pairs(line[matches[0].end() :])
        from_zero = _NEMO in pairs
        if from_zero:
            step = self._updates(step, pairs)
        yield from self.begin(of + 1 if from_zero and of is not None else of)
        yield _point(step + from_zero, pairs)
        yield from self._measured(step, pairs.get("val_loss"))

    def _updates(self, step: int, pairs: Mapping[str, str]) -> int:
        """Give NeMo's count of updates from 0: iterations begin anew with each epoch of the data.

        What they are of is the length of the run all the same.
        """
        if self._batch is None:
            self._batch = number(pairs.get("global_batch_size"))
        updates = step_number(pairs.get("global_step"))
        return step if updates is None else updates

    def _measured(self, step: int, text: str | None) -> Iterator[Event]:
        """Tell a new validation loss of NeMo's: it was measured before the line's update."""
        value = number(text)
        if value is not None and text != self._measured_last:
            yield Evaluation(step, "validation", value)
            self._measured_last = text

    def _evaluated(self, match: re.Match[str]) -> Iterator[Event]:
        """Take in a line of validation; its perplexity says the same as its loss."""
        step = step_number(match["step"])
        pairs = _pairs(match["pairs"])
        loss = next((pairs[f"{name} value"] for name in _LOSSES if f"{name} value" in pairs), None)
        value = number(loss)
        if step is None or value is None:
            yield Unread()
            return
        is_test = "test" in (match["kind"], match["of"])
        eval_set = "test" if is_test else "validation"
        if match["named"]:
            eval_set = f"test-{match['named']}" if is_test else match["named"]
        self._sets.add(eval_set)
        yield Evaluation(step, eval_set, value)

    def _take(self, line: str) -> None:
        """Take a fact from a line of the header, if it has one."""
        if self._ranks.takes(line):
            return
        if match := _ESTIMATED.search(line):
            name = "params.nonembedding" if match[1] else "params.total"
            self._facts[name] = round((number(match[2]) or 0.0) * 1e9)
        elif match := _TOTAL.search(line):
            self._facts["params.total"] = number(match[1])
        elif match := _BILLIONS.search(line):
            self._facts.setdefault("params.total", (number(match[1]) or 0.0) * 1e9)
        elif match := _VOCABULARY.search(line):
            self._facts["architecture.vocab_size"] = number(match[1])
        elif match := _ARGUMENT.search(line.rstrip("\n")):
            self._arguments[match[1]] = _ORIGIN.sub("", match[2].strip())

    def _values(self) -> dict[str, Any]:
        """Give all that is known as facts."""
        given = {name: text for name, text in self._arguments.items() if text != "None"}
        values = {
            fact: given[name] if number(given[name]) is None else number(given[name])
            for name, fact in _ARGUMENTS.items()
            if name in given and (name == "seed" or number(given[name]) != 0)
        }
        values |= {"loss_unit": "nats_per_token", "loss_kind": "interval_mean"}
        if self._sets == {"validation", "test"}:
            values["primary_eval"] = "validation"  # test is measured once, at the end
        values |= {name: value for name, value in self._facts.items() if value}
        if self._batch and "rampup_batch_size" not in given:
            values.setdefault("batch", self._batch)
        if "architecture.experts" not in values:
            # printed of every model, whether it has experts or not
            values = {name: value for name, value in values.items() if name not in OF_EXPERTS}
        values |= of_experts(values, given, dump=True)
        if "params.total" not in values:
            values |= self._ranks.facts(given, values | _layers(given))
        return values | self._schedule(given) | _layers(given) | _ramp(given)

    def _schedule(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Give the length of the learning rate's decay, which may be counted in samples."""
        numbers = {name: number(text) for name, text in given.items()}
        context = numbers.get("seq_length")
        if tokens := numbers.get("lr_decay_tokens"):
            return {"schedule.tokens": tokens}
        samples = numbers.get("lr_decay_samples") or numbers.get("train_samples")
        if samples and context:
            return {"schedule.tokens": samples * context}
        steps = numbers.get("lr_decay_iters") or numbers.get("train_iters") or self._of
        return {"schedule.steps": steps} if steps else {}


_RAMP: Final = re.compile(r"[0-9][0-9_]*")


def _ramp(given: Mapping[str, str]) -> dict[str, Any]:
    """Say how the batch grows: `['128', '128', '2_000_000']`, start, increment and samples."""
    counts = [int(text) for text in _RAMP.findall(given.get("rampup_batch_size", ""))[:4]]
    names = ("start", "increment", "samples")
    if len(counts) != len(names) or not all(counts):
        return {}
    return {f"batch_ramp.{name}": count for name, count in zip(names, counts, strict=True)}


def _layers(given: Mapping[str, str]) -> dict[str, Any]:
    """Say what of the shape the arguments switch on or off."""
    shape: dict[str, Any] = {}
    if "untie_embeddings_and_output_weights" in given:
        shape["architecture.tied"] = given["untie_embeddings_and_output_weights"] != "True"
    if "no_weight_tying" in given:
        shape["architecture.tied"] = given["no_weight_tying"] != "True"
    if given.get("group_query_attention") == "False":
        # the number of groups, 1, is not used then
        shape["architecture.kv_heads"] = number(given.get("num_attention_heads"))
    if "swiglu" in given:
        shape["architecture.gated"] = given["swiglu"] == "True"
    elif "glu_activation" in given:
        shape["architecture.gated"] = True
    return shape


def _pairs(text: str) -> dict[str, str]:
    """Read `key: value` between bars; until 2020 rate, loss and scale have no colon."""
    pairs = {}
    for pair in text.split("|"):
        key, colon, value = pair.rpartition(":")
        if not colon:
            key, _, value = pair.strip().rpartition(" ")
        if key:
            pairs[key.strip()] = value.strip()
    return pairs


def _point(step: int, pairs: Mapping[str, str]) -> Event:
    """Turn a line's pairs into a point; a skipped update has no loss."""
    values = {name: _first(pairs[name]) if name in pairs else None for name in _NUMBERS}
    if any(values[name] is None for name in _NUMBERS if name in pairs):
        return Unread()
    seconds = values["elapsed time per iteration (s)"]
    milliseconds = values["elapsed time per iteration (ms)"]
    if milliseconds is not None:
        seconds = milliseconds * 1e-3
    return Point(
        step,
        tokens=values["consumed tokens"],
        samples=values["consumed samples"] or values["consumed_samples"],
        train_loss=next((values[name] for name in _LOSSES if name in pairs), None),
        lr=values["learning rate"] if "learning rate" in pairs else values["lr"],
        grad_norm=values["grad norm"],
        step_seconds=seconds,
    )


def _first(text: str) -> float | None:
    """Read a value, which some forks print before a mean of it: `13372.8/13364.7`."""
    value, slash, mean = text.partition("/")
    return number(value) if not slash or number(mean) is not None else None


_NUMBERS: Final = (
    "consumed samples", "consumed tokens", "elapsed time per iteration (s)",
    "elapsed time per iteration (ms)", "learning rate", "grad norm", "consumed_samples", "lr",
    *_LOSSES,
)  # fmt: skip


def _shape(seconds: str, name: str) -> Shape:
    """Describe the commonest order of the pairs; other orders are read line by line."""
    return Shape(
        "iteration ",
        r"iteration +{step}/ *{of} \| consumed samples: +{samples} \|"
        r"(?: consumed tokens: +{tokens} \|)?"
        rf" elapsed time per iteration \({seconds}\): {{{name}}} \|"
        r"(?: throughput per GPU \(TFLOP/s/GPU\): [0-9.]+ \|)?"
        r" learning rate: +{lr} \| global batch size: +[0-9]+ \| lm loss: {train_loss} \|"
        r"(?: loss scale: [^ |]+ \|)? grad norm: {grad_norm} \|",
        r"(?: (?:num zeros|number of skipped iterations|number of nan iterations"
        r"|samples per second|TFLOPs|params norm|throughput): +[^ |]+ \|)*",
    )


FORMAT = TextFormat(
    shapes=(_shape("s", "step_seconds"), _shape("ms", "step_ms")),
    reader=Reader,
    triggers=(
        " ...", "padded vocab ", *RANK_WORDS, "estimated model parameters",
        "Total number of parameters", "UNIQUE_PARAMS=", "successfully loaded ", "checkpoint from ",
        "valid", "test loss", "test results",
    ),
)  # fmt: skip

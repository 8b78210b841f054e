"""What each run is: facts from log, configuration files, file name and sweep.yaml, made whole.

Every N, D and schedule keeps its origin. What is missing and needed is collected as a complaint
that names the run, the fact and the line to add; what is missing and only useful becomes a note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from isoflop import counting
from isoflop.ingest.facts.sidecar import SIDECAR, Fact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

SHAPE: Final = (
    "layers", "d_model", "heads", "d_head", "d_ff", "vocab_size", "seq_len", "tied", "gated",
)  # fmt: skip
OF_EXPERTS: Final = {
    "architecture.experts": "how many experts there are",
    "architecture.experts_per_token": "how many experts a token goes through",
    "architecture.d_expert": "the width of an expert",
    "architecture.d_shared": "the width of the shared experts",
    "architecture.dense_layers": "how many blocks have no experts",
}
"""What a count needs of a mixture of experts, in words."""
LATENT: Final = ("kv_rank", "q_rank", "d_rope", "d_value")
"""What a shape has of latent attention."""
SHAPE_WORDS: Final = {
    "architecture.kv_heads": "how many heads keys and values have",
    **{f"architecture.{name}": "latent attention" for name in LATENT},
    **OF_EXPERTS,
}
"""Facts without which a shape has another meaning: one that cannot be read leaves it uncounted."""
MORE_SHAPE: Final = (
    "kv_heads", *LATENT, "shared_gate",
    *(fact.removeprefix("architecture.") for fact in OF_EXPERTS),
)  # fmt: skip
"""What a shape may have besides."""
ALTERNATIVES: Final = {"schedule.steps": "schedule.tokens", "batch": "tokens_per_step"}
"""Stating the first in sweep.yaml also replaces the second, where the log gives that one."""
OF_RANKS: Final = ("params.of_ranks", "params.unsummed")
"""What a log has of its ranks' parameters where that may not be all, and why."""
OPEN_SCHEDULES: Final = ("constant", "unknown")
"""Kinds of schedule without a length: any point of a constant rate is as good as the last."""
SAME: Final = 0.01
"""Relative difference up to which two sources of one number agree."""
SCHEDULE_LENGTH: Final = "length of the learning-rate schedule"
BIASES: Final = 15
"""Widths of the residual stream that norms and biases of a block take at most."""
LOSS_UNIT: Final = "nats_per_token"
CHARACTERS: Final = 512
"""Words up to which a vocabulary is one of bytes or characters, with a few of its own besides."""
LONGEST_CHARACTER: Final = 4
"""Bytes of the longest character of UTF-8 (RFC 3629)."""
ROUTED_ALONE: Final = Fact("how many experts there are", "counted")
"""A shape says something of experts, and not their number."""


class Missing(NamedTuple):
    """A fact that is needed and known from nowhere."""

    fact: str
    """What it is."""
    line: str
    """What to write in sweep.yaml."""


def without_doubles(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """Ask for what sweep.yaml says in one place once: a key of it cannot stand twice."""
    first: dict[str, Missing] = {}
    for each in missing:
        first.setdefault(each.line.partition(":")[0], each)
    return tuple(first.values())


OF_LOSSES: Final = {
    "loss_unit": Missing(
        "unit of its losses",
        "loss_unit: nats_per_token   # or bits_per_token, perplexity",
    ),
    "loss_kind": Missing(
        "average that its training losses are",
        "loss_kind: instant   # one step's; or interval_mean (since the last line), ema, "
        "running_mean: these with loss_window: <updates>",
    ),
}
"""What is asked of losses in lines of nobody's format."""
WINDOWED: Final = {"ema": "a moving average", "running_mean": "a running mean"}
"""Kinds of training losses that average over a window of their own (`loss_window`), in words."""
WINDOW_LINE: Final = "loss_window: <updates>"
"""What says the window."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Everything known of a run besides its curve.

    Attributes
    ----------
    facts : what was said, by dotted name, each with its origin; derived values included.
    architecture : its shape, if all of it is known.
    notes : what contradicts or is missing, in words.
    missing : what is needed and unknown.
    conflicts : where its own logs disagree, in words.
    """

    run: str
    facts: Mapping[str, Fact]
    architecture: counting.Architecture | None
    notes: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    conflicts: tuple[str, ...] = ()

    def value(self, name: str) -> Any:
        """Give a fact's value, or None."""
        fact = self.facts.get(name)
        return None if fact is None else fact.value

    def source(self, name: str) -> str | None:
        """Give a fact's origin, or None."""
        fact = self.facts.get(name)
        return None if fact is None else fact.source

    def group_source(self, prefix: str) -> str | None:
        """Give the origin of a group of facts: that of sweep.yaml if it says any of them."""
        sources = {fact.source for name, fact in self.facts.items() if name.startswith(prefix)}
        given = sources - {"counted"} or sources
        return next(
            (s for s in ("sidecar", "file_name", "config_file", "log", "trainer") if s in given),
            None,
        )

    @property
    def nats(self) -> float | None:
        """Nats per token in one unit of the logged loss; None of perplexity, its exponential."""
        unit = self.value("loss_unit") or LOSS_UNIT
        per_byte = math.log(2.0) * (self.value("bytes_per_token") or math.nan)
        scaled = {"bits_per_token": math.log(2.0), "bits_per_byte": per_byte, "perplexity": None}
        return scaled.get(unit, 1.0)

    @property
    def loss_window(self) -> float | None:
        """Updates that a training loss averages over.

        Whoever says that a log averages otherwise than it says, says nothing of the log's window.
        """
        of_another = [self.source(f"loss_{what}") for what in ("kind", "window")] == [
            "sidecar",
            "log",
        ]
        windowed = self.value("loss_kind") in WINDOWED and not of_another
        return self.value("loss_window") if windowed else None

    @property
    def idle_window(self) -> str | None:
        """Say that a window was given, but to losses that have none; None: it was not."""
        window, kind = self.facts.get("loss_window"), self.facts.get("loss_kind")
        if window is None or (kind is not None and kind.value in WINDOWED):
            return None
        if kind is None:
            why = "nothing says what its training losses average"
        else:
            where = SIDECAR if kind.source == "sidecar" else f"the {kind.source.replace('_', ' ')}"
            why = f"its training losses are {kind.value} by {where}"
        return (
            f"loss_window: {window.value:g} is not used: {why}, and only losses of loss_kind "
            f"{' or '.join(WINDOWED)} have a window; say in {SIDECAR} which they are, or take "
            "loss_window out"
        )

    @property
    def lacking_window(self) -> str | None:
        """Say that training losses average over an unknown window; None: they do not."""
        kind = self.value("loss_kind")
        if kind not in WINDOWED or self.loss_window is not None:
            return None
        return (
            f"its training losses are {WINDOWED[kind]} (loss_kind: {kind}) over an unknown number "
            f"of updates, and lag where they are fitted: {WINDOW_LINE} in {SIDECAR} puts them "
            "where they were measured"
        )

    def flops_per_token(self, convention: counting.FlopsConvention) -> float | None:
        """Training FLOPs per token by convention; None where what it needs is unknown."""
        if convention == "logged":
            return self.value("flops_per_token")  # type: ignore[no-any-return]
        needed = {"6nd": "total", "kaplan": "nonembedding", "attention": "with_head"}
        if convention in needed and self.value(f"params.{needed[convention]}") is None:
            return None
        return counting.flops_per_token(
            convention,
            params_total=self.value("params.total"),
            params_nonembedding=self.value("params.nonembedding") or 0.0,
            params_with_head=self.value("params.with_head") or 0.0,
            architecture=self.architecture,
            params_active=self.active,
        )

    @property
    def active(self) -> float | None:
        """Parameters that one token goes through: all, where nothing tells of experts."""
        given: float | None = self.value("params.active")
        sparse = self.value("architecture.experts") or self.value("architecture.uncounted")
        return self.value("params.total") if given is None and not sparse else given


APART: Final = f"Tell them apart by 'run:' in {SIDECAR}, or by table.columns.run of a table"
"""What to do where several logs are taken for one run's."""
APART_IN_A_TABLE: Final = f"Tell them apart by table.columns.run in {SIDECAR}, which names a column"
"""What to do where one table is."""
APART_IN_A_FILE: Final = "Its file holds several: give each a file of its own"
"""What to do where one log is."""


def identify(
    run: str,
    *,
    recorded: Sequence[Mapping[str, Fact]],
    declared: Mapping[str, Fact],
    needs_tokens_per_step: bool,
    needs_schedule: bool,
    needs_context: bool = False,
    counted_per_step: float | None = None,
    counted_mean: float | None = None,
    passes: tuple[int, float] | None = None,
    counter: str | None = None,
    counted_batch: float | None = None,
    in_bytes: Sequence[str] = (),
    needs_bytes: bool = False,
    asks: Collection[str] = (),
    way_apart: str = APART,
    sure_of_size: bool = False,
    counts_calls: bool = False,
) -> RunIdentity:
    """Settle what a run is.

    Parameters
    ----------
    run : its name.
    recorded : facts from its logs and configuration files, one mapping per source, weakest first.
    declared : facts from sweep.yaml and the file names; they win.
    needs_tokens_per_step : whether the log counts steps only.
    needs_schedule : whether the log must come with the length of its schedule.
    needs_context : whether the log counts samples, of as many tokens as the context is long.
    counted_per_step : tokens of a step by the log's records, taken where nothing else says it.
    counted_mean : mean tokens of a step up to the last record that counts them, where steps differ.
    passes : a step, and how often the log says that the data had been gone over by then.
    counter : the setting by which its trainer counts tokens, if its log has none.
    counted_batch : samples of a step, the same.
    in_bytes : eval sets of which the log has bits per byte and no loss.
    needs_bytes : whether it has no other loss.
    asks : facts of its losses that no habit of its trainer settles: names of `OF_LOSSES`.
    way_apart : what to do where its logs are those of several runs.
    counts_calls : whether its steps are a tracker's own.
    sure_of_size : whether sweep.yaml says what its log's number of parameters is in.
    """
    notes: list[str] = []
    conflicts: list[str] = []
    facts = _merge(recorded, declared, notes, conflicts, way_apart)
    notes += _without_wrong_defaults(facts)
    architecture = _complete_architecture(facts)
    shape = architecture or _complete_architecture(facts, any_context=True)
    notes += _settle_ranks(facts, shape)
    _count_params(facts, shape)
    conflicts += _impossible_counts(facts)
    conflicts += [] if sure_of_size else _too_small(facts)
    if counted_batch is not None and not {"batch", "tokens_per_step"} & facts.keys():
        facts["batch"] = Fact(counted_batch, "counted")
    _count_tokens(facts, counted_per_step)
    notes += _count_horizon(facts, counted_mean)
    notes += _count_unique(facts, passes, counted_mean)
    conflicts += _implausible_bytes(facts)
    notes += _gaps(facts, architecture)
    missing = [*_missing_context(facts)] if needs_context else []
    follows = bool(missing) and "batch" in facts  # the context gives tokens per step, too
    if in_bytes and "bytes_per_token" not in facts:
        sets = ", ".join(in_bytes)
        if needs_bytes:
            missing.append(
                Missing(
                    f"mean bytes of a token (its only losses, on {sets}, are bits per byte)",
                    "bytes_per_token: <bytes>",
                )
            )
        else:
            notes.append(
                f"its evaluations on {sets} are bits per byte: no losses without bytes_per_token; "
                f"add to {SIDECAR} facts: {{bytes_per_token: <bytes>}}"
            )
    missing += _missing(
        facts,
        needs_tokens_per_step=needs_tokens_per_step,
        needs_schedule=needs_schedule,
        follows=follows,
        counter=counter,
        of_step=CALLS if counts_calls else "",
    )
    missing += [words for name, words in OF_LOSSES.items() if name in asks and name not in facts]
    return RunIdentity(
        run,
        facts,
        architecture,
        tuple(notes),
        without_doubles(missing),
        tuple(dict.fromkeys(conflicts)),
    )


CALLS: Final = (
    " (its steps are W&B's own, which count calls of wandb.log unless the trainer gives them: the "
    "tokens between two of these)"
)


def _missing(
    facts: Mapping[str, Fact],
    *,
    needs_tokens_per_step: bool,
    needs_schedule: bool,
    follows: bool,
    counter: str | None,
    of_step: str,
) -> Iterator[Missing]:
    """Say what is needed and unknown; tokens per step may follow from what is asked anyway."""
    if "params.total" not in facts:
        # a head's width follows from the others, and no parameter from the context's length
        lacking = [
            key
            for key in SHAPE
            if f"architecture.{key}" not in facts and key not in ("d_head", "seq_len")
        ]
        shape = ", ".join(f"{key}: <...>" for key in lacking)
        of_ranks = facts.get("params.unsummed")
        if "architecture.uncounted" in facts:
            uncounted = facts["architecture.uncounted"]
            line = (
                "params: {total: <embedding included>, active: <those that a token goes through>}"
            )
            if uncounted == ROUTED_ALONE:
                line = "architecture: {experts: <experts of a block>}   # or " + line
            of_some = "" if of_ranks is None else f"; {of_ranks.value}"
            yield Missing(
                f"number of parameters (its shape does not give it: {uncounted.value}{of_some})",
                line,
            )
            return
        why = "" if of_ranks is None else f" ({of_ranks.value})"
        by_rank = of_ranks is not None and "rank" in str(of_ranks.value)
        what = "over all ranks" if by_rank else "embedding included"
        yield Missing(
            f"number of parameters{why}",
            f"params: {{total: <{what}>}}   # or architecture: {{{shape}}}",
        )
    open_ended = facts.get("schedule.kind", Fact("", "")).value in OPEN_SCHEDULES
    no_horizon = needs_schedule and not open_ended and "schedule.tokens" not in facts
    in_steps = no_horizon and "schedule.steps" in facts
    if (needs_tokens_per_step or in_steps) and "tokens_per_step" not in facts and not follows:
        if needs_tokens_per_step and counter is not None:
            yield Missing(
                f"number of tokens per step (where sequences differ in length, as in fine-tuning, "
                f"only the trainer can count them, with {counter}; none of its lines does)",
                _batch_line(facts) + "   # where all are packed or padded to one length",
            )
        else:
            yield Missing(f"number of tokens per step{of_step}", _batch_line(facts))
    if no_horizon and not in_steps:
        # where the log counts tokens, a length in steps would only ask for those of a step
        counts_tokens = not needs_tokens_per_step and "tokens_per_step" not in facts and not follows
        length = "tokens: <tokens of all of it>" if counts_tokens else "steps: <steps>"
        yield Missing(
            SCHEDULE_LENGTH,
            f"schedule: {{kind: cosine, {length}}}   # or {{kind: constant}}, {{kind: unknown}}",
        )
    unit = facts.get("loss_unit", Fact(LOSS_UNIT, "")).value
    if unit == "bits_per_byte" and "bytes_per_token" not in facts:
        yield Missing("mean bytes of a token (for bits_per_byte)", "bytes_per_token: <bytes>")


def _missing_context(facts: Mapping[str, Fact]) -> Iterator[Missing]:
    """Say what turns samples into tokens."""
    if "architecture.seq_len" not in facts:
        yield Missing("context length", "architecture: {seq_len: <tokens of a sample>}")


def _batch_line(facts: Mapping[str, Fact]) -> str:
    """Say what gives tokens per step: half of it may be there already."""
    if "architecture.seq_len" in facts:
        return "batch: <sequences in one optimiser step>"
    if "batch" in facts:
        return "architecture: {seq_len: <tokens>}"
    return "tokens_per_step: <tokens in one optimiser step>"


def _merge(
    recorded: Sequence[Mapping[str, Fact]],
    declared: Mapping[str, Fact],
    notes: list[str],
    conflicts: list[str],
    way_apart: str,
) -> dict[str, Fact]:
    """Lay the sources over one another, and say where they differ."""
    facts: dict[str, Fact] = {}
    for source in recorded:
        for name, fact in source.items():
            known = _before(facts, name)
            if known is not None and known.source == fact.source and _differ(known, fact):
                conflicts.append(
                    f"its logs disagree on {name} ({known.value} and {fact.value}), so they are "
                    f"not one run. {way_apart}"
                )
            elif known is not None and known.source == "config_file" and _differ(known, fact):
                if fact.source == "trainer":
                    continue
                notes.append(
                    f"{name} is {fact.value} by the log, {known.value} by the settings beside it"
                )
            facts[name] = fact
    for name, other in ALTERNATIVES.items():
        if name in declared and other not in declared:
            facts.pop(other, None)
    for name, fact in declared.items():
        known = facts.get(name)
        if known is not None and _differ(known, fact):
            where = SIDECAR if fact.source == "sidecar" else "the file name"
            notes.append(f"{name} is {fact.value} by {where}, {known.value} by {known.origin}")
        facts[name] = fact
    return facts


def _before(facts: Mapping[str, Fact], name: str) -> Fact | None:
    """Give what an earlier source says; parts of a run may print others of its ranks."""
    return None if name in OF_RANKS else facts.get(name)


def _without_wrong_defaults(facts: dict[str, Fact]) -> list[str]:
    """Take a trainer's usual shape back where it does not have the parameters that were counted.

    A fork may be another network. Learned positions, norms and biases, which a trainer may count,
    are allowed for.
    """
    usual = [name for name, fact in facts.items() if fact.source == "trainer"]
    printed = facts.get("params.total")
    shape = _complete_architecture(dict(facts))
    if not usual or printed is None or shape is None:
        return []
    if _reproduces(shape, float(printed.value)):
        return []
    counted = counting.params(shape, "total")
    for name in usual:
        del facts[name]
    parts = ", ".join(name.removeprefix("architecture.") for name in usual)
    return [
        f"N is {printed.value:.6g} by {printed.origin}, and the trainer's usual shape would "
        f"have {counted:.6g}: its {parts} are not taken for this run's"
    ]


def _reproduces(shape: counting.Architecture, printed: float) -> bool:
    """Tell whether a number is what a shape has, but for positions, norms and biases."""
    counted = counting.params(shape, "total")
    room = SAME * counted + shape.d_model * (BIASES * shape.layers + 2)
    left = [printed - counted - extra for extra in (0, shape.seq_len * shape.d_model)]
    return any(-SAME * counted <= each <= room for each in left)


def _settle_ranks(facts: dict[str, Fact], shape: counting.Architecture | None) -> list[str]:
    """Take what some ranks print for the total where the shape has as many; say where it has not.

    Without a shape the reason stays among the facts, for the question.
    """
    printed, why = (facts.get(name) for name in OF_RANKS)
    if printed is None or why is None or (shape is None and "params.total" not in facts):
        return []
    for name in OF_RANKS:
        del facts[name]
    if shape is None or "params.total" in facts:
        return []
    if _reproduces(shape, float(printed.value)):
        facts["params.total"] = printed
        return []
    return [f"{why.value}: its parameters are counted from its shape"]


def _differ(fact: Fact, other: Fact) -> bool:
    a, b = fact.value, other.value
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) > SAME * max(abs(a), abs(b))
    return a != b


def _complete_architecture(
    facts: dict[str, Fact], *, any_context: bool = False
) -> counting.Architecture | None:
    """Build the shape if all of it is known; a head's width follows from the others.

    Parameters
    ----------
    any_context : whether the length of the context may be unknown: no parameter depends on it.
    """
    values = {key: facts[f"architecture.{key}"].value for key in SHAPE
              if f"architecture.{key}" in facts}  # fmt: skip
    if "d_head" not in values and {"d_model", "heads"} <= values.keys():
        values["d_head"] = int(values["d_model"]) // int(values["heads"])
        facts["architecture.d_head"] = Fact(values["d_head"], "counted")
    more: dict[str, Any] = {key: facts[f"architecture.{key}"].value for key in MORE_SHAPE
            if f"architecture.{key}" in facts}  # fmt: skip
    if "d_ff" not in values and "d_expert" in more and not more.get("dense_layers"):
        values["d_ff"] = more["d_expert"]  # no block has another
        facts["architecture.d_ff"] = Fact(values["d_ff"], "counted")
    if words := _impossible_shape(values, more):
        facts["architecture.uncounted"] = Fact(words, "counted")
    elif "experts" not in more and any(
        more.get(key) for key in MORE_SHAPE if key not in {"kv_heads", *LATENT}
    ):
        facts.setdefault("architecture.uncounted", ROUTED_ALONE)
    if any_context:
        values.setdefault("seq_len", 1)
    if len(values) < len(SHAPE) or "architecture.uncounted" in facts:
        return None
    values |= more
    return counting.Architecture(**values)  # type: ignore[arg-type]  # RunFacts typed them


def _impossible_shape(values: Mapping[str, Any], more: Mapping[str, Any]) -> str | None:
    """Say what no network can have; None: nothing."""
    if (
        more.get("experts_per_token", 0) > more.get("experts", math.inf)
        or more.get("dense_layers", 0) > float(values.get("layers", math.inf))
    ):  # fmt: skip
        return "more experts a token than there are, or more dense blocks than blocks"
    heads, shared = values.get("heads"), more.get("kv_heads")
    if heads and shared and int(heads) % int(shared):
        return f"{heads} heads cannot share {shared} heads of keys and values evenly"
    latent = [key for key in LATENT if key in more]
    lacking = [key for key in ("kv_rank", "d_rope", "d_value") if key not in more]
    if latent and (lacking or int(values.get("d_head", math.inf)) <= int(more["d_rope"])):
        return (
            f"latent attention: {', '.join(lacking)} unknown"
            if lacking
            else "latent attention: d_rope is a part of d_head"
        )
    return None


def _impossible_counts(facts: dict[str, Fact]) -> Iterator[str]:
    """Say which numbers of parameters contradict each other, and take back what they give."""
    total, active = facts.get("params.total"), facts.get("params.active")
    if total is None:
        return
    everything = float(total.value)
    line = f"correct {SIDECAR}, params: {{total: <all>, active: <those a token goes through>}}"
    if active is not None and active.source == "architecture" and float(active.value) <= 0:
        del facts["params.active"]
        idle = everything - float(active.value)
        yield (
            f"a token does not go through {idle:.4g} parameters of its experts by its shape, and "
            f"it has {everything:.4g} in all by {total.origin}: {line}"
        )
    elif active is not None and float(active.value) > everything:
        yield (
            f"{active.value:.6g} active parameters by {active.origin} are more than all of "
            f"them, {everything:.6g} by {total.origin}: {line}"
        )
    body = facts.get("params.nonembedding")
    if body is None or total.source == "architecture":
        return
    if body.source == "architecture":
        if float(body.value) > (1.0 + SAME) * everything and total.source != "sidecar":
            yield (
                f"its shape has {body.value:.6g} parameters without embedding, more than all of "
                f"them by {total.origin}, {everything:.6g}, which may be those of one device, or "
                f"those that are trained: say in {SIDECAR}, params: {{total: <embedding included>}}"
            )
        return
    if float(body.value) > (1.0 + SAME) * everything:  # a printed N may be rounded
        yield (
            f"{body.value:.6g} parameters without embedding by {body.origin} are more than all "
            f"of them, {everything:.6g} by {total.origin}: correct {SIDECAR}, "
            f"params: {{total: <embedding included>, nonembedding: <without>}}"
        )


LEAST_PARAMS: Final = 1e3
"""No language model has fewer parameters."""


def _too_small(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say that a number of parameters is none; whoever writes it into sweep.yaml knows better."""
    total = facts.get("params.total")
    if total is None or total.source == "sidecar" or float(total.value) >= LEAST_PARAMS:
        return
    yield (
        f"it has {total.value:g} parameters by {total.origin}, which can be "
        f"no count of them; if that is in millions, say in {SIDECAR} for this run "
        f"params: {{total: {total.value:g}e6}}"
    )


def _implausible_bytes(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say that tokens of a vocabulary of bytes or characters cannot be as long as is given."""
    mean, vocabulary = facts.get("bytes_per_token"), facts.get("architecture.vocab_size")
    if mean is None or vocabulary is None or float(vocabulary.value) > CHARACTERS:
        return
    if float(mean.value) > LONGEST_CHARACTER:
        yield (
            f"a token has {mean.value:g} bytes on average by {mean.origin}, but the "
            f"{vocabulary.value} words of its vocabulary are bytes or characters, of which UTF-8 "
            f"writes none in more than {LONGEST_CHARACTER}: correct {SIDECAR}, "
            f"bytes_per_token: <1 for bytes>"
        )


def _count_params(facts: dict[str, Fact], architecture: counting.Architecture | None) -> None:
    """Count the parameters that were not given outright."""
    if architecture is not None:
        for convention in counting.PARAMS_CONVENTIONS:
            name = f"params.{convention}"
            if name not in facts and convention not in ("with_head", "active"):
                count = float(counting.params(architecture, convention))
                facts[name] = Fact(count, "architecture")
        idle = counting.params_idle(architecture)
        total = facts["params.total"]
        if architecture.experts is not None and idle is not None and "params.active" not in facts:
            active = float(total.value) - idle
            facts["params.active"] = Fact(active, "architecture")
    body = facts.get("params.nonembedding")
    width, vocabulary = facts.get("architecture.d_model"), facts.get("architecture.vocab_size")
    if "params.with_head" not in facts and body and width and vocabulary:
        head = float(width.value) * float(vocabulary.value)
        facts["params.with_head"] = Fact(float(body.value) + head, "counted")


def _count_tokens(facts: dict[str, Fact], counted_per_step: float | None) -> None:
    """Count tokens per step and the schedule's length in tokens, where they follow."""
    batch, context = facts.get("batch"), facts.get("architecture.seq_len")
    if "tokens_per_step" not in facts and batch and context:
        tokens = float(batch.value) * float(context.value)
        facts["tokens_per_step"] = Fact(tokens, "counted")
    elif "tokens_per_step" not in facts and counted_per_step is not None:
        facts["tokens_per_step"] = Fact(counted_per_step, "counted")
    per_step, steps = facts.get("tokens_per_step"), facts.get("schedule.steps")
    if "schedule.tokens" not in facts and per_step and steps:
        facts["schedule.tokens"] = Fact(float(per_step.value) * float(steps.value), steps.source)


def _count_horizon(facts: dict[str, Fact], mean: float | None) -> Iterator[str]:
    """Count the tokens of a schedule whose steps differ in theirs, by their mean; and say so.

    The share of the schedule that is done is then that of its steps.
    """
    steps = facts.get("schedule.steps")
    if mean is None or steps is None or "schedule.tokens" in facts:
        return
    tokens = mean * float(steps.value)
    facts["schedule.tokens"] = Fact(tokens, "counted")
    yield (
        f"tokens of a step differ: by their mean, {mean:.4g}, the schedule's {steps.value:g} steps "
        f"have {tokens:.4g}"
    )


def _count_unique(
    facts: dict[str, Fact], passes: tuple[int, float] | None, mean: float | None
) -> Iterator[str]:
    """Count the distinct tokens of data that were gone over more than once; and say so."""
    if passes is None or passes[1] <= 1.0 + SAME:
        return
    step, times = passes
    told = facts.get("tokens_per_step")
    per_step = float(told.value) if told is not None else mean
    if "unique_tokens" not in facts and per_step is not None:
        facts["unique_tokens"] = Fact(step * per_step / times, "counted")
    known = facts.get("unique_tokens")
    unique = f", {float(known.value):.4g} distinct tokens" if known is not None else ""
    yield (
        f"trained on {times:.3g} passes over its data{unique}: a token that comes again teaches "
        "less than a new one"
    )


def _gaps(facts: Mapping[str, Fact], architecture: counting.Architecture | None) -> list[str]:
    """Say which columns stay empty, and for want of what."""
    notes = []
    lacking = [key for key in SHAPE if f"architecture.{key}" not in facts]
    if "architecture.uncounted" in facts:
        what = facts["architecture.uncounted"].value
        notes.append(f"no FLOPs by hoffmann and attention: the shape does not tell {what}")
    elif architecture is None:
        notes.append(f"no FLOPs by hoffmann and attention: {', '.join(lacking)} unknown")
    active, total = facts.get("params.active"), facts.get("params.total")
    if active is not None and total is not None and active.value != total.value:
        notes.append(
            f"a token goes through {active.value:.4g} of {total.value:.4g} parameters; 6ND counts "
            f"all of them, counting 'active' these"
        )
    if "params.nonembedding" not in facts:
        notes.append("no FLOPs by kaplan: params.nonembedding unknown")
    return notes

"""TensorBoard event files: scalars of version 1 and 2, and what the HF Trainer writes as text.

The files are read as bytes, all records at once: numpy walks one field of every message at a
time. Checksums are not verified; a cut file ends at its last whole record. A file is one
process's; the files of one folder are one run, in the order of their time stamps, and later ones
supersede what they repeat. Scalars of one step under several tags are one record.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.events import Event, Facts, Remark, Truncated, Written
from isoflop.ingest.reading.protobuf import (
    BYTES,
    EIGHT,
    FOUR,
    LARGEST_RECORD,
    PAD,
    VARINT,
    Fields,
    floats,
    walk,
)
from isoflop.ingest.reading.settings import settings_of
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.tables.base_of_losses import BASES, Base, are_perplexities, base_of
from isoflop.ingest.tables.still_counts import STILL, Standing
from isoflop.ingest.words.names import (
    COLUMNS,
    eval_sets,
    eval_sets_in_bytes,
    find,
    loss_curve,
    may_be_loss,
    no_curve,
    plain,
)
from isoflop.ingest.words.numbers import LARGEST_STEP, encodable, number, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 12
RUN_IS_FOLDER = True
"""Files of one folder are parts of one run."""
STEPS_REPEAT: Final = True
"""Loggers write the batches of one update one by one."""

_FLOAT, _DOUBLE = 1, 2
"""Kinds of a tensor's numbers."""
_COLUMNS: Final = ("tokens", "train_loss", "lr", "grad_norm")
_SAMPLES: Final = ("consumed_samples", "train/consumed_samples")
"""NeMo's tags of all sequences so far."""
_ARGUMENTS: Final = {
    "max_steps": "schedule.steps",
    "lr_scheduler_type": "schedule.kind",
    "learning_rate": "schedule.lr_peak",
    "warmup_steps": "schedule.warmup_steps",
    "seed": "seed",
}


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:  # noqa: ARG001
    """Yield what the file says, in one block; see `formats.Reader`."""
    content = file.content()
    places, truncated = _places(content)
    scalars, texts = _values(np.frombuffer(content + bytes(PAD), np.uint8), places)
    rare: list[Event] = []
    times = pl.col("time")
    if (known := scalars.filter(times.is_finite() & (times > 0))["time"]).len():
        rare.append(Written(float(known.min()), float(known.max())))  # type: ignore[arg-type]
    frame, remarks, unit = _records(scalars.drop("time"))
    told = facts_of({**_facts(texts), "loss_unit": unit})
    rare.insert(0, Facts(told))
    rare += [Remark(text) for text in remarks]
    rare += [Truncated()] * truncated
    yield Block(frame, tuple((-1, event) for event in rare))


def _places(content: bytes) -> tuple[np.ndarray[Any, Any], bool]:
    """Find where the records begin and end: a length, its checksum, the record, its checksum."""
    length_at = struct.Struct("<Q").unpack_from
    places, place, size = [], 0, len(content)
    while place + 12 <= size:
        (length,) = length_at(content, place)
        if length > LARGEST_RECORD or place + 16 + length > size:
            break
        places.append((place + 12, place + 12 + length))
        place += length + 16
    return np.array(places, np.int64).reshape(-1, 2), place != size


def _values(
    u8: np.ndarray[Any, Any], places: np.ndarray[Any, Any]
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Read all scalars (step, tag, value, time, in the order of the file), and texts by tag."""
    events = walk(u8, places[:, 0], places[:, 1])
    step = np.zeros(len(places), np.int64)
    steps = events.of(2, VARINT)
    step[steps.message] = steps.begin
    time = np.zeros(len(places))
    times = events.of(1, EIGHT)
    time[times.message] = floats(u8, times.begin, "<f8")
    summaries = events.of(5, BYTES)
    summary = walk(u8, summaries.begin, summaries.end)
    values = summary.of(1, BYTES)
    order = np.lexsort((values.begin, values.message))
    values = Fields(*(column[order] for column in values))
    fields = walk(u8, values.begin, values.end)
    value = np.full(len(values.message), np.nan)
    known = np.zeros(len(value), bool)
    simple = fields.of(2, FOUR)
    value[simple.message] = floats(u8, simple.begin, "<f4")
    known[simple.message] = True
    tensors = fields.of(8, BYTES)
    which, numbers = _scalars(u8, tensors)
    value[tensors.message[which]] = numbers
    known[tensors.message[which]] = True
    tags = _tags(u8, fields.of(1, BYTES), len(value))
    event = summaries.message[values.message]
    scalars = pl.DataFrame({"step": step[event], "tag": tags, "value": value, "time": time[event]})
    return scalars.filter(pl.Series(known)), _texts(u8, tensors, tags)


def _scalars(u8: np.ndarray[Any, Any], tensors: Fields) -> tuple[Any, Any]:
    """Read the tensors that are one number: which they are, and their numbers."""
    inner = walk(u8, tensors.begin, tensors.end)
    kind = np.zeros(len(tensors.message), np.int64)
    kinds = inner.of(1, VARINT)
    kind[kinds.message] = kinds.begin
    which, values = [], []
    for numbers, wanted, dtype in ((5, _FLOAT, "<f4"), (6, _DOUBLE, "<f8")):
        size = np.dtype(dtype).itemsize
        single = FOUR if size == 4 else EIGHT
        for fields in (inner.of(4, BYTES), inner.of(numbers, BYTES), inner.of(numbers, single)):
            chosen = (kind[fields.message] == wanted) & (fields.end - fields.begin == size)
            which.append(fields.message[chosen])
            values.append(floats(u8, fields.begin[chosen], dtype))
    return np.concatenate(which), np.concatenate(values)


def _tags(u8: np.ndarray[Any, Any], fields: Fields, count: int) -> list[str]:
    """Read the tags; the same bytes are decoded once."""
    tags = [""] * count
    known: dict[bytes, str] = {}
    content = u8.tobytes()
    for message, begin, end in zip(fields.message, fields.begin, fields.end, strict=True):
        raw = content[begin:end]
        if raw not in known:
            known[raw] = raw.decode("utf-8", errors="replace")
        tags[message] = known[raw]
    return tags


def _texts(u8: np.ndarray[Any, Any], tensors: Fields, tags: list[str]) -> dict[str, str]:
    """Read the texts by their tag."""
    strings = walk(u8, tensors.begin, tensors.end).of(8, BYTES)
    texts: dict[str, str] = {}
    for message, begin, end in zip(strings.message, strings.begin, strings.end, strict=True):
        raw = u8[begin:end].tobytes()
        texts.setdefault(tags[tensors.message[message]], raw.decode("utf-8", errors="replace"))
    return texts


def _facts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Give what the HF Trainer writes of its arguments and its model."""
    facts: dict[str, Any] = {}
    for tag in ("args/text_summary", "model_config/text_summary"):
        try:
            told = encodable(read_json(texts.get(tag, "")))
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            facts |= _arguments(told) if tag.startswith("args") else _model(told)
            facts["loss_kind"] = "interval_mean"
    return facts


def _arguments(told: Mapping[str, Any]) -> dict[str, Any]:
    taken = {fact: told[name] for name, fact in _ARGUMENTS.items() if name in told}
    return {
        fact: value
        for fact, value in taken.items()
        if isinstance(value, str | bool) or (number(value) or 0) > 0
    }


def _model(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give the shape as config.json tells it; the context is training's, and not the model's."""
    return {
        fact: value
        for fact, value in settings_of(told).items()
        if fact.startswith("architecture.") and fact != "architecture.seq_len"
    }


def _records(scalars: pl.DataFrame) -> tuple[pl.DataFrame, list[str], str]:
    """Lay out the known scalars: a record of training per step, and one per evaluation.

    Returns
    -------
    The records, what to know of them, and the unit of their losses.
    """
    counts = pl.col("step").is_between(0, LARGEST_STEP - 1)
    beyond = scalars.filter(~counts).height
    scalars = scalars.filter(counts)
    latest = scalars.unique(["step", "tag"], keep="last", maintain_order=True)
    tags = latest["tag"].unique(maintain_order=True).to_list()
    lengths = dict(latest.group_by("tag").len().iter_rows())
    loss, single = loss_curve({tag: lengths[tag] for tag in tags})
    tokens, still = _tokens_so_far(latest, tags)
    told = {"tokens": tokens, "train_loss": loss}
    told["samples"] = next((tag for tag in tags if plain(tag) in _SAMPLES), None)
    named = {column: find(column, tags) for column in _COLUMNS} | told
    chosen = {column: tag for column, tag in named.items() if tag is not None}
    frames = []
    if chosen:
        columns = {tag: column for column, tag in chosen.items()}
        known = latest.filter(pl.col("tag").is_in(list(columns)))
        wide = known.pivot("tag", index="step", values="value")
        frames.append(wide.rename(columns).with_columns(kind=pl.lit("train"), sub=pl.lit(0)))
    sets = [(name, tag, "loss") for name, tag in eval_sets(tags).items()]
    sets += [(name, tag, "bits_per_byte") for name, tag in eval_sets_in_bytes(tags).items()]
    for place, (eval_set, tag, metric) in enumerate(sets, start=1):
        frames.append(
            latest.filter(pl.col("tag") == tag).select(
                "step",
                "value",
                kind=pl.lit("eval"),
                sub=pl.lit(place),
                eval_set=pl.lit(eval_set),
                metric=pl.lit(metric),
            )
        )
    if not frames:
        shown = ", ".join(tags[:TAGS_SHOWN])
        reason = f"it has no tag that is known as a loss, but: {shown}" if tags else "no scalars"
        return pl.DataFrame(schema={"step": pl.Int64, "kind": pl.String}), [reason], _NATS
    records = pl.concat(frames, how="diagonal_relaxed").sort("step", "sub").drop("sub")
    base, of_base = _base(latest, [tag for tag in (loss, *(t for _, t, _ in sets)) if tag])
    if base.unit is None:
        is_loss = (pl.col("metric") if "metric" in records.columns else pl.lit("")) == "loss"
        records = records.with_columns(
            pl.when(is_loss if name == "value" else True)
            .then(pl.col(name) * base.nats)
            .otherwise(name)
            .alias(name)
            for name in {"train_loss", "value"}.intersection(records.columns)
        )
    losses = [tag for tag in tags if tag != loss and plain(tag) in COLUMNS["train_loss"]]
    others = [tag for tag in losses if tag not in single]
    remarks = [no_curve(single, loss)] if single else []
    remarks += [*still, *of_base]
    remarks += [f"the loss is tag '{loss}', not {', '.join(others)}"] if others else []
    read = {*chosen.values(), *(tag for _, tag, _ in sets), *losses}
    if left := [tag for tag in tags if tag not in read and may_be_loss(tag)]:
        more = f" and {len(left) - TAGS_SHOWN} more" if len(left) > TAGS_SHOWN else ""
        remarks.append(f"not read, though called like losses: {', '.join(left[:TAGS_SHOWN])}{more}")
    if beyond:
        remarks.append(f"{beyond} scalars of steps that are no counts of updates left out")
    if repeated := scalars.height - latest.height:
        remarks.append(f"{repeated} scalars left out for a later one of the same tag and step")
    unit = base.unit or _NATS
    return records.with_row_index("row").cast({"row": pl.Int64}), remarks, unit


def _base(latest: pl.DataFrame, losses: list[str]) -> tuple[Base, list[str]]:
    """Tell the base of the losses, where a tag has their perplexity."""
    perplexities = are_perplexities(latest["tag"].unique(maintain_order=True).to_list())
    nats = BASES[0]
    for loss in losses:
        known = latest.filter(pl.col("tag") == loss).select("step", loss="value")
        for tag in perplexities:
            both = known.join(
                latest.filter(pl.col("tag") == tag).select("step", "value"), on="step"
            )
            base = base_of(both["loss"], both["value"])
            if base is not None and base is not nats:
                return base, [f"its losses are no nats: {base.name}^'{loss}' is '{tag}'"]
    return nats, []


_NATS: Final = "nats_per_token"
"""What losses are in unless a perplexity says otherwise."""


def _tokens_so_far(latest: pl.DataFrame, tags: list[str]) -> tuple[str | None, list[str]]:
    """Choose the tag of all tokens so far, and say which are of one step alone."""
    left, remarks = list(tags), list[str]()
    while (tag := find("tokens", left)) is not None:
        known = latest.filter(pl.col("tag") == tag).sort("step")
        share = Standing().add(known["step"].to_numpy(), known["value"].to_numpy()).share
        if share is None or share <= STILL:
            return tag, remarks
        left.remove(tag)
        remarks.append(
            f"tag '{tag}' is no D: it stands still for {100 * share:.0f} % of the steps, and ends "
            f"at {known['value'][-1]:.10g}, as the tokens of one step do"
        )
    return None, remarks


TAGS_SHOWN: Final = 8
"""Tags told of a file that has no known one."""

"""Damage raw logs at random, and see whether ingest stays on its feet.

    python3 run.py fuzz                                 10,000 damaged files
    python3 run.py fuzz --mutants 500 --seed 7          other ones, fewer
    python3 run.py fuzz --samples ../shared/logs        of genuine logs, too
    python3 run.py fuzz --only 4711                     this one again, with its traceback

Each damaged file lies beside a good log in a sweep's folder. Ingest must not raise, must not call
anything a fault of its own ("could not be read: ..."), must use the good log as if it were alone,
and must take no more than some seconds. A file that breaks a promise is kept in
tests/ingest/crashes/, where tests/ingest/test_fuzz.py reads it for ever after.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import yaml

from isoflop.config.ingest import IngestSettings
from isoflop.ingest.sweep import read_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
FIXTURES: Final = ROOT / "tests" / "ingest" / "fixtures"
CRASHES: Final = ROOT / "tests" / "ingest" / "crashes"
SLOWEST: Final = 10.0
"""CPU seconds that one damaged file may take."""
LARGEST: Final = 32 * 1024
"""Bytes taken of a sample: its head and its tail, at line ends."""
SMALL: Final = 4 * 1024
"""Bytes up to which a fixture is cut at every byte."""
FAULTS: Final = ("could not be read: ", "could not be recognised: ")
"""Beginnings of reasons that tell of an exception of a reader."""
GOOD: Final = "zz-good"
FACTS: Final = {
    "params": {"total": 1e6},
    "architecture": {"seq_len": 64, "vocab_size": 1000},
    "tokens_per_step": 1024,
    "bytes_per_token": 4,
    "schedule": {"kind": "constant"},
}
"""What lets nearly every log go all the way."""
NUMBERS: Final = (
    b"nan", b"inf", b"-1", b"0", b"1e400", b"1" + b"0" * 400, b"9" * 5000, b"1.2.3", b"", b"--1",
    b"2147483648", b"9007199254740993", b"1,000", b"\xd9\xa3", b"0x10", b"1e-320", b"null", b"[]",
)  # fmt: skip
"""What a number is replaced by."""
PIECES: Final = (
    b"\0", b"\r", b"\n", b"\n\n", b'"', b"'", b"{", b"}", b"[" * 300, b"\xff\xfe", b"\xef\xbb\xbf",
    b"\x1b[31m", b"|", b",", b"\t", b" " * 5000, b"\\ud800", b"\xc3", b"/" * 3000, b"0: ",
    b"[rank1]:",
)  # fmt: skip
"""What is put in between."""


class HungError(BaseException):
    """A file takes longer than any may; no `except Exception` of a reader stops it."""


@dataclass(frozen=True)
class Sample:
    """A log to damage.

    Attributes
    ----------
    name : what it is called in reports.
    file : name that its damaged copies have.
    content : its bytes.
    facts : what sweep.yaml says of them: a rule of `runs:`, but for its `match:`.
    """

    name: str
    file: str
    content: bytes
    facts: Mapping[str, Any]


def samples(folder: Path | None = None) -> list[Sample]:
    """List the fixtures' logs, and the files below another folder."""
    taken = []
    for path in sorted(path for path in FIXTURES.rglob("*") if path.is_file()):
        if path.name in {"expected.json", "sweep.yaml"}:
            continue
        sidecar = FIXTURES / path.relative_to(FIXTURES).parts[0] / "sweep.yaml"
        name = path.relative_to(FIXTURES).as_posix()
        taken.append(Sample(name, path.name, path.read_bytes(), _facts(sidecar)))
    others = sorted(folder.rglob("*")) if folder is not None else []
    for path in others:
        if path.is_file() and path.suffix != ".tsv":
            content = path.read_bytes()
            if len(content) > LARGEST:
                content = content[: LARGEST // 2] + content[-LARGEST // 2 :]
            taken.append(Sample(path.name, path.name, content, FACTS))
    return taken


def _facts(sidecar: Path) -> dict[str, Any]:
    """Give a fixture's facts and map; its rules name files that a damaged copy is none of."""
    content = yaml.safe_load(sidecar.read_text())
    table = {"table": content["table"]} if "table" in content else {}
    return {**FACTS, **content.get("facts", {}), **table}


# -- damage ----------------------------------------------------------------------------------------


def damaged(sample: Sample, others: Sequence[Sample], rng: random.Random) -> bytes:
    """Damage a sample once or a few times."""
    content = sample.content
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        content = rng.choice(DAMAGES)(content, rng, others)
    return content


def _flip(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    changed = bytearray(content)
    for _each in range(rng.choice([1, 1, 4, 32])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _behead(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    return content[rng.randrange(len(content) + 1) :]


def _drop(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    begin, end = _stretch(content, rng)
    return content[:begin] + content[end:]


def _repeat(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    begin, end = _stretch(content, rng)
    return content[:end] + content[begin:end] * rng.choice([1, 2, 20]) + content[end:]


def _splice(content: bytes, rng: random.Random, others: Sequence[Sample]) -> bytes:
    other = rng.choice(others).content
    begin, end = _stretch(other, rng)
    place = rng.randrange(len(content) + 1)
    return content[:place] + other[begin:end] + content[place:]


def _put(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(PIECES) + content[place:]


def _number(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    places = list(re.finditer(rb"\d[\d.,eE+-]*", content[:LARGEST]))
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(NUMBERS) + content[place.end() :]


def _lines(content: bytes, rng: random.Random, _: Sequence[Sample]) -> bytes:
    lines = content.splitlines(keepends=True)
    begin, end = sorted(rng.randrange(len(lines) + 1) for _each in range(2))
    piece = lines[begin : min(end, begin + 40)]
    rng.shuffle(piece)
    return b"".join([*lines[:begin], *piece, *lines[begin + len(piece) :]])


def _stretch(content: bytes, rng: random.Random) -> tuple[int, int]:
    begin = rng.randrange(len(content) + 1)
    return begin, min(len(content), begin + rng.choice([1, 8, 64, 512, 4096]))


DAMAGES: Final = (
    _flip,
    _flip,
    _cut,
    _behead,
    _drop,
    _repeat,
    _splice,
    _put,
    _number,
    _number,
    _lines,
)


def mutant(number: int, seed: int, logs: Sequence[Sample]) -> tuple[Sample, bytes]:
    """Make one damaged file; the same number and seed give the same one."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311  no secret
    sample = logs[number % len(logs)]
    return sample, damaged(sample, logs, rng)


# -- the promises ----------------------------------------------------------------------------------


def good_log() -> bytes:
    """Write a log of the project's own trainer."""
    shape = {"layers": 2, "d_model": 16, "heads": 2, "d_head": 8, "d_ff": 64, "vocab_size": 256,
             "seq_len": 64, "tied": True, "gated": False}  # fmt: skip
    schedule = {"kind": "cosine", "warmup_steps": 2, "steps": 40, "lr_peak": 0.01, "lr_end": 0.001}
    header = {
        "kind": "header", "format": "isoflop-train", "version": 1, "run": GOOD, "sweep": "fuzz",
        "role": "fit", "budget": 1e12, "architecture": shape, "seed": 0, "steps": 40,
        "params": {"total": 10368, "nonembedding": 6272, "with_head": 10368},
        "tokens_per_step": 1024, "tokens": 40960, "schedule": schedule,
        "flops_per_token": {"6nd": 62208.0}, "flops_convention": "6nd",
        "corpus": {"name": "novels", "sha256": "0" * 64, "train_tokens": 10**8},
        "tokenizer": {"kind": "bytes", "vocab_size": 256},
    }  # fmt: skip
    lines = [header]
    lines += [
        {"kind": "train", "step": step, "tokens": step * 1024, "lr": 0.005, "grad_norm": 1.0,
         "train_loss": 1.5 + 4.0 / math.sqrt(1.0 + step), "tokens_per_second": 5e4}
        for step in range(2, 41, 2)
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def broken_promise(folder: Path, files: Sequence[tuple[Sample, bytes]]) -> str | None:
    """Ingest damaged files beside a good one; say which promise was broken, None if none was.

    Parameters
    ----------
    folder : where the sweep is laid out; emptied first.
    files : samples, and what was made of them, each in a folder of its own.
    """
    lay_out(folder, files)
    try:
        with _hung():
            tables = read_sweep(folder, IngestSettings())
            # joined, and checked, where they are asked for
            curves = tables.curves
    except HungError:
        return f"took more than {SLOWEST:g} CPU seconds"
    except Exception as error:
        # a ConfigError, too: the damaged files are no part of sweep.yaml
        return f"stopped the sweep: {type(error).__name__}: {error}\n{traceback.format_exc()}"
    for reason in tables.files["reason"].drop_nulls():
        if reason.startswith(FAULTS):
            return f"a reader's fault: {reason}"
    return _good_log_fault(tables.runs, curves)


def lay_out(folder: Path, files: Sequence[tuple[Sample, bytes]]) -> None:
    """Write a sweep of damaged files and a good one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / f"{GOOD}.jsonl").write_bytes(good_log())
    rules = []
    for place, (sample, content) in enumerate(files):
        (folder / f"{place:02}").mkdir()
        (folder / f"{place:02}" / sample.file).write_bytes(content)
        rules.append({"match": f"{place:02}/*", **sample.facts})
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"title": "fuzz", "runs": rules}))


def _good_log_fault(runs: pl.DataFrame, curves: pl.DataFrame) -> str | None:
    good = runs.filter(pl.col("run") == GOOD)
    reason = None if good.is_empty() else good["reason"][0]
    if good.height != 1 or (good["excluded"][0] and "equal those of run" not in reason):
        return f"the good log is not used: {good['reason'].to_list()}"
    losses = curves.filter(pl.col("run") == GOOD)["train_loss"].to_list()
    expected = [1.5 + 4.0 / math.sqrt(1.0 + step) for step in range(2, 41, 2)]
    return None if losses == expected else "the good log's curve is another one"


@contextmanager
def _hung() -> Iterator[None]:
    """Raise in what takes too long."""

    def stop(*_: object) -> None:
        raise HungError

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, previous)


def kept(name: str, files: Sequence[tuple[Sample, bytes]]) -> Path:
    """Keep what broke a promise, as the sweep that did."""
    folder = CRASHES / name
    lay_out(folder, files)
    (folder / f"{GOOD}.jsonl").unlink()
    return folder


def fuzz(mutants: int, seed: int, logs: Sequence[Sample], *, keep: bool) -> list[str]:
    """Try damaged files, one of each sample at a time; give what broke a promise."""
    broken: list[str] = []
    numbers = range(mutants)
    begun = time.process_time()
    with tempfile.TemporaryDirectory(prefix="isoflop-fuzz-") as below:
        folder = Path(below) / "s"
        for first in numbers[:: len(logs)]:
            batch = [(n, *mutant(n, seed, logs)) for n in numbers[first : first + len(logs)]]
            for why, guilty in _guilty(folder, batch):
                names = " ".join(f"{number}:{sample.name}" for number, sample, _ in guilty)
                files = [(sample, content) for _, sample, content in guilty]
                where = kept(f"{seed}-{guilty[0][0]}", files) if keep else "not kept"
                broken.append(f"{names}: {why} [{where}]")
                print(broken[-1], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{mutants} damaged files, seed {seed}: {len(broken)} broke a promise; "
        f"{time.process_time() - begun:.0f} CPU s, at most {peak:.0f} MB"
    )
    return broken


def cut_everywhere(logs: Sequence[Sample], *, every: int, keep: bool) -> list[str]:
    """Cut small files at every byte, or at every k-th, one of each at a time."""
    small = [log for log in logs if len(log.content) <= SMALL]
    cuts = [
        [(end, log, log.content[:end]) for end in range(0, len(log.content), every)]
        for log in small
    ]
    broken = []
    begun = time.process_time()
    with tempfile.TemporaryDirectory(prefix="isoflop-fuzz-") as below:
        for row in zip_longest(*cuts):
            batch = [cut for cut in row if cut is not None]
            for why, guilty in _guilty(Path(below) / "s", batch):
                names = " ".join(f"{log.name}[:{end}]" for end, log, _ in guilty)
                files = [(log, content) for _, log, content in guilty]
                where = kept(f"cut-{guilty[0][0]}", files) if keep else "not kept"
                broken.append(f"{names}: {why} [{where}]")
                print(broken[-1], flush=True)
    print(
        f"{sum(map(len, cuts))} cut files: {len(broken)} broke a promise; "
        f"{time.process_time() - begun:.0f} CPU s"
    )
    return broken


Mutant = tuple[int, Sample, bytes]


def _guilty(folder: Path, batch: Sequence[Mutant]) -> Iterator[tuple[str, Sequence[Mutant]]]:
    """Find which files of a batch break a promise: each by itself, or else all together."""
    why = broken_promise(folder, [(sample, content) for _, sample, content in batch])
    if why is None:
        return
    alone = [
        (broken, [mutated])
        for mutated in batch
        if (broken := broken_promise(folder, [mutated[1:]])) is not None
    ]
    yield from alone or [(why, batch)]


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", action="store_true", help="cut small files at every byte, too")
    parser.add_argument("--samples", type=Path, default=None, help="folder of further logs")
    parser.add_argument("--only", type=int, default=None, help="one damaged file, by its number")
    chosen = parser.parse_args()
    logs = samples(chosen.samples)
    if chosen.only is not None:
        sample, content = mutant(chosen.only, chosen.seed, logs)
        print(f"{sample.name}, {len(content)} bytes")
        with tempfile.TemporaryDirectory() as folder:
            print(broken_promise(Path(folder) / "s", [(sample, content)]))
        return
    broken = fuzz(chosen.mutants, chosen.seed, logs, keep=True)
    if chosen.cuts:
        broken += cut_everywhere(logs, every=1, keep=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()

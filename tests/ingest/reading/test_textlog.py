"""The engine of text logs is fast; what a log means is said line by line. Both must agree."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.ingest.formats import read_lines, reader, scan
from isoflop.ingest.reading import source, textlog
from isoflop.ingest.reading.parsed import Parsed, gather
from isoflop.ingest.reading.patterns import readable_formats
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.reading.textlog import Shape
from isoflop.ingest.words.numbers import NUMBER
from tests.ingest.test_formats import FIXTURES, logs
from tests.ingest.test_genuine_logs import LOGS, OURS, expected_format, needs_logs
from tests.tiers import times

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = [name for name in readable_formats() if hasattr(reader(name), "FORMAT")]
ALL_LOGS = [
    pytest.param(name, path, id=path.relative_to(FIXTURES).as_posix())
    for name in TEXTS
    for path in logs(FIXTURES / name)
]


_SLOW: dict[tuple[str, bytes], Parsed] = {}
_CHUNK = source.CHUNK


def line_by_line(name: str, content: bytes, file: RawFile) -> Parsed:
    """Read a log line by line; once, whatever its blocks are and which lines are templates."""
    if (name, content) not in _SLOW:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "CHUNK", _CHUNK)
            _SLOW[name, content] = gather(read_lines(name, file))
    return _SLOW[name, content]


def both(name: str, content: bytes, folder: Path) -> tuple[Parsed, Parsed]:
    path = folder / "log"
    path.write_bytes(content)
    file = RawFile.at(path, folder)
    return gather(scan(name, file)), line_by_line(name, content, file)


def assert_same(name: str, content: bytes, folder: Path) -> None:
    fast, slow = both(name, content, folder)
    assert fast.records.equals(slow.records)
    assert sorted(fast.runs, key=lambda run: run.name) == sorted(
        slow.runs, key=lambda run: run.name
    )
    assert (fast.lines_unread, fast.truncated) == (slow.lines_unread, slow.truncated)
    assert (fast.left_out, fast.remarks) == (slow.left_out, slow.remarks)


def mutants(content: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Cut, flip, splice, double and drop: what disks and colliding writers do to a log."""
    chosen = random.Random(seed)  # noqa: S311  mutants, no secrets
    lines = content.splitlines(keepends=True)
    for _ in range(count):
        work = bytearray(content)
        at, other = chosen.randrange(len(content)), chosen.randrange(len(content))
        match chosen.randrange(7):
            case 0:
                del work[at:]
            case 1:
                work[at] ^= 1 << chosen.randrange(8)
            case 2:
                work[at:at] = content[other : other + chosen.randrange(200)]
            case 3:
                del work[at : at + chosen.randrange(1, 60)]
            case 4:  # two writers, one line
                one, two = chosen.choice(lines), chosen.choice(lines)
                work[at:at] = one.rstrip(b"\n") + two
            case 5:
                mixed = lines[:]
                chosen.shuffle(mixed)
                work = bytearray(b"".join(mixed))
            case 6:
                work[at:at] = chosen.choice(
                    [b"nan", b"inf", b"-1", b"1e400", b"9" * 30, b"\x00", b"\r", b"\x1b[31m",
                     b"\x01", b".5", b"1_0", b"+", b"\xff", "٣".encode(), b",", b"e"]
                )  # fmt: skip
        yield bytes(work)


@pytest.fixture(params=["as it is", "every line a template"])
def eager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Try every line of a small log as a template, as only those of a long one are."""
    every = request.param != "as it is"
    if every:
        monkeypatch.setattr(textlog, "LEAST", 1)
        monkeypatch.setattr(textlog, "TRIALS", 10_000)
    return every


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_fixtures(name: str, path: Path, tmp_path: Path) -> None:
    assert_same(name, path.read_bytes(), tmp_path)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_a_fixture_is_read_by_shapes_and_not_line_by_line(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_to_reader: list[str] = []
    plain = textlog._Engine._merged

    def watched(engine: object, fast: object, lines: list[tuple[int, str]]) -> object:
        given_to_reader.extend(line for _, line in lines)
        return plain(engine, fast, lines)  # type: ignore[arg-type]

    monkeypatch.setattr(textlog._Engine, "_merged", watched)
    parsed = gather(scan(name, RawFile.at(path, path.parent)))
    shapes = reader(name).FORMAT.shapes
    records = [line for line in given_to_reader if any(s.slow.search(line) for s in shapes)]
    assert len(records) < 0.2 * parsed.lines


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_mutants(name: str, path: Path, *, eager: bool, tmp_path: Path) -> None:
    """Others for each way of taking templates."""
    for mutant in mutants(path.read_bytes(), seed=int(eager), count=times(20)):
        assert_same(name, mutant, tmp_path)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
@pytest.mark.parametrize("block", [1, 50, 333])
def test_any_block_boundary(
    name: str, path: Path, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textlog, "BLOCK", block)
    monkeypatch.setattr("isoflop.ingest.reading.source.CHUNK", max(1, block // 3))
    assert_same(name, path.read_bytes(), tmp_path)


@pytest.mark.usefixtures("eager")
@needs_logs
def test_genuine_logs(tmp_path: Path) -> None:
    compared = 0
    for folder, name in OURS.items():
        if name not in TEXTS:
            continue
        for path in sorted((LOGS / folder).iterdir())[:3]:
            if expected_format(path) != name:
                continue
            content = path.read_bytes()[:300_000]
            assert_same(name, content, tmp_path)
            for mutant in mutants(content[:40_000], seed=1, count=5):
                assert_same(name, mutant, tmp_path)
            compared += 1
    assert compared


SHAPE = Shape("at ", "at {step}: loss {train_loss}, lr {lr}")


@settings(max_examples=times(300))
@given(
    token=st.one_of(
        st.text(alphabet="0123456789.+-eE_naifINFty", max_size=9),
        st.floats().map(repr),
        st.integers().map(str),
    )
)
def test_a_number_is_the_same_number_to_both(token: str) -> None:
    """What polars casts behind the fast pattern is what NUMBER matches, to the last bit."""
    line = f"at 3: loss {token}, lr 1"
    fast = pl.Series([line]).str.extract_groups(SHAPE.fast("")).struct.field("train_loss")
    value = fast.cast(pl.Float64, strict=False)[0]
    slow = SHAPE.slow.fullmatch(line)
    if value is None:
        # left to the line reader, which may make something of it
        return
    assert slow is not None
    assert re.fullmatch(NUMBER, token)
    assert repr(value) == repr(float(token)).replace("-nan", "nan")


@pytest.mark.parametrize(
    "prefix", ["", "0: ", "[rank0]:[titan] 2026-05-18 16:04:46,338 - root - INFO - ", "[a.b]|(c) "]
)
def test_a_prefix_is_found_once_and_its_digits_may_change(prefix: str) -> None:
    lines = pl.Series([f"{prefix}at 1: loss 2.0, lr 1e-3", "at noon"])
    found = textlog._prefix(SHAPE, lines)
    later = re.sub(r"[0-9]+", "77", prefix) + "at 9: loss 1.5, lr 1e-4"
    assert re.search(SHAPE.fast(found), later)
    assert not re.search(SHAPE.fast(found), "x" + later)

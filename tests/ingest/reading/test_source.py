from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.ingest.reading import source
from isoflop.ingest.reading.source import RawFile, clean


def raw(folder: Path, name: str, content: bytes) -> RawFile:
    (folder / name).write_bytes(content)
    return RawFile.at(folder / name, folder)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("run.jsonl", "run"),
        ("a/run.log.gz", "a/run"),
        ("190M-0.5xC.csv.zst", "190M-0.5xC"),
        ("model-1.25", "model-1.25"),
        ("log", "log"),
        ("d=96_l=8-16.0.json", "d=96_l=8-16.0"),
    ],
)
def test_stem_leaves_format_and_compression_out(name: str, stem: str) -> None:
    assert RawFile(Path(name), name, 0, "").stem == stem


def test_clean_text() -> None:
    dirty = b"\xef\xbb\xbf\x1b[31;1mred\x1b[0m\r\n10%\r20%\r\nnul\x00led \xff\n"
    assert clean(dirty) == "red\n10%\n20%\nnulled �\n"


def test_utf16_from_a_windows_shell_is_readable() -> None:
    assert "iter 1: loss 2.0" in clean("iter 1: loss 2.0\r\n".encode("utf-16"))


@given(text=st.text(alphabet="ab1 \r\n\x0c", max_size=60), chunk=st.integers(1, 9))
def test_lines_do_not_depend_on_chunks(
    text: str, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = raw(tmp_path_factory.mktemp("lines"), "log", text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", chunk)
        lines = list(file.lines())
    assert "".join(lines) == clean(text.encode())
    assert all(line.endswith("\n") for line in lines[:-1])


def test_progress_bar_without_line_feed_is_cut_at_carriage_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "CHUNK", 16)
    monkeypatch.setattr(source, "LONGEST_LINE", 64)
    file = raw(tmp_path, "log", b"".join(b"%d%%|loss=1.5\r" % n for n in range(100)))
    assert list(file.lines()) == [f"{n}%|loss=1.5\n" for n in range(100)]


@pytest.mark.parametrize(
    "packed",
    [
        lambda content: gzip.compress(content, mtime=0),
        lambda content: pa.compress(content, codec="zstd", asbytes=True),
    ],
    ids=["gz", "zst"],
)
def test_cut_compression_gives_what_it_holds(tmp_path: Path, packed: object) -> None:
    # lines that do not compress away, in more than one block
    content = b"".join(b"%d %d\n" % (n, n * 2654435761 % 10**9) for n in range(60_000))
    whole = packed(content)  # type: ignore[operator]
    file = raw(tmp_path, "log", whole[: len(whole) * 3 // 4])
    lines = list(file.lines())
    assert lines[-1] == ""
    assert len(lines) > 1000
    assert "".join(lines) == content.decode()[: sum(map(len, lines))]
    assert len(file.sample()) > 1000


def test_sample_of_a_long_file_is_its_head_and_tail(tmp_path: Path) -> None:
    content = b"head\n" + b"x" * source.HEAD + b"y" * source.TAIL + b"\ntail\n"
    sample = raw(tmp_path, "log", content).sample()
    assert sample.startswith(b"head\n")
    assert sample.endswith(b"\ntail\n")
    assert len(sample) == source.HEAD + 1 + source.TAIL


def test_memory_stays_flat_on_a_long_log(tmp_path: Path) -> None:
    line = b"iter 10: loss 2.0, time 20.00ms, mfu 1.00%\n"
    file = raw(tmp_path, "log", line * 300_000)  # 13 MB
    tracemalloc.start()
    count = sum(1 for _ in file.lines())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300_000
    assert peak < 8 * source.CHUNK  # not thirteen


@pytest.mark.parametrize("least", [1, 5, 64])
def test_bytes_are_read_up_to_the_line_end_that_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(source, "CHUNK", 8)
    lines = [b"x" * length + b"\n" for length in (0, 3, 7, 8, 9, 200, 1, 0, 0, 30)]
    written = b"".join(lines) + b"no end"
    file = raw(tmp_path, "log", written)
    with file.path.open("ab") as log:
        log.write(b" and more\n")  # what is appended is no part of it
    blocks = [*file.blocks(least)]
    assert b"".join(blocks) == written
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    # a line whose end is near is not divided, so that its bytes need not be copied
    assert next(file._plain_chunks(8)) == b"\nxxx\nxxxxxxx\n"

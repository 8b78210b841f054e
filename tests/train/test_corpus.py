from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiers import times
from tests.train.example_design import NOVELS, novel, write_corpus

from isoflop.cli import main
from isoflop.fetching import FetchError
from isoflop.train.corpus import (
    NOVEL_END,
    CorpusError,
    TrainingWindows,
    read_split,
    validation_windows,
)
from isoflop.train.fetch_corpus import (
    address,
    fetch_corpus,
    fold_tei,
    fold_text,
    novel_text,
)
from isoflop.train.recipe import Recipe, read_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_corpus(tmp_path)
    return read_recipe(tmp_path / "recipes" / "made_up.yaml")


def text_of(tmp_path: Path) -> Path:
    return tmp_path / "corpora" / "made_up.txt"


def test_whole_novels_are_held_out(recipe: Recipe, tmp_path: Path) -> None:
    split = read_split(recipe, text_of(tmp_path), holdout_every=3)
    assert split.validation_names == ("novel1.txt", "novel4.txt")
    assert set(split.train_names) | set(split.validation_names) == set(recipe.novels())
    assert not set(split.train_names) & set(split.validation_names)
    assert split.validation[0] == novel(1).encode() + NOVEL_END
    assert split.train_bytes + split.validation_bytes == recipe.bytes
    for held in split.validation:
        assert held not in b"".join(split.train)


def test_shipped_recipe_lists_the_novels() -> None:
    shipped = read_recipe(Path("data/reference/corpora/english_novels.yaml"))
    assert len(shipped.novels()) == len(set(shipped.novels())) == 188
    assert [len(source.files) for source in shipped.sources] == [100, 88]
    assert address(shipped.sources[0], "Anon_Clara_1864.txt").endswith(
        "143e601875d70e195f2cc5ebd8b034609271194d/corpus/Anon_Clara_1864.txt"
    )


def test_another_text_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    text_of(tmp_path).write_bytes(b"another text")
    with pytest.raises(CorpusError, match=r"sha256 is .* recipe made_up says"):
        read_split(recipe, text_of(tmp_path), holdout_every=3)


def test_holdout_of_nothing_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"lower corpus\.holdout_every"):
        read_split(recipe, text_of(tmp_path), holdout_every=40)


@settings(max_examples=times(40))
@given(
    length=st.integers(40, 400),
    seq_len=st.integers(1, 16),
    batch=st.integers(1, 7),
    seed=st.integers(0, 5),
)
def test_an_epoch_predicts_every_token_once(
    length: int, seq_len: int, batch: int, seed: int
) -> None:
    tokens = np.arange(length, dtype=np.uint16)
    windows = TrainingWindows(tokens, seq_len=seq_len, seed=seed)
    rows = np.concatenate(
        [windows.batch(i, 1) for i in range(windows.count)]  # one by one ...
    )
    assert sorted(rows[:, 1:].ravel()) == list(range(1, windows.count * seq_len + 1))
    again = TrainingWindows(tokens, seq_len=seq_len, seed=seed)
    start = windows.count // 2
    # ... or from the middle in batches, over the end of the epoch, as after a resumption
    np.testing.assert_array_equal(again.batch(start, 1), rows[start : start + 1])
    over = again.batch(windows.count - 1, batch + 1)
    np.testing.assert_array_equal(over[0], rows[-1])
    if batch <= windows.count:
        assert len({tuple(row) for row in over[1:]}) == batch


def test_validation_windows_are_fixed_and_spread() -> None:
    tokens = np.arange(1000, dtype=np.uint16)
    rows = validation_windows(tokens, seq_len=10, windows=50)
    assert rows.shape == (50, 11)
    assert rows[0, 0] == 0
    assert rows[-1, -1] == 999
    assert set(np.diff(rows[:, 0])) <= {20, 21}
    with pytest.raises(CorpusError, match=r"lower evaluation\.windows"):
        validation_windows(tokens, seq_len=10, windows=101)


def test_text_is_folded() -> None:
    messy = "\ufeff A  title\r\n\r\n\r\n\r\nFirst \t line\r\nsecond line\n\n\n\n\nEnd. \n"
    assert novel_text(messy.encode(), "text", "x") == (
        b"A title\n\nFirst line\nsecond line\n\nEnd."
    )


@settings(max_examples=times(40))
@given(st.text(alphabet=" \t\r\nab", max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold_text(text)
    assert fold_text(once) == once
    assert NOVEL_END.decode() not in once


TEI = """<?xml version="1.0" encoding="UTF-8"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0">
  <teiHeader><fileDesc><titleStmt><title>Not in the text</title></titleStmt></fileDesc></teiHeader>
  <text>
    <front><div><p>Nor the title page</p></div></front>
    <body>
      <div type="chapter">
        <head>CHAPTER I.
              Down the Hole</head>
        <p>There was nothing so <hi>very</hi> remarkable in
           that;<note>An editor says otherwise.</note> nor did Alice<pb n="3"/> think it so.</p>
        <quote><l> How doth the little
                   crocodile </l><l>And pour the waters</l></quote>
        <p><label>April 3.</label>—“Fish &amp; chips,” she said.</p>
        <gap unit="graphic" n="pic14"/>
        <p/>
        <trailer> THE END </trailer>
      </div>
    </body>
  </text>
</TEI>
"""


def test_tei_is_folded() -> None:
    assert fold_tei(TEI.encode()).split("\n\n") == [
        "CHAPTER I. Down the Hole",
        "There was nothing so very remarkable in that; nor did Alice think it so.",
        "How doth the little crocodile",
        "And pour the waters",
        "April 3.—“Fish & chips,” she said.",
        "THE END",
    ]


@pytest.mark.parametrize(
    ("content", "kind", "complaint"),
    [
        (b"\xff\xfe\xff", "text", "cannot be read as text"),
        (b"<TEI>", "tei", "cannot be read as tei"),
        (b"<TEI/>", "tei", "holds no text"),
        (b" \n ", "text", "holds no text"),
    ],
)
def test_sources_that_are_not_what_they_should_be(
    content: bytes, kind: str, complaint: str
) -> None:
    with pytest.raises(FetchError, match=complaint):
        novel_text(content, kind, "novel.txt")


def refuse(url: str) -> Path:
    raise AssertionError(url)


def test_mirror_comes_first(recipe: Recipe, tmp_path: Path) -> None:
    packed = tmp_path / "mirror" / "corpora" / "made_up.txt.xz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(lzma.compress(text_of(tmp_path).read_bytes()))
    out = tmp_path / "out" / "made_up.txt"
    origin = fetch_corpus(recipe, out, mirror=tmp_path / "mirror", download=refuse)
    assert "mirror" in origin
    assert out.read_bytes() == text_of(tmp_path).read_bytes()


@pytest.mark.parametrize("mirror", [None, "empty"])
def test_sources_are_folded_into_the_text(
    recipe: Recipe, tmp_path: Path, mirror: str | None
) -> None:
    asked = []

    def download(url: str) -> Path:
        asked.append(url)
        number = int(url.removesuffix(".txt")[-1])
        copy = tmp_path / "copy"
        copy.write_bytes(novel(number).replace("\n", "\r\n").encode())
        return copy

    out = tmp_path / "out.txt"
    place = None if mirror is None else tmp_path / mirror
    origin = fetch_corpus(recipe, out, mirror=place, download=download)
    assert str(NOVELS) in origin
    assert out.read_bytes() == text_of(tmp_path).read_bytes()
    assert asked[0] == f"https://example.org/nobody/novels/{'0' * 40}/texts/novel0.txt"


def test_wrong_digest_writes_nothing(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with pytest.raises(CorpusError, match="Nothing was written"):
        fetch_corpus(recipe, out, mirror=None, download=lambda _: other)
    assert not out.exists()


def test_no_network_names_the_mirror_that_would_do(recipe: Recipe, tmp_path: Path) -> None:
    def unreachable(url: str) -> Path:
        raise FetchError(f"{url} cannot be fetched (no route)")

    with pytest.raises(FetchError, match=r"made_up: https://.* ISOFLOP_MIRROR"):
        fetch_corpus(recipe, tmp_path / "out.txt", mirror=None, download=unreachable)


def test_broken_mirror_is_named(recipe: Recipe, tmp_path: Path) -> None:
    packed = tmp_path / "corpora" / "made_up.txt.xz"
    packed.write_bytes(b"not xz")
    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch_corpus(recipe, tmp_path / "out.txt", mirror=tmp_path, download=refuse)


def test_command_takes_the_mirror_from_the_environment(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    packed = tmp_path / "corpora" / "made_up.txt.xz"
    packed.write_bytes(lzma.compress(text_of(tmp_path).read_bytes()))
    out = tmp_path / "out.txt"
    recipe = str(tmp_path / "recipes" / "made_up.yaml")
    result = CliRunner(env={"ISOFLOP_MIRROR": str(tmp_path)}).invoke(
        main, ["fetch-corpus", "--recipe", recipe, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "digest as the recipe says" in result.output
    assert out.exists()

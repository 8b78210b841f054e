from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers", reason="a BPE vocabulary needs the extra `train`")

from tests.train.example_design import write_corpus  # noqa: E402

from isoflop.train.corpus import Split, read_split  # noqa: E402
from isoflop.train.design import TokenizerSettings  # noqa: E402
from isoflop.train.recipe import read_recipe  # noqa: E402
from isoflop.train.tokenizer import TokenizerError, tokenize_split  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

BPE = TokenizerSettings(kind="bpe", vocab_size=300)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    write_corpus(tmp_path)
    recipe = read_recipe(tmp_path / "recipes" / "made_up.yaml")
    return read_split(recipe, tmp_path / "corpora" / "made_up.txt", holdout_every=3)


def test_bytes_are_the_text(split: Split, tmp_path: Path) -> None:
    tokenized = tokenize_split(split, TokenizerSettings(kind="bytes", vocab_size=256), tmp_path)
    assert tokenized.train.tobytes() == b"".join(split.train)
    assert tokenized.validation.tobytes() == b"".join(split.validation)
    assert set(tokenized.bytes_per_token) == {1}


def test_bpe_counts_every_byte_and_decodes_to_the_text(split: Split, tmp_path: Path) -> None:
    tokenized = tokenize_split(split, BPE, tmp_path)
    for tokens, novels in (
        (tokenized.train, split.train),
        (tokenized.validation, split.validation),
    ):
        assert tokenized.bytes_per_token[tokens].sum() == sum(map(len, novels))
        assert len(tokens) < 0.7 * sum(map(len, novels))
    (vocabulary,) = tmp_path.glob("*.json")
    tokenizer = tokenizers.Tokenizer.from_str(vocabulary.read_text(encoding="utf-8"))
    assert tokenizer.decode(list(tokenized.validation)) == b"".join(split.validation).decode()
    assert tokenized.facts["vocab_size"] == 300


def test_bpe_is_made_once_and_the_same_again(split: Split, tmp_path: Path) -> None:
    first = tokenize_split(split, BPE, tmp_path / "a")
    cached = tokenize_split(split, BPE, tmp_path / "a")
    anew = tokenize_split(split, BPE, tmp_path / "b")
    for other in (cached, anew):
        np.testing.assert_array_equal(first.train, other.train)
        assert first.facts == other.facts


def test_bits_per_byte_of_a_uniform_model_follow_from_the_byte_counts(
    split: Split, tmp_path: Path
) -> None:
    tokenized = tokenize_split(split, BPE, tmp_path)
    tokens = tokenized.validation
    bits = math.log2(300) * len(tokens) / tokenized.bytes_per_token[tokens].sum()
    assert bits == pytest.approx(math.log2(300) / (split.validation_bytes / len(tokens)))


def test_vocabulary_that_the_text_cannot_fill(split: Split, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="lower tokenizer"):
        tokenize_split(split, TokenizerSettings(kind="bpe", vocab_size=60_000), tmp_path)


def test_bytes_of_another_size(split: Split, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="256"):
        tokenize_split(split, TokenizerSettings(kind="bytes", vocab_size=512), tmp_path)

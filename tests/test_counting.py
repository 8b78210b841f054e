from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.counting import (
    FLOPS,
    FLOPS_CONVENTIONS,
    FLOPS_MEANING,
    PARAMS,
    PARAMS_CONVENTIONS,
    PARAMS_MEANING,
    SIZES,
    Architecture,
    counting_words,
    flops_6nd,
    flops_per_token,
    flops_per_token_hoffmann,
    params,
    params_gopher_family,
    tokens_6nd,
    unusual_words,
)
from isoflop.reference import FlopRatio, ModelShape, read_reference

HOFFMANN = read_reference(Path("data/reference")).hoffmann
# Table A4's ratios recomputed without embeddings and logits, to three places
TABLE_A4 = (1.025, 1.101, 1.083, 1.044, 1.033, 0.994)

shapes = st.builds(
    Architecture,
    layers=st.integers(1, 200),
    d_model=st.integers(8, 20_000),
    heads=st.integers(1, 128),
    d_head=st.integers(8, 256),
    d_ff=st.integers(8, 80_000),
    vocab_size=st.integers(2, 300_000),
    seq_len=st.integers(1, 100_000),
    tied=st.booleans(),
    gated=st.booleans(),
)


def shape_of(row: ModelShape | FlopRatio, vocab_size: int) -> Architecture:
    return Architecture(
        layers=row.layers,
        d_model=row.d_model,
        heads=row.heads,
        d_head=row.d_head,
        d_ff=row.d_ff,
        vocab_size=vocab_size,
        seq_len=2048,
    )


@pytest.mark.parametrize("row", HOFFMANN.models.rows, ids=lambda row: f"{row.params / 1e6:.0f}M")
def test_table_a9_parameter_counts(row: ModelShape) -> None:
    counted = params_gopher_family(shape_of(row, HOFFMANN.models.vocab_size))
    # the table prints whole millions, so half of one is rounding
    assert counted == pytest.approx(row.params, abs=0.5e6 + 2e-4 * row.params)


def test_gopher_and_chinchilla_counts() -> None:
    gopher = Architecture(80, 16384, 128, 128, 65536, 32000, 2048)
    chinchilla = Architecture(80, 8192, 64, 128, 32768, 32000, 2048)
    assert params_gopher_family(gopher) == pytest.approx(279.7e9, rel=2e-4)
    assert params_gopher_family(chinchilla) == pytest.approx(70.07e9, rel=2e-4)


@pytest.mark.parametrize(
    ("row", "expected"), list(zip(HOFFMANN.flop_ratios.rows, TABLE_A4, strict=True))
)
def test_table_a4_flop_ratios(row: FlopRatio, expected: float) -> None:
    shape = shape_of(row, HOFFMANN.flop_ratios.vocab_size)
    ratio = flops_per_token_hoffmann(shape) / (6 * params_gopher_family(shape))
    assert ratio == pytest.approx(expected, abs=5e-4)
    assert ratio == pytest.approx(row.ratio, abs=6e-3)


def test_kaplan_counts_twelve_layers_times_width_squared() -> None:
    gpt2 = Architecture(12, 768, 12, 64, 3072, 50257, 1024)
    assert params(gpt2, "nonembedding") == 12 * 12 * 768**2
    assert params(gpt2, "with_head") == 12 * 12 * 768**2 + 50257 * 768


@given(shapes)
def test_conventions_are_nested(shape: Architecture) -> None:
    body, head, total = (params(shape, name) for name in ("nonembedding", "with_head", "total"))
    assert 0 < body < head <= total
    assert (head == total) == shape.tied


@given(shapes)
def test_flops_exceed_int64_without_overflow(shape: Architecture) -> None:
    total, body, head = (params(shape, name) for name in ("total", "nonembedding", "with_head"))
    for convention in ("6nd", "kaplan", "hoffmann", "attention"):
        rate = flops_per_token(
            convention,
            params_total=total,
            params_nonembedding=body,
            params_with_head=head,
            architecture=shape,
        )
        assert isinstance(rate, float)
        assert rate * 1e15 > 0


def test_without_architecture_only_6nd_and_kaplan_can_be_counted() -> None:
    known = {
        convention: flops_per_token(
            convention,
            params_total=3.0,
            params_nonembedding=2.0,
            params_with_head=2.5,
            architecture=None,
        )
        for convention in FLOPS_CONVENTIONS
    }
    assert known == {
        "6nd": 18.0,
        "kaplan": 12.0,
        "hoffmann": None,
        "attention": None,
        "active": None,
        "logged": None,
    }


def test_every_convention_says_what_it_means() -> None:
    assert set(PARAMS_MEANING) == set(PARAMS_CONVENTIONS)
    assert set(FLOPS_MEANING) == set(FLOPS_CONVENTIONS)


def test_c_is_six_flops_a_parameter_and_token() -> None:
    """And D at C is its inverse, of numbers, arrays and columns alike."""
    n, d = np.array([1e6, 4e8]), np.array([3e7, 8e9])
    np.testing.assert_array_equal(flops_6nd(n, d), [1.8e14, 1.92e19])
    np.testing.assert_allclose(tokens_6nd(n, flops_6nd(n, d)), d)
    frame = pl.DataFrame({"n": n, "d": d})
    told = frame.select(c=flops_6nd(pl.col("n"), pl.col("d")))["c"]
    assert told.to_list() == flops_6nd(frame["n"], frame["d"]).to_list() == [1.8e14, 1.92e19]
    assert flops_per_token(
        "6nd", params_total=7.0, params_nonembedding=5.0, params_with_head=6.0, architecture=None
    ) == flops_6nd(7.0, 1.0)


def test_conventions_have_words_and_the_usual_ones_need_none() -> None:
    assert PARAMS.keys() == SIZES.keys() == {*PARAMS_CONVENTIONS}
    assert FLOPS.keys() == {*FLOPS_CONVENTIONS}
    assert unusual_words("total", "6nd") == ""
    assert unusual_words("total", "kaplan") == "total *N*, Kaplan’s *C*"
    assert unusual_words("nonembedding", "6nd") == "non-embedding *N*, *C* = 6*ND*"
    assert counting_words("total", "kaplan", " and ") == "total *N* and Kaplan’s *C*"


def test_attention_counts_what_multiplies() -> None:
    """Of experts those that a token goes through; and the scores, twelve a width and place."""
    shape = Architecture(
        layers=3, d_model=64, heads=4, d_head=16, d_ff=128, vocab_size=500, seq_len=32,
        experts=8, experts_per_token=2,
    )  # fmt: skip
    body, head = params(shape, "nonembedding"), params(shape, "with_head")
    counted = flops_per_token(
        "attention", params_total=head, params_nonembedding=body, params_with_head=head,
        architecture=shape,
    )  # fmt: skip
    idle = 3 * 6 * 2 * 64 * 128
    assert counted == 6 * (head - idle) + 12 * 3 * 64 * 32

"""Several columns that may be one count: the one that can be it, or a question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

OPEN = "title: t\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "run,params,d,loss,tokens_B\na,70e6,512,3.5,1.4\nb,160e6,768,3.2,3.2\n",
            "tokens: 'tokens_B' and not 'd' (512 to 768), as counts can be",
        ),
        (
            "run,params,params_m,tokens,tokens_b,loss\n"
            "a,70000000,70,2670,1.4,3.5\nb,160000000,160,6100,3.2,3.2\n",
            "tokens: 'tokens_b' and not 'tokens' (2670 to 6100), as counts can be",
        ),
        (
            "run,params,params_M,tokens,loss\na,0.07,70,1.4e9,3.5\nb,.16,160,3.2e9,3.2\n",
            "params.total: 'params_M' and not 'params' (0.07 to 0.16), as counts can be",
        ),
        (
            "run,params,d,loss,tokens_B,flops\n"
            "a,70e6,512000,3.5,1.4,6e17\nb,160e6,768000,3.2,3.2,3.1e18\n",
            "'tokens_B' and not 'd' (512000 to 768000), as \"flops\" / (6 * \"params\") says",
        ),
    ],
)
def test_the_column_that_can_be_the_count_is_taken_and_told_of(
    tmp_path: Path, text: str, why: str
) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": text}, OPEN)
    assert tables.runs["params_total"].to_list() == [7e7, 1.6e8]
    assert tables.runs["tokens"].to_list() == pytest.approx([1.4e9, 3.2e9])
    assert why in row(tables.files, "path", "t.csv")["reason"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "run,params,d,loss,tokens_B\na,70e6,512000,3.5,1.4\nb,160e6,768000,3.2,3.2\n",
            "'d' (512000 to 768000) and 'tokens_B' (1.4e+09 to 3.2e+09) may each be tokens",
        ),
        (
            "run,N,d,l,val_loss,c\na,70e6,512,6,3.5,588e15\nb,160e6,768,12,3.2,3072e15\n",
            '\'d\' has 512 to 768, which can be no counts of tokens, and "c" / (6 * "N") gives',
        ),
        (
            "run,params,steps,tokens_per_step,d,val_loss\n"
            "a,70e6,2800,5e5,51200,3.5\nb,160e6,6400,5e5,76800,3.2\n",
            'and "steps" * "tokens_per_step" gives 1.4e+09 to 3.2e+09',
        ),
    ],
)
def test_columns_that_may_both_be_the_count_are_asked_about(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, OPEN)
    said = str(caught.value)
    assert words in said
    proposed = re.search(r"^ *(table: .*)$", said, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{OPEN}{proposed[1]}\n")
    assert tables.runs["tokens"].to_list() == pytest.approx([1.4e9, 3.2e9])


def test_columns_that_agree_are_one(tmp_path: Path) -> None:
    text = "run,N,D,tokens_B,loss\na,70e6,1400000000,1.4,3.5\nb,160e6,3.2e9,3.2,3.2\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, OPEN)
    assert tables.runs["tokens"].to_list() == [1.4e9, 3.2e9]
    assert "and not" not in row(tables.files, "path", "t.csv")["reason"]


@pytest.mark.parametrize("head", ["params,tokens,tokens_B,loss", "params,tokens_B,tokens,loss"])
@pytest.mark.parametrize("digits", [0, 1])
@pytest.mark.parametrize("cut", [False, True])
def test_what_is_exact_is_the_count_and_not_what_rounds_it(
    tmp_path: Path, head: str, digits: int, *, cut: bool
) -> None:
    counts = [242_000_000, 726_000_000, 2_420_000_000]
    lines = [head]
    for place, count in enumerate(counts):
        scaled = count / 1e9 * 10**digits
        rounded = (int(scaled) if cut else round(scaled)) / 10**digits
        both = (f"{count}", f"{rounded:.{digits}f}")
        told = both if head.endswith("tokens_B,loss") else both[::-1]
        lines.append(",".join(["10000000", *told, f"{3.5 - place / 10:g}"]))
    tables = ingest(tmp_path / "s", {"t.csv": "\n".join(lines) + "\n"}, OPEN)
    assert tables.runs["tokens"].to_list() == counts


def test_a_column_that_has_zeros_where_others_count_is_not_proposed(tmp_path: Path) -> None:
    text = "run,params,tokens,tokens_B,tokens_M,loss\n"
    text += "a,70e6,1400000000,0,2400,3.5\nb,160e6,3200000000,9,5200,3.2\n"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, OPEN)
    told = str(caught.value)
    assert "'tokens_B' (0 to 9e+09)" in told
    assert '"tokens_M", scale: 1e6' in told

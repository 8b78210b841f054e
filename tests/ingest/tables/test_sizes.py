"""N and D in millions or billions, by the column's name or by numbers that can be no counts."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.formats import table
from isoflop.ingest.reading import cells
from isoflop.ingest.sweep import EmptySweepError
from isoflop.ingest.words.names import find_compute, find_count
from tests.ingest.samples import ingest, loss_at, row

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

SIZES = (("a", 10, 0.2, 3.9), ("b", 20, 0.4, 3.7), ("c", 160, 3.2, 3.1))
OPEN = "title: t\nfacts: {schedule: {kind: constant}}\n"


def finished(head: str, n: float = 1, d: float = 1) -> str:
    rows = (f"{name},{size * n:g},{tokens * d:g},{loss}" for name, size, tokens, loss in SIZES)
    return "\n".join([head, *rows, ""])


def known(tables: Ingested) -> dict[str, tuple[int, int]]:
    columns = tables.runs.select("run", "params_total", "tokens")
    return {run: (round(size), round(tokens)) for run, size, tokens in columns.iter_rows()}


IN_COUNTS = {"a": (1e7, 2e8), "b": (2e7, 4e8), "c": (1.6e8, 3.2e9)}


@pytest.mark.parametrize(
    ("name", "value", "factor"),
    [
        ("params (M)", "params.total", 1e6),
        ("params_M", "params.total", 1e6),
        ("Params [millions]", "params.total", 1e6),
        ("N (M params)", "params.total", 1e6),
        ("n_params_in_millions", "params.total", 1e6),
        ("N (1e6)", "params.total", 1e6),
        ("Parameters (x10^9)", "params.total", 1e9),
        ("tokens_B", "tokens", 1e9),
        ("tokens_bn", "tokens", 1e9),
        ("Training Tokens (B)", "tokens", 1e9),
        ("Tokens (billion)", "tokens", 1e9),
        ("billions of tokens", "tokens", 1e9),
        ("D (B)", "tokens", 1e9),
        ("tokens (T)", "tokens", 1e12),
        ("active_params_b", "params.active", 1e9),
        ("D B", "tokens", 1e9),
        ("tokensM", "tokens", 1e6),
        ("N/1e6", "params.total", 1e6),
        ("D / 10^9", "tokens", 1e9),
        ("D (tokens, B)", "tokens", 1e9),
        ("summary.tokens (B)", "tokens", 1e9),
        ("steps (k)", "step", 1e3),
    ],
)
def test_a_name_has_a_unit(name: str, value: str, factor: float) -> None:
    assert find_count(value, ["loss", name]) == (name, factor)


@pytest.mark.parametrize(
    "name", ["tokens_per_step", "tokens_left", "n_t", "params_best", "loss_b", "num_paramsT5"]
)
def test_a_name_has_none(name: str) -> None:
    assert find_count("tokens", [name]) is None
    assert find_count("params.total", [name]) is None


def test_a_count_is_taken_before_the_same_in_a_unit() -> None:
    assert find_count("tokens", ["tokens_B", "tokens"]) == ("tokens", 1.0)


def test_units_of_names_are_taken_and_told(tmp_path: Path) -> None:
    tables = ingest(
        tmp_path / "s", {"t.csv": finished("model,params (M),tokens_B,loss")}, "title: t\n"
    )
    assert known(tables) == IN_COUNTS
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "params.total: params (M) (times 1e+06, the unit in its name)" in reason
    assert "tokens: tokens_B (times 1e+09, the unit in its name)" in reason


def test_a_cell_with_a_unit_needs_none_of_its_column(tmp_path: Path) -> None:
    text = "model,params (M),tokens (B),loss\na,10M,0.2,3.9\nb,20,400M,3.7\nc,.16B,3.2,3.1\n"
    assert known(ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")) == IN_COUNTS


def proposed(said: str) -> str:
    """Take the map out of a message."""
    found = re.search(r"^ *(table: \{.*\}\})$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


@pytest.mark.parametrize(
    ("head", "n", "d", "words"),
    [
        ("model,params,tokens,loss", 1, 1, "'params' has 10 to 160 and 'tokens' has 0.2 to 3.2"),
        ("name,N,D,loss", 1e-3, 1, "'N' has 0.01 to 0.16 and 'D' has 0.2 to 3.2"),
        ("name,N,D,loss", 1e6, 1, "'D' has 0.2 to 3.2, which can be no counts of tokens"),
        ("name,N,D,loss", 1, 1e9, "'N' has 10 to 160, which can be no counts of parameters"),
        ("name,N,D,loss", 1, 1e3, "'N' has 10 to 160 and 'D' has 200 to 3200, which can be no"),
        # in whole millions, above a thousand: but a hundredth of the parameters
        ("name,N,D,loss", 1e6, 1e4, "'D' has 2000 to 32000, which can be no counts of tokens"),
    ],
)
def test_numbers_that_are_no_counts_are_asked_about_and_the_map_that_is_proposed_reads_them(
    tmp_path: Path, head: str, n: float, d: float, words: str
) -> None:
    files: dict[str, str | bytes] = {"t.csv": finished(head, n, d)}
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", files, "title: t\n")
    said = str(caught.value)
    assert words in said
    tables = ingest(tmp_path / "t", files, f"title: t\n{proposed(said)}\n")
    if d == 1e4:
        assert {size for size, _ in known(tables).values()} == {1e7, 2e7, 1.6e8}
    else:
        assert known(tables) == IN_COUNTS


@pytest.mark.parametrize("given", ["N", "{formula: '\"N\"'}"])
def test_a_map_without_a_scale_is_asked_and_one_with_it_is_not(tmp_path: Path, given: str) -> None:
    files: dict[str, str | bytes] = {"t.csv": finished("name,N,D,L", 1, 1e9)}
    rules = "title: t\ntable: {{rows: runs, columns: {{run: name, params.total: {}, "
    rules += "tokens: D, eval_loss: L}}}}\n"
    cache = tmp_path / "cache"
    with pytest.raises(EmptySweepError, match=r"'.?N.?' has 10 to 160"):
        ingest(tmp_path / "s", files, rules.format(given), cache=cache)
    sure = given.replace("{f", "{scale: 1, f") if "{" in given else "{column: N, scale: 1}"
    tables = ingest(tmp_path / "s", files, rules.format(sure), cache=cache)
    assert {size for size, _ in known(tables).values()} == {10.0, 20.0, 160.0}


@pytest.mark.parametrize("block", [None, 200])
def test_points_in_a_unit_are_asked_about(
    tmp_path: Path, block: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is read stretch by stretch, too."""
    if block is not None:
        monkeypatch.setattr(cells, "BLOCK", block)
        monkeypatch.setattr(table, "LONG", 100)
    lines = [
        f"{run},{step},{size},{step / 8},{5 - step / 30}"
        for run, size in (("a", 70), ("b", 160))
        for step in range(1, 31)
    ]
    files: dict[str, str | bytes] = {
        "t.csv": "\n".join(["run,step,params,tokens,val_loss", *lines, ""])
    }
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", files, OPEN)
    assert "'params' has 70 to 160 and 'tokens' has 3.75" in str(caught.value)
    tables = ingest(tmp_path / "t", files, f"{OPEN}{proposed(str(caught.value))}\n")
    assert known(tables) == {"a": (7e7, 3.75e9), "b": (1.6e8, 3.75e9)}


def test_one_run_of_a_size_that_none_has_is_left_out(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"t.csv": "name,N,D,loss\na,1e7,2e8,3.9\nb,20,4e8,3.7\n"}
    tables = ingest(tmp_path / "s", files, "title: t\n")
    assert "it has 20 parameters by the log" in row(tables.runs, "run", "b")["reason"]
    rules = "title: t\nruns: [{match: b, params: {total: 20e6}}]\n"
    assert ingest(tmp_path / "t", files, rules).runs["reason"].to_list() == [None, None]


def test_a_count_that_is_called_one_of_millions_is_asked_about(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"t.csv": finished("model,params_m,tokens_b,loss", 1e6, 1)}
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", files, "title: t\n")
    said = str(caught.value)
    assert "'params_m' has 1e+13 to 1.6e+14" in said
    assert known(ingest(tmp_path / "t", files, f"title: t\n{proposed(said)}\n")) == IN_COUNTS


def test_a_broken_count_among_counts_is_asked_about(tmp_path: Path) -> None:
    text = "run,params,tokens,loss\na,70553.6,1.4e9,3.5\nb,1412000,2.8e10,2.6\n"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    said = str(caught.value)
    assert "'params' has 70553.6 beside 1.412e+06, which can be no counts of parameters" in said
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"title: t\n{proposed(said)}\n")
    assert tables.runs["params_total"].to_list() == [70_553_600, 1.412e9]
    # large ones are rounded to few digits, as those read off a figure
    text = text.replace("70553.6", "70553600.25")
    tables = ingest(tmp_path / "u", {"t.csv": text}, "title: t\n")
    assert tables.runs["params_total"].to_list() == [70_553_600.25, 1_412_000]


def test_the_unit_of_a_broken_count_is_that_of_parameters(tmp_path: Path) -> None:
    text = "run,model_size,train_tokens,loss\na,1B,4T,2.3\nb,7B,4T,2.0\nc,0.19,4T,3.0\n"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"title: t\n{proposed(str(caught.value))}\n")
    assert tables.runs["params_total"].to_list() == [1e9, 7e9, 1.9e8]


def test_rows_of_finished_runs_are_not_judged_by_their_steps(tmp_path: Path) -> None:
    rows = ["a,7e7,524.288,2670,3.5", "b,16e7,524.288,6100,3.2"]
    text = "\n".join(["run,params,tokens_per_step_k,steps,val_loss", *rows, ""])
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.runs["tokens"].to_list() == [2670 * 524_288, 6100 * 524_288]
    assert not any("step x tokens per step" in notes for notes in tables.runs["notes"])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("flops", 1.0), ("C [EFLOPs]", 1e18), ("ZFLOP", 1e21), ("flops (PF-days)", 8.64e19),
        ("PF-days", 8.64e19), ("petaflop/s-days", 8.64e19), ("compute (1e18)", 1e18),
        ("log10_flops", None), ("log10(C)", None), ("training_flops (exaFLOPs)", 1e18),
    ],
)  # fmt: skip
def test_compute_has_a_unit_by_its_name(name: str, unit: float | None) -> None:
    assert find_compute(["N", name]) == (name, unit)


@pytest.mark.parametrize("name", ["mfu", "tflops_per_gpu", "flops_per_token", "tflops/s", "log_c4"])
def test_a_rate_is_no_compute(name: str) -> None:
    assert find_compute([name]) is None


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("model,params (M),{},loss", ["a,70,{},3.5", "b,160,{},3.2"]),
        ("model,N,{},loss", ["a,7e7,{},3.5", "b,160000000,{},3.2"]),
    ],
)
@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("C [EFLOPs]", (0.588, 3.072)),
        ("PF-days", (588e15 / 8.64e19, 3072e15 / 8.64e19)),
        ("log10_flops", (math.log10(588e15), math.log10(3072e15))),
        # by no name: asked about, with what makes usual tokens of it
        ("compute", (588e15 / 8.64e19, 3072e15 / 8.64e19)),
    ],
)
def test_d_follows_from_compute_in_its_unit(
    tmp_path: Path, head: str, cells: list[str], name: str, compute: tuple[float, float]
) -> None:
    rows = [each.format(flops) for each, flops in zip(cells, compute, strict=True)]
    text = "\n".join([head.format(name), *rows, ""])
    told = ""
    for folder in "abc":
        try:
            tables = ingest(tmp_path / folder, {"t.csv": text}, f"title: t\n{told}\n")
        except EmptySweepError as error:
            told = proposed(str(error))
            continue
        break
    assert tables.runs["tokens"].to_list() == pytest.approx([1.4e9, 3.2e9])


def test_d_follows_from_tokens_per_parameter(tmp_path: Path) -> None:
    text = "run,params,tokens_per_param,val_loss\na,70M,20,3.5\nb,160M,20,3.2\n"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"title: t\n{proposed(str(caught.value))}\n")
    assert tables.runs["tokens"].to_list() == pytest.approx([1.4e9, 3.2e9])


@pytest.mark.parametrize(("value", "told"), [(0.524288, 1e6), (524.288, 1e3)])
def test_broken_tokens_of_a_step_are_asked_about(tmp_path: Path, value: float, told: float) -> None:
    rows = "".join(f"{n},{5 - n / 30},70,{value}\n" for n in range(1, 30))
    text = f"step,loss,params,tokens_per_step\n{rows}"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, OPEN)
    said = str(caught.value)
    assert f"'params' has 70 and 'tokens_per_step' has {value}, which can be no counts" in said
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{OPEN}{proposed(said)}\n")
    assert known(tables) == {"t": (7e7, round(29 * value * told))}


def test_small_models_are_proposed_as_counts(tmp_path: Path) -> None:
    cells = [(768, 1e5), (3072, 1e6), (12288, 1e7), (49152, 1e7)]
    lines = [f"{size},{tokens},{loss_at(place)}" for place, (size, tokens) in enumerate(cells)]
    with pytest.raises(EmptySweepError, match=r'"params.total": \{column: "N", scale: 1\}'):
        ingest(tmp_path / "s", {"t.csv": "\n".join(["N,D,loss", *lines, ""])})

"""What users dropped in and got a wrong curve or a traceback from; each is made small here."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest
import yaml

from isoflop.config.ingest import IngestSettings
from isoflop.errors import MissingFactError
from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading import source
from isoflop.ingest.sweep import EmptySweepError, ingest_sweep, read_sweep
from isoflop.ingest.words.names import eval_sets
from tests.ingest.samples import RECORD, ingest, jsonl, nanogpt, row, run_lines, write

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

FINISHED = """
title: t
table: {rows: runs, columns: {run: run, params.total: N, tokens: D, eval_loss: loss}}
"""
ROWS = [("r00", "3440173", "4860000000", "5.4363"), ("r01", "6880346", "2430000000", "5.1002")]


def table(separator: str = ",", *, rows: list[tuple[str, ...]] = ROWS, quote: str = "") -> str:
    lines = [("run", "N", "D", "loss"), *rows]
    return "".join(
        separator.join(f"{quote}{cell}{quote}" for cell in line) + "\n" for line in lines
    )


def finals(tables: Ingested) -> dict[str, float]:
    return dict(tables.curves.select("run", "eval_loss").iter_rows())


def left_out(tables: Ingested, path: str) -> tuple[int, str]:
    file = row(tables.files, "path", path)
    return file["rows_left_out"], file["reason"]


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr[3e-4]", 'say "hi"', "a: b # c", "what?", "all*"])
def test_the_proposed_lines_parse_and_match(tmp_path: Path, name: str) -> None:
    text = "".join(f"iter {n}: loss 2.0, time 1.00ms\n" for n in range(9))
    folder = write(tmp_path / "s", {f"{name}.log": text, "whatever.log": nanogpt()})
    with pytest.raises(MissingFactError) as caught:
        ingest_sweep(folder, IngestSettings(on_missing="stop"))
    blocks = str(caught.value).split("if all runs share it:\n")[1:]
    proposed = [yaml.safe_load(block.split("\nrun ")[0]) for block in blocks]
    rules = [rule for block in proposed for rule in block]
    assert len(rules) == 3
    told = {"params": {"total": 1e6}, "tokens_per_step": 512, "schedule": {"kind": "unknown"}}
    for rule in rules:
        (fact,) = rule.keys() - {"match"}
        rule[fact] = told[fact]
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"title": "t", "runs": rules}))
    run = row(ingest_sweep(folder, RECORD).runs, "run", name)
    assert (run["excluded"], run["tokens"], run["notes"].startswith("no FLOPs")) == (
        False, 8 * 512, True,
    )  # fmt: skip


def test_rows_of_one_name_are_runs_of_their_own(tmp_path: Path) -> None:
    rows = [("70M", "7e7", "1e9", "4.0"), ("70M", "7e7", "2e9", "3.5"), ("1B", "1e9", "2e9", "3.0")]
    tables = ingest(tmp_path / "s", {"t.csv": table(rows=rows)}, FINISHED)
    assert finals(tables) == {"70M-0001": 4.0, "70M-0002": 3.5, "1B": 3.0}
    assert "1 names stand in several rows, such as '70M'" in left_out(tables, "t.csv")[1]


def test_small_models_on_a_steep_law_are_runs_too(tmp_path: Path) -> None:
    """Three of these end above 6 nats at 20 to 80 tokens per parameter, on the others' trend."""
    rows = [
        (f"{n / 1e6:g}M-model", f"{n:g}", f"{d:g}", f"{1.9 + 400 * n**-0.34 + 900 * d**-0.3:.4f}")
        for n in (5e6, 1e7, 2e7, 4e7, 8e7)
        for d in (2e8, 4e8, 8e8, 1.6e9)
    ]
    assert sum(float(d) > 10 * float(n) and float(loss) > 6 for _, n, d, loss in rows) == 3
    tables = ingest(tmp_path / "s", {"t.csv": table(rows=rows)}, FINISHED)
    assert sorted(finals(tables).values()) == sorted(float(loss) for *_, loss in rows)
    assert not tables.runs["excluded"].any()


def test_a_curve_is_named_by_its_file_s_present_name(tmp_path: Path) -> None:
    points = "title: t\ntable: {rows: points, columns: {step: step, tokens: D, eval_loss: loss}}\n"
    sidecar = points + (
        "facts: {schedule: {kind: constant}}\n"
        "runs:\n- {match: 'small*', params: {total: 1e7}}\n"
        "- {match: 'large*', params: {total: 9e7}}\n"
    )
    small, large = "step,D,loss\n1,1e8,4.0\n", "step,D,loss\n1,1e8,3.7\n"
    folder, cache = tmp_path / "s", tmp_path / "cache"
    ingest(folder, {"small.csv": large, "large.csv": small}, sidecar, cache=cache)
    tables = ingest(folder, {"small.csv": small, "large.csv": large}, sidecar, cache=cache)
    assert finals(tables) == {"small": 4.0, "large": 3.7}
    assert dict(tables.runs.select("run", "params_total").iter_rows()) == {
        "small": 1e7, "large": 9e7,
    }  # fmt: skip


# -- how tables are written ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        table(quote='"').encode(),
        table(";", rows=[(*r[:3], r[3].replace(".", ",")) for r in ROWS]).encode(),
        table("\t").encode("utf-16"),
        table("\t", rows=[(*r[:3], r[3].replace(".", ",")) for r in ROWS]).encode("utf-16-be"),
        table(";", rows=[(n, f"{int(p):,}", d, loss.replace(".", ",")) for n, p, d, loss in ROWS])
        .encode("utf-8-sig"),
        table(quote='"', rows=[(n, f"{int(p):,}", f"{int(d):,}", loss) for n, p, d, loss in ROWS])
        .encode(),
    ],
    ids=["quoted", "decimal-commas", "utf-16", "utf-16-be", "both-marks", "thousands"],
)  # fmt: skip
def test_a_table_says_the_same_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    if content.startswith(b"\x00r"):
        content = b"\xfe\xff" + content
    tables = ingest(tmp_path / "s", {"runs.csv": content}, FINISHED)
    assert finals(tables) == {"r00": 5.4363, "r01": 5.1002}
    assert sorted(tables.runs["params_total"]) == [3440173.0, 6880346.0]


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_utf16_does_not_depend_on_chunks(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "CHUNK", chunk)
    text = table("\t").replace("r00", "größe")
    tables = ingest(tmp_path / "s", {"runs.csv": text.encode("utf-16")}, FINISHED)
    assert finals(tables) == {"größe": 5.4363, "r01": 5.1002}


def test_a_comma_that_could_be_either_names_its_cell(tmp_path: Path) -> None:
    rows = [("r00", "1e6", "1e9", "5,436"), ("r01", "1e6", "2e9", "5.1")]
    with pytest.raises(EmptySweepError, match=r"column 'loss', row 1: '5,436' is a number whose"):
        ingest(tmp_path / "s", {"t.csv": table(";", rows=rows)}, FINISHED)


def test_a_table_that_only_its_map_recognises(tmp_path: Path) -> None:
    text = "run;N of 1: all;D=;loss\nr00;1e6;none;3.0\nr01;1e6;1e9;3.5\n"
    sidecar = FINISHED.replace("N,", '"N of 1: all",').replace("D,", '"D=",')
    tables = ingest(tmp_path / "s", {"t.txt": text}, sidecar)
    assert finals(tables) == {"r01": 3.5}
    assert left_out(tables, "t.txt")[0] == 1


# -- values that are none --------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["0.0", "-5.2"])
def test_a_loss_of_zero_or_below_leaves_its_run_out(tmp_path: Path, loss: str) -> None:
    rows = [("r00", "1e6", "1e9", loss), *ROWS[1:]]
    tables = ingest(tmp_path / "s", {"t.csv": table(rows=rows)}, FINISHED)
    bad = row(tables.runs, "run", "r00")
    assert bad["reason"] == (
        f"it has no loss but 1 losses of 0 or below, which no cross-entropy is (first: "
        f"{float(loss):g} at step 1)"
    )
    assert not row(tables.runs, "run", "r01")["excluded"]
    assert finals(tables) == {"r00": None, "r01": 5.1002}


def test_a_gap_filled_with_zero_within_a_curve_is_noted(tmp_path: Path) -> None:
    lines = run_lines("a", steps=40)
    lines[1]["train_loss"] = -1.5
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)})
    run = row(tables.runs, "run", "a")
    assert run["excluded"] is False
    assert run["notes"].startswith("1 losses of 0 or below, which no cross-entropy is (first: -1.5")
    assert (tables.curves["train_loss"].drop_nulls() > 0).all()


@pytest.mark.parametrize(
    ("n", "d", "loss", "words"),
    [
        ("1e6", "0", "3", "tokens of 0 or below; a 32-bit counter wraps at 2^31"),
        ("1e6", "-2147483648", "3", "found '-2147483648'"),
        ("1e6", "nan", "3", "no finite number of tokens"),
        ("1e6", "1" + "0" * 400, "3", "no finite number of tokens"),
        ("1e6", "", "3", "no finite number of tokens"),
        ("1e6", "1e9", "", "no loss in the mapped columns"),
        ("0", "1e9", "3", "params.total: Input should be greater than 0"),
        ("-5", "1e9", "3", "params.total: Input should be greater than 0"),
        ("nan", "1e9", "3", "params.total: Input should be a finite number"),
        ("1" + "0" * 400, "1e9", "3", "params.total: Input should be a finite number"),
    ],
)
def test_a_row_that_cannot_be_a_run_is_left_out_with_its_reason(
    tmp_path: Path, n: str, d: str, loss: str, words: str
) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": table(rows=[("bad", n, d, loss), *ROWS])}, FINISHED)
    assert finals(tables) == {"r00": 5.4363, "r01": 5.1002}
    count, reason = left_out(tables, "t.csv")
    assert count == 1
    assert words in reason
    assert "first in row 1, run 'bad'" in reason


def test_json_numbers_of_any_size_and_half_surrogates(tmp_path: Path) -> None:
    text = "".join(
        f'{{"run": "{name}", "N": {n}, "D": 1000000000, "loss": {loss}}}\n'
        for name, n, loss in [
            ("a", 10**6, 3.5), ("b", 10**400, 3.0), ("c", 10**6, 10**400), ("\\ud800", 10**6, 3.0),
        ]
    )  # fmt: skip
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, FINISHED)
    assert finals(tables) == {"a": 3.5, "c": None, "?": 3.0}
    assert row(tables.runs, "run", "c")["status"] == "diverged"
    assert "params.total" in left_out(tables, "t.jsonl")[1]


# -- runs that lack something ----------------------------------------------------------------------


def test_a_run_that_lacks_a_fact_is_left_out_with_the_line_to_add(tmp_path: Path) -> None:
    bare = "".join(f"iter {n}: loss 2.0, time 1.00ms\n" for n in range(9))
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a")), "b.log": bare})
    run = row(tables.runs, "run", "b")
    assert (run["excluded"], run["params_total"], run["tokens"], run["status"]) == (
        True, None, None, None,
    )  # fmt: skip
    assert run["reason"] == (
        "the number of parameters is unknown; add to sweep.yaml, runs: [{match: \"b\", "
        "params: {total: <embedding included>}}]; the number of tokens per step is unknown; add to "
        "sweep.yaml, runs: [{match: \"b\", tokens_per_step: <tokens in one optimiser step>}]; the "
        "length of the learning-rate schedule is unknown; add to sweep.yaml, runs: "
        "[{match: \"b\", schedule: {kind: cosine, steps: <steps>}}]"
    )  # fmt: skip
    assert tables.curves["run"].unique().to_list() == ["a"]
    assert "left out until sweep.yaml says more:" in str(tables)


def test_the_fact_that_is_missing_is_the_one_asked_for(tmp_path: Path) -> None:
    # the schedule is there, in steps; what turns it into tokens is not
    sidecar = """
title: t
table: {rows: points, columns: {step: step, tokens: D, eval_loss: loss}}
facts: {params: {total: 1e6}, schedule: {kind: cosine, steps: 98}}
"""
    folder = write(tmp_path / "s", {"a.csv": "step,D,loss\n50,5e6,3\n100,1e7,2.5\n"}, sidecar)
    with pytest.raises(MissingFactError) as caught:
        ingest_sweep(folder, RECORD)
    assert "tokens_per_step: <" in str(caught.value)
    assert "schedule" not in str(caught.value)
    (folder / "sweep.yaml").write_text(sidecar.replace("{params", "{tokens_per_step: 1e5, params"))
    assert row(ingest_sweep(folder, RECORD).runs, "run", "a")["status"] == "finished"


def test_tables_of_files_and_runs_are_there_whatever_happens(tmp_path: Path) -> None:
    bare = "".join(f"iter {n}: loss 2.0, time 1.00ms\n" for n in range(9))
    folder = write(tmp_path / "s", {"b.log": bare, "notes.txt": "hello\n"})
    tables = read_sweep(folder, RECORD)
    assert isinstance(tables.complaint, MissingFactError)
    assert tables.runs["excluded"].to_list() == [True]
    assert tables.files["path"].to_list() == ["b.log", "notes.txt", "sweep.yaml"]


def test_a_relaunch_that_dies_before_its_first_step_replaces_nothing(tmp_path: Path) -> None:
    first = nanogpt(steps=200).splitlines(keepends=True)
    cut = "".join(line for line in first if "iter 160" not in line)
    cut = cut[: cut.index("iter 170")]
    again = nanogpt(steps=200).splitlines(keepends=True)
    again = "".join(again[: [line.startswith("iter 0") for line in again].index(True) + 1])
    again = re.sub(r"loss (\d+)\.", r"loss 1\1.", again)  # of other weights
    sidecar = "title: t\nbudgets: {values: [6e16]}\n"
    tables = ingest(tmp_path / "s", {"a.log": nanogpt(), "b.log": cut + again}, sidecar)
    run = row(tables.runs, "run", "b")
    assert (run["tokens"], run["status"], run["excluded"]) == (150 * 1024, "truncated", False)
    assert (
        "1 later launch of it ended before the first update, and replaced nothing" in run["notes"]
    )
    assert "it stopped at 75.0 % of its schedule" in run["notes"]
    live = tables.curves.filter(pl.col("run") == "b", ~pl.col("superseded"))
    assert live["step"].is_unique().all()
    assert row(tables.runs, "run", "a")["status"] == "finished"


def test_evaluations_lie_at_the_tokens_around_them(tmp_path: Path) -> None:
    # the batch ramps up, so D is no multiple of the step
    dump = "".join(
        f"  {name} {'.' * 30} {value}\n"
        for name, value in {"seq_length": 10, "global_batch_size": 8, "train_samples": 100}.items()
    )
    lines = [
        f" iteration {step:8d}/ 20 | consumed samples: {samples:12d} | lm loss: {loss:.6E} |\n"
        if samples
        else f" validation loss at iteration {step} | lm loss value: {loss:.6E} |\n"
        for step, samples, loss in [
            (4, 8, 4.0), (5, 0, 4.0), (8, 24, 3.0), (10, 0, 3.0), (16, 88, 2.5), (18, 0, 2.5),
        ]
    ]  # fmt: skip
    sidecar = "title: t\nfacts: {params: {total: 1e6}}\n"
    tables = ingest(tmp_path / "s", {"a.log": dump + "".join(lines)}, sidecar)
    found = dict(tables.curves.select("step", "tokens").iter_rows())
    assert found == {4: 80.0, 5: 120.0, 8: 240.0, 10: 400.0, 16: 880.0, 18: 1040.0}


def test_grouped_queries_have_fewer_heads_of_keys(tmp_path: Path) -> None:
    shape = (
        "layers: 32, d_model: 4096, heads: 32, d_ff: 14336, vocab_size: 128256, seq_len: 8192, "
        "tied: false, gated: true"
    )
    sidecar = f"""
title: t
table: {{rows: points, columns: {{step: step, tokens: D, eval_loss: loss}}}}
facts: {{schedule: {{kind: constant}}, architecture: {{{shape}, kv_heads: 8}}}}
"""
    files: dict[str, str | bytes] = {"a.csv": "step,D,loss\n1,1e9,3.0\n"}
    run = row(ingest(tmp_path / "s", files, sidecar).runs, "run", "a")
    matrices = 2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336
    assert run["params_total"] == 32 * matrices + 2 * 128256 * 4096 == 8_029_995_008
    assert run["params_nonembedding"] == 32 * matrices
    every = ingest(tmp_path / "t", files, sidecar.replace(", kv_heads: 8", ""))
    assert row(every.runs, "run", "a")["params_total"] == 8_835_301_376


@pytest.mark.parametrize(("grouped", "heads"), [("True", 2), ("False", 8)])
def test_megatron_prints_groups_that_it_may_not_use(
    tmp_path: Path, grouped: str, heads: int
) -> None:
    dump = {
        "num_layers": 2, "hidden_size": 64, "num_attention_heads": 8, "ffn_hidden_size": 256,
        "seq_length": 10, "padded_vocab_size": 100, "swiglu": "False", "train_iters": 10,
        "untie_embeddings_and_output_weights": "True", "group_query_attention": grouped,
        "num_query_groups": 2 if grouped == "True" else 1,
    }  # fmt: skip
    text = "".join(f"  {name} {'.' * 30} {value}\n" for name, value in dump.items())
    text += " iteration       10/ 10 | consumed samples:  100 | lm loss: 3.0E+00 |\n"
    sidecar = "title: t\nfacts: {tokens_per_step: 100}\n"
    run = row(ingest(tmp_path / "s", {"a.log": text}, sidecar).runs, "run", "a")
    attention = 2 * 64 * (8 + heads) * 8
    assert run["params_nonembedding"] == 2 * (attention + 2 * 64 * 256)
    assert run["tokens"] == 100 * 10


def test_two_ranks_lines_glued_together_are_no_record(tmp_path: Path) -> None:
    one = " iteration       10/ 30 | consumed samples:  100 | lm loss: 3.0E+00 |"
    two = " iteration       20/ 30 | consumed samples:  200 | lm loss: 2.0E+00 |"
    text = f"{one}\n{one}{two}\n{two.replace('20/', '30/').replace('200', '300')}\n"
    sidecar = (
        "title: t\nfacts: {params: {total: 1e6}, architecture: {seq_len: 10}, "
        "schedule: {kind: constant}}\n"
    )
    tables = ingest(tmp_path / "s", {"a.log": text}, sidecar)
    assert tables.curves.select("step", "tokens", "train_loss").rows() == [
        (10, 1000.0, 3.0), (30, 3000.0, 2.0),
    ]  # fmt: skip
    assert row(tables.files, "path", "a.log")["lines_unread"] == 1


# -- links and locks -------------------------------------------------------------------------------


def fates(tables: Ingested) -> dict[str, tuple[str, str]]:
    return {row["path"]: (row["fate"], row["reason"]) for row in tables.files.to_dicts()}


def test_links_are_followed_inside_the_sweep_s_folder_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {
        "a.jsonl": jsonl(run_lines("a")),
        ".store/b.jsonl": jsonl(run_lines("b")),
        "real/c.jsonl": jsonl(run_lines("c")),
    })  # fmt: skip
    outside = write(tmp_path / "elsewhere", {"secret.jsonl": jsonl(run_lines("secret"))}, None)
    links = {
        "out": outside, "out.jsonl": outside / "secret.jsonl", "dead": tmp_path / "nothing",
        "stored": folder / ".store", "again": folder / "real", "up": folder,
        "circle": folder / "circle", "d.jsonl": folder / ".store" / "b.jsonl",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    tables = ingest_sweep(folder, RECORD)
    assert tables.runs["run"].to_list() == ["a", "b", "c"]
    seen = fates(tables)
    outcome = {name: seen[name][0] for name in [*links, "pipe"] if name in seen}
    assert outcome == {
        "out": "rejected", "out.jsonl": "rejected", "dead": "rejected", "again": "ignored",
        "up": "ignored", "circle": "rejected", "pipe": "rejected", "d.jsonl": "used",
    }  # fmt: skip
    assert seen["stored/b.jsonl"] == ("rejected", "the same bytes as d.jsonl")
    assert "which is not followed" in seen["out"][1]
    assert seen["dead"][1] == "a link to nothing"
    assert not any(str(tmp_path) in (reason or "") for _, reason in seen.values())


def test_a_sweep_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "disk", {"a.jsonl": jsonl(run_lines("a"))})
    (tmp_path / "s").symlink_to(tmp_path / "disk")
    assert ingest_sweep(tmp_path / "s", RECORD).runs["run"].to_list() == ["a"]


def test_a_locked_log_is_rejected_and_the_others_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, size: int | None = None) -> str:
        if path.name == "b.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return unlocked(path, size)

    unlocked = source.digest
    monkeypatch.setattr(source, "digest", locked)  # root may read anything
    files: dict[str, str | bytes] = {f"{n}.jsonl": jsonl(run_lines(n)) for n in "ab"}
    tables = ingest(tmp_path / "s", files)
    assert fates(tables)["b.jsonl"] == ("rejected", "cannot be read: permission denied")
    assert tables.runs["run"].to_list() == ["a"]


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a"))})
    (folder / "a.jsonl").rename(folder / os.fsdecode(b"a\xff.jsonl"))
    assert ingest_sweep(folder, RECORD).files["path"].to_list() == ["a\\xff.jsonl", "sweep.yaml"]


def test_samples_of_a_step_are_counted_and_the_context_is_asked_once(tmp_path: Path) -> None:
    """Megatron's lines without its argument dump tell steps and samples, and so the batch."""
    lines = "".join(
        f" iteration {step:8d}/      10 | consumed samples: {32 * step:12d} | lm loss: "
        f"{3 - step / 10:.6E} | grad norm: 1.0 |\n"
        for step in range(1, 11)
    )
    proposed = inspect(write(tmp_path / "asked", {"a.log": lines})).sidecar_text()
    assert proposed.count("seq_len: <tokens of a sample>") == proposed.count("\n    archi") == 1
    assert "tokens_per_step" not in proposed
    known = "facts: {params: {total: 1e6}, architecture: {seq_len: 64}}\n"
    run = row(ingest(tmp_path / "s", {"a.log": lines}, f"title: t\n{known}").runs, "run", "a")
    assert (run["tokens"], run["status"], run["reason"]) == (320 * 64, "finished", None)
    ramp = lines.replace("320 |", "480 |")  # a batch that grew: nobody knows how long it takes
    tables = ingest(tmp_path / "r", {"a.log": ramp, "b.log": lines}, f"title: t\n{known}")
    assert "tokens per step" in row(tables.runs, "run", "a")["reason"]


@pytest.mark.parametrize("first", ["", "sep=;\n", '"sep=;"\n'])
def test_a_table_of_decimal_commas_alone_is_one_with_and_without_excel_s_first_line(
    tmp_path: Path, first: str
) -> None:
    text = f"{first}run;params;tokens;loss\na;70500000,0;1,4e9;3,5\nb;1,6e8;3,2e9;3,25\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.curves["eval_loss"].to_list() == [3.5, 3.25]
    assert tables.runs["params_total"].to_list() == [7.05e7, 1.6e8]


def test_a_copy_that_was_cut_is_no_second_run(tmp_path: Path) -> None:
    whole = nanogpt(steps=400)
    half = whole[: len(whole) // 2]
    csv = "step,train_loss\n" + "".join(f"{s},{5 - s / 1e3}\n" for s in range(100, 2000, 100))
    other = csv.replace("4.9", "4.8")
    files: dict[str, str | bytes] = {
        "a.log": whole, "b/half.log": half, "c.csv": csv, "d.csv": csv[:90], "e.csv": other[:90],
    }  # fmt: skip
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512, "
    tables = ingest(tmp_path / "s", files, rules + "schedule: {kind: constant}}\n")
    assert tables.runs["run"].to_list() == ["a", "c", "e"]
    seen = {name: (fate, why) for name, fate, why in tables.files.select(
        "path", "fate", "reason").iter_rows()}  # fmt: skip
    assert seen["b/half.log"][0] == seen["d.csv"][0] == "rejected"
    assert f"the first {len(half)} bytes of a.log: a copy that was cut" in seen["b/half.log"][1]
    assert "the first 90 bytes of c.csv" in seen["d.csv"][1]


def test_a_run_with_which_its_branch_begins_is_kept_where_it_is_named(tmp_path: Path) -> None:
    whole = nanogpt(steps=400)
    half = whole[: whole.rfind("\n", 0, len(whole) // 2) + 1]
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512, "
    rules += "schedule: {kind: constant}}\n"
    files: dict[str, str | bytes] = {"decay.log": whole, "base.log": half}
    cut = ingest(tmp_path / "a", files, rules)
    reason = row(cut.files, "path", "base.log")["reason"]
    way_out = 'runs: [{match: "base.log", run: "base"}]'
    assert reason.endswith(f"name it in sweep.yaml, {way_out}")
    both = ingest(tmp_path / "b", files, f"{rules}{way_out}\n")
    assert both.runs["run"].to_list() == ["base", "decay"]
    assert not both.runs["excluded"].any()


# -- Megatron's sets -------------------------------------------------------------------------------

LINES = "".join(f" iteration {n}/ 50 | lm loss: {4 - n / 100:.4E} |\n" for n in range(1, 51))
MEGATRON = """
title: t
facts: {params: {total: 1e6}, tokens_per_step: 1024, schedule: {kind: constant}}
"""


def measured(name: str, loss: float, on: str = "") -> str:
    return (
        f" {name} loss at iteration 50{on} | lm loss value: {loss:.6E} | lm loss PPL: 9.0E+00 | \n"
    )


def test_named_validation_sets_of_megatron_are_sets_of_their_own(tmp_path: Path) -> None:
    text = LINES + measured("validation-pile", 3.5) + measured("validation-wikitext", 3.7)
    with pytest.raises(MissingFactError, match=r"2 eval sets \(pile, wikitext\)"):
        ingest(tmp_path / "a", {"a.log": text}, MEGATRON)
    facts = MEGATRON.replace("facts: {", "facts: {primary_eval: wikitext, ")
    told = ingest(tmp_path / "b", {"a.log": text}, facts)
    assert told.curves["eval_loss"].drop_nulls().to_list() == [pytest.approx(3.7)]


def test_the_validation_set_is_fitted_where_megatron_tests_at_the_end(tmp_path: Path) -> None:
    last = measured("validation", 3.5, " on validation set")
    last += measured("validation", 3.7, " on test set")
    files = {"a.log": LINES + last, "b.log": LINES + measured("validation", 3.6)}
    tables = ingest(tmp_path, files, MEGATRON)
    assert tables.runs["excluded"].to_list() == [False, False]
    assert tables.curves["eval_loss"].drop_nulls().to_list() == [
        pytest.approx(3.5),
        pytest.approx(3.6),
    ]


def test_tags_of_megatrons_sets_are_sets_of_their_own() -> None:
    tags = [
        "lm loss validation-pile",
        "lm loss validation-pile ppl",
        "lm loss validation-a vs samples",
    ]
    assert eval_sets(tags) == {"pile": "lm loss validation-pile"}

"""Tables of finished runs whose columns have other names, and what else their rows tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest
import yaml

from isoflop.errors import MissingFactError
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError
from isoflop.ingest.words.names import counted_by_words, find_count, loss_by_words
from tests.ingest.samples import ingest, row
from tests.ingest.test_proposals import settled

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [
    (25e6, 5e8), (25e6, 1e9), (50e6, 5e8), (50e6, 1e9), (100e6, 1e9), (100e6, 2e9),
]  # fmt: skip
"""N and D of the runs."""


def loss(size: float, tokens: float) -> float:
    return 1.7 + 406 / size**0.34 + 410 / tokens**0.28


def table(head: str, *columns: str) -> str:
    """A table with a row a run, by formulas of N, D and the row's number."""
    lines = [
        ",".join(
            str(eval(each, {"N": size, "D": tokens, "i": place, "L": loss(size, tokens)}))  # noqa: S307
            for each in columns
        )
        for place, (size, tokens) in enumerate(CELLS)
    ]
    return "\n".join([head, *lines, ""])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("params_total", "params.total"), ("total_parameters", "params.total"),
        ("nparams", "params.total"), ("nParams", "params.total"),
        ("param_count", "params.total"), ("model_params", "params.total"),
        ("No. of parameters", "params.total"), ("#params", "params.total"),
        ("Params (incl. embeddings)", "params.total"), ("trainable_params", "params.total"),
        ("N (non-emb)", "params.nonembedding"), ("Non-embedding params", "params.nonembedding"),
        ("params w/o embeddings", "params.nonembedding"), ("n_ne", "params.nonembedding"),
        ("n_params_non_embedding", "params.nonembedding"), ("n_active", "params.active"),
        ("activated params", "params.active"), ("D_tokens", "tokens"), ("#tokens", "tokens"),
        ("tokens_trained", "tokens"), ("tokens_processed", "tokens"),
        ("D_total", "tokens"), ("D (train)", "tokens"), ("d_total", None),
        ("N (total)", "params.total"), ("N_total", "params.total"), ("n_total", None),
        ("params_per_layer", None), ("embedding_params", None), ("expert_params", None),
        ("n_embd", None), ("n_t", None), ("tokens_per_second", None), ("eval_tokens", None),
        ("unique_tokens", None), ("max_tokens", None), ("train tokens per param", None),
    ],
)  # fmt: skip
def test_words_of_a_name_tell_what_it_counts(name: str, value: str | None) -> None:
    assert counted_by_words(name) == value
    if value is not None:
        assert find_count(value, [name]) == (name, 1.0)


def test_words_may_have_a_unit_beside_them() -> None:
    assert find_count("params.nonembedding", ["non-emb params (M)"]) == ("non-emb params (M)", 1e6)


@pytest.mark.parametrize("name", ["nparams", "param_count", "Model params"])
def test_rows_are_finished_runs_by_any_name_of_their_size(tmp_path: Path, name: str) -> None:
    done = ingest(tmp_path / "s", {"t.csv": table(f"{name},tokens,val_loss", "N", "D", "L")})
    assert done.runs["params_total"].to_list() == [size for size, _ in CELLS]
    assert done.runs["tokens"].to_list() == [tokens for _, tokens in CELLS]


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("flops,tokens,val_loss", ("6*N*D", "D", "L")),
        ("size,tokens,val_loss", ("N", "D", "L")),
        ("width,tokens,lr,val_loss", ("N", "D", "1e-3", "L")),
        ("size,steps,tokens_per_step,val_loss", ("N", "D/250000", "250000", "L")),
        ("N,tokens_per_step,steps,val_loss", ("N", "250000", "D/250000", "L")),
        ("N,seq_len,global_batch_size,steps,val_loss", ("N", "1000", "250", "D/250000", "L")),
    ],
)
def test_tokens_that_fall_are_asked_about_with_a_map_of_runs(
    tmp_path: Path, head: str, columns: tuple[str, ...]
) -> None:
    with pytest.raises(EmptySweepError, match="finished run"):
        ingest(tmp_path / "s", {"t.csv": table(head, *columns)})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["params_total"].to_list() == pytest.approx([size for size, _ in CELLS])
    assert done.runs["tokens"].to_list() == pytest.approx([tokens for _, tokens in CELLS])


def test_two_seeds_of_a_step_are_no_rows_to_leave_out(tmp_path: Path) -> None:
    lines = [
        f"{size},{tokens / 25e4},250000,{loss(size, tokens) + seed / 100},{seed},{(1 + seed) / 1e3}"
        for size, tokens in CELLS
        for seed in (0, 1)
    ]
    content = "\n".join(["N,steps,tokens_per_step,val_loss,seed,lr", *lines, ""])
    with pytest.raises(EmptySweepError, match="if each row is a finished run"):
        ingest(tmp_path / "s", {"t.csv": content})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["seed"].to_list() == [0, 1] * len(CELLS)
    assert done.runs["lr_peak"].to_list() == [1e-3, 2e-3] * len(CELLS)


def test_a_restart_beside_other_columns_is_one(tmp_path: Path) -> None:
    steps = [*range(100, 2001, 100), *range(1500, 3001, 100)]
    lines = [f"{step * 1000},{5 - step / 3000},{3e4 + step % 7}" for step in steps]
    content = "\n".join(["tokens,loss,speed", *lines, ""])
    rules = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    done = ingest(tmp_path / "s", {"t.csv": content}, rules)
    assert row(done.runs, "run", "t")["tokens"] == 3e6


@pytest.mark.parametrize("name", ["lr", "LR", "learning_rate", "peak_lr", "max_lr", "optim.lr"])
def test_finished_runs_have_the_peak_rate_of_their_column(tmp_path: Path, name: str) -> None:
    content = table(f"N,D,{name},loss", "N", "D", "1e-3", "L")
    content += table("", "N", "D", "2e-3", "L+.01").lstrip()
    done = ingest(tmp_path / "s", {"t.csv": content})
    assert sorted({*done.runs["lr_peak"]}) == [0.001, 0.002]
    cell = row(done.gates.filter(check="peak_rates"), "run", "t-0001")
    assert (cell["value"], cell["verdict"]) == (2.0, "warned")


def test_rows_tell_seed_schedule_budget_and_unique_tokens(tmp_path: Path) -> None:
    head = "N,D,seed,schedule,budget,unique_tokens,loss"
    content = table(head, "N", "D", "i", "'wsd'", "6*N*D*1.1", "D/4", "L")
    done = ingest(tmp_path / "s", {"t.csv": content})
    first = row(done.runs, "run", "t-0003")
    assert (first["seed"], first["schedule_kind"]) == (2, "wsd")
    assert first["budget"] == pytest.approx(6.6 * 50e6 * 5e8)
    assert first["unique_tokens"] == 5e8 / 4


@pytest.mark.parametrize(
    ("head", "cell", "fact"),
    [
        ("lr", "0.0 if i else 1e-3", "lr_peak"), ("seed", "-1", "seed"), ("seed", "i+.5", "seed"),
        ("budget", "i+1", "budget"), ("schedule", "i", "schedule_kind"),
        ("unique_tokens", "1.5", "unique_tokens"),
    ],
)  # fmt: skip
def test_cells_that_cannot_be_a_fact_leave_no_run_out(
    tmp_path: Path, head: str, cell: str, fact: str
) -> None:
    done = ingest(tmp_path / "s", {"t.csv": table(f"N,D,{head},loss", "N", "D", cell, "L")})
    assert done.runs.height == len(CELLS)
    assert not done.runs["excluded"].any()
    assert done.runs[fact].null_count() == len(CELLS)


def test_a_rate_that_a_curve_never_changes_is_its_peak(tmp_path: Path) -> None:
    rates = {"a": lambda _: 1e-3, "b": lambda _: 3e-4, "c": lambda n: 1e-3 * (60 - n) / 60}
    files: dict[str, str | bytes] = {
        f"{name}.csv": "\n".join(
            [
                "step,tokens,loss,lr,n_params",
                *(f"{n},{n}e6,{5 - n / 40 + 9 * rate(1)},{rate(n)},25000000" for n in range(1, 60)),
                "",
            ]
        )
        for name, rate in rates.items()
    }
    done = ingest(tmp_path / "s", files, "title: t\nfacts: {schedule: {kind: constant}}\n")
    assert done.runs["lr_peak"].to_list() == [1e-3, 3e-4, None]
    assert done.gates.filter(check="peak_rates")["value"].to_list() == [2.0, 2.0]


def test_compute_along_curves_is_proposed_as_their_axis(tmp_path: Path) -> None:
    lines = [
        f"{name},{size},{6 * size * n * 1e7},{5 - n / 40}"
        for name, size in (("a", 25e6), ("b", 50e6))
        for n in range(1, 30)
    ]
    content = "\n".join(["run,n_params,flops,loss", *lines, ""])
    with pytest.raises(EmptySweepError, match=r"rows: \"points\"(.|\n)*if each row is a finished"):
        ingest(tmp_path / "s", {"t.csv": content})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["tokens"].to_list() == pytest.approx([29e7, 29e7])


@pytest.mark.parametrize(("first", "done_by_then"), [(0, '"epoch" + 1'), (1, '"epoch" * <')])
def test_epochs_from_zero_are_done_at_their_end(
    tmp_path: Path, first: int, done_by_then: str
) -> None:
    lines = [f"{n + first},{5 - n / 30},{6 - n / 30}" for n in range(12)]
    with pytest.raises(EmptySweepError) as told:
        ingest(tmp_path / "s", {"t.csv": "\n".join(["epoch,loss,val_loss", *lines, ""])})
    assert done_by_then in str(told.value).replace("\\", "")


@pytest.mark.parametrize("name", ["final_train_loss", "min_val_loss", "val_ce", "nll", "test loss"])
def test_a_column_that_is_rather_the_loss_is_proposed(tmp_path: Path, name: str) -> None:
    assert loss_by_words(name)
    content = table(f"N,D,aux_loss_weight,{name}", "N", "D", ".01", "L")
    with pytest.raises(EmptySweepError, match=f'eval_loss: "{name}"'):
        ingest(tmp_path / "s", {"t.csv": content})


def test_a_perplexity_is_proposed_as_its_logarithm(tmp_path: Path) -> None:
    with pytest.raises(EmptySweepError, match="LN"):
        ingest(tmp_path / "s", {"t.csv": table("N,D,val_ppl", "N", "D", "2.718281828459045**L")})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.curves["eval_loss"].to_list() == pytest.approx([loss(*cell) for cell in CELLS])


@pytest.mark.parametrize("name", ["loss_scale", "aux_loss_weight", "z_loss", "ce", "loss_fn"])
def test_words_that_are_of_no_loss_of_a_model(name: str) -> None:
    assert not loss_by_words(name)


@pytest.mark.parametrize("inner", [False, True])
def test_a_record_of_a_finished_run_is_no_file_of_settings(tmp_path: Path, inner: bool) -> None:
    files: dict[str, str | bytes] = {}
    for place, (size, tokens) in enumerate(CELLS):
        config = {"n_layer": 8, "d_model": 256, "lr": 1e-3, "seed": place}
        results = {"n_params": size, "train_tokens": tokens, "final_val_loss": loss(size, tokens)}
        told = {"config": config, "results": results} if inner else config | results
        files[f"run_{place}.json"] = json.dumps(told)
    done = ingest(tmp_path / "s", files)
    assert done.runs["params_total"].to_list() == [size for size, _ in CELLS]
    assert done.runs["tokens"].to_list() == [tokens for _, tokens in CELLS]
    assert done.runs["seed"].to_list() == [*range(len(CELLS))]


def test_settings_name_the_size_by_its_words(tmp_path: Path) -> None:
    lines = [f"{n},{5 - n / 40},{n}e6" for n in range(1, 30)]
    files: dict[str, str | bytes] = {
        "r/metrics.csv": "\n".join(["step,loss,tokens", *lines, ""]),
        "r/hparams.yaml": "params: 25000000\nlr: 0.001\n",
    }
    done = ingest(tmp_path / "s", files, "title: t\nfacts: {schedule: {kind: constant}}\n")
    assert done.runs["params_total"].to_list() == [25e6]


@pytest.mark.parametrize(("last", "asked"), [(98, False), (100, False), (30, True), (400, True)])
def test_a_schedule_in_steps_takes_its_tokens_from_rows_that_count_them(
    tmp_path: Path,
    last: int,
    asked: bool,
) -> None:
    lines = [f"{n},{5 - n / 500},{n * 131072}" for n in range(2, last + 1, 2)]
    files: dict[str, str | bytes] = {
        "r/metrics.csv": "\n".join(["step,loss,tokens", *lines, ""]),
        "r/config.json": '{"n_params": 25000000, "block_size": 1024, "max_steps": 100}',
    }
    if asked:  # steps that may be others than those of the schedule
        with pytest.raises(MissingFactError, match="tokens per step"):
            ingest(tmp_path / "s", files)
        return
    run = row(ingest(tmp_path / "s", files).runs, "run", "r/metrics")
    assert run["schedule_tokens"] == 100 * 131072


def test_lines_with_a_kind_of_record_are_of_nobodys_format(tmp_path: Path) -> None:
    lines = [
        {"kind": "train", "step": n, "loss": 5 - n / 40, "tokens": n * 1e6} for n in range(1, 9)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    rules = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    done = ingest(tmp_path / "s", {"a.jsonl": content}, rules)
    assert row(done.runs, "run", "a")["tokens"] == 8e6


def test_checkpoints_of_one_name_are_points_of_its_curve(tmp_path: Path) -> None:
    lines = [
        f"{name},{size},{n * 500},{n * 1e8},{5 - n / 20}"
        for name, size in (("25M", 25e6), ("50M", 50e6))
        for n in range(1, 8)
    ]
    content = "\n".join(["model,n_params,checkpoint,tokens,val_loss", *lines, ""])
    rules = "title: t\nfacts: {schedule: {kind: constant}}\n"
    done = ingest(tmp_path / "s", {"t.csv": content}, rules)
    assert done.runs["run"].to_list() == ["25M", "50M"]
    assert done.runs["tokens"].to_list() == [7e8, 7e8]
    assert "if each is a finished run" in row(done.files, "path", "t.csv")["reason"]


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("C,N,L", ("6*N*D", "N", "L")),
        ("compute_budget,N,loss", ("6*N*D", "N", "L")),
        (
            "name,N,batch_size,seq_len,max_steps,val_loss",
            ("i", "N", "250", "1000", "D/250000", "L"),
        ),
        ("name,N,batch_tokens,total_steps,nll", ("i", "N", "250000", "D/250000", "L")),
    ],
)
def test_tokens_follow_from_compute_or_from_all_steps(
    tmp_path: Path, head: str, columns: tuple[str, ...]
) -> None:
    with pytest.raises(EmptySweepError):
        ingest(tmp_path / "s", {"t.csv": table(head, *columns)})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["tokens"].to_list() == pytest.approx([tokens for _, tokens in CELLS])
    assert done.curves["eval_loss"].to_list() == pytest.approx([loss(*cell) for cell in CELLS])


def test_a_checkpoint_of_each_run_makes_no_curves(tmp_path: Path) -> None:
    lines = [
        f"{size / 1e6:g}M,{size},{tokens / 131072:.0f},{tokens},{loss(size, tokens)}"
        for size, tokens in CELLS
    ]
    files: dict[str, str | bytes] = {
        "t.csv": "\n".join(["model,n_params,checkpoint,tokens,val_loss", *lines, ""])
    }
    done = ingest(tmp_path / "few", files)
    assert done.runs["tokens"].sort().to_list() == sorted(tokens for _, tokens in CELLS)
    lines = [
        f"25M,{25e6},{seed},{(seed + 1) * 100},{(seed + 1) * 1e8},{5 - seed / 9}"
        for seed in range(8)
    ]
    files = {"t.csv": "\n".join(["model,n_params,seed,checkpoint,tokens,val_loss", *lines, ""])}
    assert ingest(tmp_path / "seeds", files).runs.height == 8


def test_rows_of_the_same_steps_for_every_n_are_rather_curves(tmp_path: Path) -> None:
    lines = [
        f"{size},{step},131072,{6 - step / 4e3 - size / 1e8}"
        for size in (25e6, 50e6, 100e6)
        for step in (500, 1000, 2000, 4000, 8000)
    ]
    content = "\n".join(["n_params,step,tokens_per_step,val_loss", *lines, ""])
    with pytest.raises(EmptySweepError, match="if each row is a finished run"):
        ingest(tmp_path / "s", {"t.csv": content})
    told = inspect(tmp_path / "s").sidecar_text()
    assert yaml.safe_load(told)["table"]["rows"] == "points"


@pytest.mark.parametrize(
    ("columns", "peaks"),
    [
        ({"learning_rate": (6e-9, 1.2e-8)}, None),  # a schedule's end
        ({"lr": (6e-5, 6e-5), "config.lr": (6e-4, 3e-4)}, (6e-4, 3e-4)),
        ({"lr": (0.5, 0.5), "base_lr": (1e-3, 2e-3)}, (1e-3, 2e-3)),
        ({"lr": (6e-5, 5e-5), "config.seed": (0, 1)}, None),  # of a tracker's summary
        ({"summary.lr": (6e-5, 5e-5)}, None),
        ({"train/learning_rate": (6e-5, 5e-5)}, None),
        ({"lr": (3e-2, 3e-5)}, None),
        ({"lr": (0.5, 1.0)}, None),  # multiples
        ({"optim.lr": (1e-3, 2e-3)}, (1e-3, 2e-3)),
        ({"optimizer.learning_rate": (1e-3, 2e-3)}, (1e-3, 2e-3)),
        ({"config.optimizer.lr": (1e-3, 2e-3), "lr": (0.0, 0.0)}, (1e-3, 2e-3)),
        ({"optimizer/learning_rate": (1e-3, 2e-3)}, None),  # logged
        ({"lr": (1e-3, 2e-3)}, (1e-3, 2e-3)),
        ({"peak_lr": (1e-7, 2e-7)}, (1e-7, 2e-7)),  # it says so
    ],
)
def test_a_learning_rate_is_a_peak_only_where_it_can_be_no_last_one(
    tmp_path: Path, columns: dict[str, tuple[float, float]], peaks: tuple[float, float] | None
) -> None:
    head = ",".join(["N,D,loss", *columns])
    lines = [
        ",".join(
            map(str, [25e6, 5e8, 4 + place / 100, *(both[place] for both in columns.values())])
        )
        for place in (0, 1)
    ]
    done = ingest(tmp_path / "s", {"t.csv": "\n".join([head, *lines, ""])})
    assert done.runs["lr_peak"].to_list() == list(peaks or (None, None))


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("model,tokens,val_loss", ("f'{N/1e6:.0f}M'", "int(D)", "round(L, 3)")),
        ("size,tokens,val_loss", ("f'{N/1e6:.0f}M'", "f'{D/1e9:g}B'", "round(L, 3)")),
        ("run,D,final_loss", ("f'{N/1e6:.0f}M'", "int(D)", "round(L, 3)")),
        (
            "model,tokens,lr,seed,final_val_loss",
            ("f'gpt-{N/1e6:.0f}M'", "f'{D/1e9:g}B'", "1e-3", "1", "round(L, 3)"),
        ),
    ],
)
def test_finished_runs_called_by_their_model_are_no_curves(
    tmp_path: Path, head: str, columns: tuple[str, ...]
) -> None:
    """Two rows a name, of which the first of each would be no final loss."""
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    text = table(head, *columns)
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, known)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    lacking = "params.total" not in proposed[1]  # and N is told by the names of the runs
    begin = "gpt-" if "gpt" in columns[0] else ""
    rules = "".join(
        f"  - {{match: '{begin}{size}M-*', params: {{total: {size}e6}}}}\n"
        for size in (25, 50, 100)
    )
    given = f"{known}{proposed[1]}\n" + f"runs:\n{rules}" * lacking
    tables = ingest(tmp_path / "t", {"t.csv": text}, given)
    read = tables.runs.select("params_total", "tokens").sort("params_total", "tokens").rows()
    assert read == CELLS


def test_a_few_points_of_a_curve_are_read_where_sweep_yaml_says_so(tmp_path: Path) -> None:
    text = table("model,tokens,val_loss", "f'{N/1e6:.0f}M'", "int(D)", "round(L, 3)")
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    proposed = re.findall(r"^ *(table: .*points.*)$", str(caught.value), re.MULTILINE)
    known = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{known}{proposed[0]}\n")
    assert tables.runs.height == 3
    # a training log by its models is one of curves
    log = "".join(f"gpt,{step},{5 - step / 1e3}\n" for step in (100, 200))
    other = log.replace("gpt", "llama")
    tables = ingest(
        tmp_path / "u",
        {"t.csv": f"model,step,train_loss\n{log}{other}"},
        f"{known}  # no more\n".replace("}}", "}, tokens_per_step: 1000}"),
    )
    assert tables.runs.height == 2


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("model,step,val_loss", "{n:g}M,{k},{loss}"),
        ("model,tokens,val_loss", "{n:g}M,{tokens},{loss}"),
        ("run,step,tokens,val_loss", "a-{n:g}M,{k},{tokens},{loss}"),
    ],
)
@pytest.mark.parametrize("count", [5, 6])
def test_the_same_even_counts_of_every_model_are_of_curves(
    tmp_path: Path, head: str, columns: str, count: int
) -> None:
    lines = [
        columns.format(n=n, k=k * 400, tokens=k * 40_000_000, loss=round(loss(n * 1e6, k * 4e7), 4))
        for n in (25, 50, 100)
        for k in range(1, count + 1)
    ]
    known = (
        "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 100000, "
        "schedule: {kind: constant}}\n"
    )
    tables = ingest(tmp_path / "s", {"t.csv": "\n".join([head, *lines]) + "\n"}, known)
    assert tables.runs.height == 3
    assert tables.curves.height == 3 * count


@pytest.mark.parametrize("sizes", [(25_000_000,), (25_000_000, 50_000_000)])
def test_rows_of_one_n_whose_tokens_rise_evenly_are_asked_about(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    text = "tokens,loss,n_params\n" + "".join(
        f"{k * 4096},{5 - k / 30 - size / 1e8:.4f},{size}\n" for size in sizes for k in range(1, 31)
    )
    other = {"o.csv": "step,tokens,n_params,loss\n" + "".join(
        f"{k},{k * 512},1000000,{5 - k / 31:.4f}\n" for k in range(1, 31)
    )}  # fmt: skip
    sidecar = "title: t\nfacts: {schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"c.csv": text, **other}, sidecar)
    file = row(tables.files, "path", "c.csv")
    assert file["fate"] == "rejected"
    assert "'tokens' rises in equal steps over 30 rows of one 'n_params'" in file["reason"]
    maps = re.findall(r"table: (\{.*\})$", file["reason"], re.MULTILINE)
    assert len(maps) == 2
    for place, (told, runs, loss) in enumerate(
        zip(maps, (len(sizes), 30 * len(sizes)), ("train_loss", "eval_loss"), strict=True)
    ):
        rule = f"runs: [{{match: c.csv, table: {told}}}]\n"
        tables = ingest(tmp_path / f"t{place}", {"c.csv": text, **other}, sidecar + rule)
        mine = tables.runs.filter(pl.col("run") != "o")
        assert mine.height == runs
        losses = tables.curves.filter(pl.col("run") != "o").drop_nulls(loss)
        assert losses.height == 30 * len(sizes)


FEW_MODELS = (16e6, 30e6, 51e6, 81e6)
"""N of models of which a table has several rows each."""


def rows_of_models(tokens: str, head: str = "", cell: str = "") -> str:
    """A table with six rows of each model, by a formula of D from N and the row's number."""
    lines = [f"model,params,tokens,val_loss{head}"]
    for size in FEW_MODELS:
        for i in range(6):
            read = eval(tokens, {"N": size, "i": i})  # noqa: S307
            more = eval(cell, {"N": size, "D": read, "i": i}) if cell else ""  # noqa: S307
            lines.append(f"{size / 1e6:g}M,{size:.0f},{read:.0f},{loss(size, read):.4f}{more}")
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("tokens", ["N * (1, 2, 4, 8, 14, 20)[i]", "65536e3 * 2**i", "2e8 * (i+1)"])
@pytest.mark.parametrize(
    "more", [("", ""), (",lr", "f',{1e-3 / (i + 1)}'"), (",flops", "f',{N*D}'")]
)
def test_rows_of_models_that_tokens_alone_tell_apart_are_asked_about(
    tmp_path: Path, tokens: str, more: tuple[str, str]
) -> None:
    content = rows_of_models(tokens, *more)
    with pytest.raises(
        EmptySweepError, match="nothing but tokens tells the rows of each 'model'"
    ) as told:
        ingest(tmp_path / "s", {"t.csv": content})
    proposed = yaml.safe_load(inspect(tmp_path / "s").sidecar_text())["table"]
    assert (proposed["rows"], proposed["columns"]["run"]) == ("points", "model")
    maps = re.findall(r"table: (\{.*\})$", str(told.value), re.MULTILINE)
    for each, count in zip(maps, (1, 6), strict=True):
        rule = f"title: t\ntable: {each}\nfacts: {{schedule: {{kind: constant}}}}\n"
        done = ingest(tmp_path / str(count), {"t.csv": content}, rule)
        assert done.runs.height == count * len(FEW_MODELS)


@pytest.mark.parametrize(
    ("tokens", "more"),
    [
        ("1e17 * 3**i / (6*N)", ("", "")),
        ("1e17 * 3**i / (6*N)", (",flops", "f',{N*D}'")),
        ("N * 4 * (i+1)", (",seed", "f',{i}'")),
        ("N * 4 * (i+1)", (",peak_lr", "f',{1e-3 / (i+1)}'")),
        ("N * 4 * (i+1)", (",batch_size", "f',{64 * (i+1)}'")),
        ("N * 4 * (i+1)", (",budget", "f',{6 * N * D:.0f}'")),
    ],
)
def test_rows_of_models_that_more_tells_apart_are_finished_runs(
    tmp_path: Path, tokens: str, more: tuple[str, str]
) -> None:
    done = ingest(tmp_path / "s", {"t.csv": rows_of_models(tokens, *more)})
    assert done.runs.height == 6 * len(FEW_MODELS)
    assert done.runs["status"].to_list() == ["finished"] * done.runs.height


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("N_total,D_total,C_6ND,L_val,L_train,acc", ("N", "D", "6*N*D", "L", "L-.05", ".3")),
        ("N,D,L_train,L_test", ("N", "D", "L-.05", "L")),
    ],
)
def test_losses_called_by_a_letter_are_those_of_validation(
    tmp_path: Path, head: str, columns: tuple[str, ...]
) -> None:
    done = ingest(tmp_path / "s", {"t.csv": table(f"name,{head}", "f'r{i}'", *columns)})
    assert done.runs["tokens"].to_list() == [tokens for _, tokens in CELLS]
    assert done.curves["eval_loss"].to_list() == pytest.approx([loss(*cell) for cell in CELLS])


@pytest.mark.parametrize("steps", [{}, {"steps": 1000}])
@pytest.mark.parametrize("best", [{}, {"best_val_loss": 1.0}])
@pytest.mark.parametrize("nested", [True, False])
def test_a_record_of_a_run_with_losses_of_its_end_has_that_of_validation(
    tmp_path: Path, steps: dict[str, int], best: dict[str, float], nested: bool
) -> None:
    files: dict[str, str | bytes] = {}
    for place, (size, tokens) in enumerate(CELLS):
        final = {"train_loss": loss(size, tokens) - 0.05, "val_loss": loss(size, tokens)}
        ends = {"final": final} if nested else {f"final_{name}": at for name, at in final.items()}
        told = {"config": {"n_layer": 8}, "num_params": size, "tokens_trained": tokens}
        files[f"run_{place}/summary.json"] = json.dumps(told | steps | ends | best)
    done = ingest(tmp_path / "s", files)
    assert done.runs["status"].to_list() == ["finished"] * len(CELLS)
    assert done.curves["eval_loss"].to_list() == pytest.approx([loss(*cell) for cell in CELLS])
    assert done.curves["train_loss"].null_count() == len(CELLS)

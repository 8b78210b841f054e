"""Logs of fine-tuning, whose steps differ in their tokens: D is counted, or asked for."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FACTS = "title: t\nfacts:\n  params: {total: 1.0e+6}\n  schedule: {kind: cosine, steps: 300}\n"
Line = tuple[int, int, float]
"""Step, tokens so far, loss."""


def curve(last: int = 300) -> list[Line]:
    chosen = random.Random(1)  # noqa: S311  lengths of sequences, no secrets
    tokens, lines = 0, []
    for step in range(10, last + 1, 10):
        tokens += sum(chosen.randrange(500, 6000) for _ in range(10))
        lines.append((step, tokens, round(2 + 8 / step**0.5, 4)))
    return lines


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in rows)


def llamafactory(lines: Sequence[Line], *, counted: bool) -> str:
    return json_lines(
        [
            {"current_steps": s, "total_steps": 300, "loss": loss, "lr": 1e-4, "epoch": s / 100,
             "total_tokens": t * counted}
            for s, t, loss in lines
        ]
    )  # fmt: skip


def swift(lines: Sequence[Line], *, counted: bool) -> str:
    return json_lines(
        [
            {
                "loss": loss,
                "learning_rate": 1e-4,
                "global_step/max_steps": f"{s}/300",
                "epoch": s / 100,
            }
            | ({"num_input_tokens_seen": t} if counted else {})
            for s, t, loss in lines
        ]
    )


def state(lines: Sequence[Line], *, counted: bool) -> str:
    entries = [
        {"loss": loss, "learning_rate": 1e-4, "step": s, "epoch": s / 100}
        | ({"num_tokens": float(t)} if counted else {})
        for s, t, loss in lines
    ]
    return json.dumps({"log_history": entries, "global_step": lines[-1][0], "max_steps": 300})


def stdout(lines: Sequence[Line], *, counted: bool) -> str:
    head = "  Num Epochs = 3\n  Total optimization steps = 300\n"
    told = [
        {"loss": loss, "learning_rate": 1e-4}
        | ({"num_tokens": float(t)} if counted else {})
        | {"epoch": s / 100}
        for s, t, loss in lines
    ]
    return head + "".join(f"{each}\n" for each in told)


WRITERS = [llamafactory, swift, state, stdout]


@pytest.mark.parametrize("writer", WRITERS)
def test_counted_tokens_are_d_and_give_the_schedule_its_length(
    writer: Callable[..., str], tmp_path: Path
) -> None:
    lines = curve()
    tables = ingest(tmp_path / "s", {"a.log": writer(lines, counted=True)}, FACTS)
    assert tables.curves["step"].to_list() == [s for s, _, _ in lines]
    assert tables.curves["tokens"].to_list() == [t for _, t, _ in lines]
    run = row(tables.runs, "run", "a")
    assert run["reason"] is None
    assert run["status"] == "finished"
    assert run["schedule_tokens"] == pytest.approx(lines[-1][1], rel=1e-12)
    assert "tokens of a step differ: by their mean," in run["notes"]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_run_that_was_cut_off_has_the_share_of_its_steps(
    writer: Callable[..., str], tmp_path: Path
) -> None:
    lines = curve(200)
    tables = ingest(tmp_path / "s", {"a.log": writer(lines, counted=True)}, FACTS)
    run = row(tables.runs, "run", "a")
    assert run["status"] == "truncated"
    assert lines[-1][1] / run["schedule_tokens"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("writer", [llamafactory, swift, state, stdout])
def test_a_log_that_counts_none_says_why_and_what_helps(
    writer: Callable[..., str], tmp_path: Path
) -> None:
    content = writer(curve(), counted=False)
    write(tmp_path / "s", {"a.log": content}, FACTS)
    (run,) = inspect(tmp_path / "s").as_json()["runs"]
    assert (
        "only the trainer can count them, with include_num_input_tokens_seen: true"
        in (run["left_out"])
    )
    assert run["left_out"].endswith("tokens_per_step: <tokens in one optimiser step>}]")
    told = ingest(tmp_path / "t", {"a.log": content}, FACTS + "  tokens_per_step: 4096\n")
    assert row(told.runs, "run", "a")["reason"] is None


def test_lines_that_are_counted_are_no_updates(tmp_path: Path) -> None:
    """Without a header TRL's lines tell tokens and no step: every tenth update has one."""
    even = [(s, 4096 * s, loss) for s, _, loss in curve()]
    text = stdout(even, counted=True).split("\n", 2)[2]
    write(tmp_path / "s", {"a.log": text}, FACTS)
    (run,) = inspect(tmp_path / "s").as_json()["runs"]
    (missing,) = run["missing"]
    assert missing["line"] == "tokens_per_step: <tokens in one optimiser step>"
    told = FACTS + "  tokens_per_step: 4096\n"
    tables = ingest(tmp_path / "t", {"a.log": text}, told)
    run = row(tables.runs, "run", "a")
    assert (run["reason"], run["status"], run["tokens"]) == (None, "finished", 1228800.0)


STEPS = range(10, 310, 10)


def a_fall(step: int) -> float:
    return round(2 + 8 / step**0.5, 4)


def steps_of_swift() -> str:
    """What ms-swift prints beside its progress bar."""
    return "".join(
        f"{{'loss': {a_fall(s)}, 'learning_rate': 1e-4, 'epoch': {s / 300:.4f}, "
        f"'global_step/max_steps': '{s}/300', 'percentage': '{s / 3:.2f}%'}}\n"
        for s in STEPS
    )


def banner_of_unsloth() -> str:
    head = (
        "   \\\\   /|    Num examples = 38,400 | Num Epochs = 1 | Total steps = 300\n"
        "\\        /    Data Parallel GPUs = 1 | Total batch size (8 x 16 x 1) = 128\n"
    )
    lines = (f"{{'loss': {a_fall(s)}, 'epoch': {s / 300:.4f}}}\n" for s in STEPS)
    return head + "".join(lines)


def swift_on_megatron() -> str:
    last = {"eval_lm loss": 2.5, "iteration": "300/300"}
    rows = [
        {"lm loss": a_fall(s), "iteration": f"{s}/300", "consumed_samples": s * 128} for s in STEPS
    ]
    return json_lines([*rows, last])


SEQ_LEN = "architecture: {seq_len: 1024}"
BATCH = "tokens_per_step: 131072"


@pytest.mark.parametrize(
    ("name", "text", "fact"),
    [
        ("a.log", steps_of_swift, BATCH),
        ("a.log", banner_of_unsloth, SEQ_LEN),
        ("logging.jsonl", swift_on_megatron, SEQ_LEN),
    ],
)
def test_steps_beside_epochs_are_read(
    name: str, text: Callable[[], str], fact: str, tmp_path: Path
) -> None:
    tables = ingest(tmp_path, {name: text()}, FACTS + f"  {fact}\n")
    losses = tables.curves.drop_nulls("train_loss")
    assert losses["step"].to_list() == [*STEPS]
    assert losses["train_loss"].to_list() == [a_fall(s) for s in STEPS]
    (run,) = tables.runs.to_dicts()
    assert (run["tokens"], run["status"]) == (300 * 131072, "finished")
    if text is swift_on_megatron:
        assert tables.evals["value"].to_list() == [2.5]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("counted", [True, False])
def test_what_comes_again_is_counted_once(
    writer: Callable[..., str], counted: bool, tmp_path: Path
) -> None:
    """Three passes, two and a half, and one; and one whose data sweep.yaml knows."""
    rules = FACTS if counted else FACTS + "  tokens_per_step: 4096\n"
    rules += "runs: [{match: known*, unique_tokens: 5e5}]\n"
    lasts = {"three": 300, "more": 250, "one": 100, "known": 290}
    files: dict[str, str | bytes] = {
        # a log that begins as a longer one does would be a copy of it
        f"{name}.log": writer([(s, t, loss + last / 1e3) for s, t, loss in curve(last)],
                              counted=counted)
        for name, last in lasts.items()
    }  # fmt: skip
    tables = ingest(tmp_path / "s", files, rules)
    for name, last in lasts.items():
        run = row(tables.runs, "run", name)
        tokens = curve(last)[-1][1] if counted else 4096 * last
        unique = {"one": None, "known": 5e5}.get(name, 100 * tokens / last)
        assert run["unique_tokens"] == (unique and pytest.approx(unique))
        told = f"trained on {last / 100:.3g} passes over its data, "
        assert (told in (run["notes"] or "")) == (name != "one")

"""Lines of nobody's format: read by their names, or asked about where these leave a guess."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.config.sidecar import TableMap
from isoflop.ingest.formats import pairs, scan
from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading.named_values import Lines, form_of
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.patterns import readable_formats, recognise
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from tests.ingest.reading.test_textlog import mutants
from tests.ingest.samples import ingest, nanogpt, row, write
from tests.ingest.test_formats import FIXTURES, logs
from tests.tiers import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from isoflop.ingest.reading.blocks import Block
    from isoflop.ingest.reading.parsed import Parsed

STEPS = range(10, 400, 10)
FACTS = """title: t
facts:
  params: {total: 1.0e+6}
  tokens_per_step: 1000
  schedule: {kind: constant}
"""
TOLD = FACTS + "  loss_unit: nats_per_token\n  loss_kind: instant\n"


def loss(step: int) -> float:
    return round(2.0 + 8.0 / math.sqrt(step), 4)


def log(line: Callable[[int], str]) -> str:
    return "using device: cuda, 8 GPUs\n" + "".join(f"{line(step)}\n" for step in STEPS)


def read(content: str, folder: Path, table: TableMap | None = None) -> Parsed:
    path = folder / "a.log"
    path.write_text(content)
    file = RawFile.at(path, folder)
    assert recognise(file.sample()).format == "pairs"
    return gather(scan("pairs", file, table))


READ = {
    "step {s}, loss: {l}, lr: 3e-4": ["step", "train_loss", "lr"],
    "[2026-01-01 10:00:00] iter={s} loss={l} tokens={s}.5e6": ["step", "tokens", "train_loss"],
    "Step {s} | Loss {l} | Tokens {s},234": ["step", "tokens", "train_loss"],
    "2026-01-01 10:00:00,123 - __main__ - INFO - step {s}/5000 (2%) loss {l} dt 20.1ms": [
        "step",
        "train_loss",
    ],
    "{{'loss': {l}, 'step': {s}, 'tok/s': 123, 'ms per step': 99}}": ["step", "train_loss"],
    "INFO:tensorflow:global step {s}: loss = {l} (49.73 sec/step)": ["step", "train_loss"],
    "Epoch 1/2, step:{s}/1487, loss:{l}, loss_scale:32768.0, step cost:182ms": [
        "step",
        "train_loss",
    ],
    "STEP {s} LOSS={l} ACC=0.25": ["step", "train_loss"],
    "{{'step': {s}, 'loss': np.float32({l}), 'tokens': np.int64({s}234)}}": [
        "step",
        "tokens",
        "train_loss",
    ],
    "step {s} loss tensor({l}, device='cuda:0', grad_fn=<NllLossBackward0>)": [
        "step",
        "train_loss",
    ],
    "step={s} loss=Array({l}, dtype=float32)": ["step", "train_loss"],
    "step {s} loss {l} lr 0.00009 accum 8 +25.5s elapsed 9.4s": ["step", "train_loss", "lr"],
    "rank 0: global step {s} train loss = {l} eval loss = {l} | 1234 tok/s": [
        "step",
        "train_loss",
        "eval_loss",
    ],
    "update: num_updates -> {s}; training loss -> {l}; took 10:00:01": ["step", "train_loss"],
}


@pytest.mark.parametrize("line", READ)
def test_lines_are_read_by_the_names_that_tables_have(line: str, tmp_path: Path) -> None:
    parsed = read(log(lambda s: line.format(s=s, l=loss(s))), tmp_path)
    assert (parsed.lines_unread, parsed.left_out) == (0, ())
    train = parsed.records.filter(kind="train")
    assert train["step"].to_list() == list(STEPS)
    assert train["train_loss"].to_list() == [loss(s) for s in STEPS]
    taken = re.findall(r"(\w+): ", parsed.remarks[0].partition("names: ")[2])
    assert sorted(taken) == sorted(READ[line])
    if "tokens" in taken:
        last = f"{STEPS[-1]}.5e6" if "iter=" in line else f"{STEPS[-1]}234"
        assert train["tokens"][-1] == float(last)


TRAINERS = {
    "CLU": "I1127 10:22:26.0 1399 logging_writer.py:48] [{s}] learning_rate=0.1, loss={l}",
    "MMEngine": "2026/11/01 - mmengine - INFO - Iter(train) [ {s}/720]  lr: 1e-4  loss: {l}",
    "MindFormers": "- INFO - {{ Epoch:[  1/  1], step:[   {s}/ 1200], loss: {l}, lr: 0.1}}",
    "Pax": "[PAX STATUS] step_i: {s}, training loss: {l}",
    "PyTorch's tutorials": "Epoch [1/1], Step [{s}/600], Loss: {l}",
    "batches": "Epoch 1, Batch {s}/500, Loss: {l}",
    "finished": "Finished training step {s}. Batch size: 512, Loss: {l}",
}


@pytest.mark.parametrize("name", TRAINERS)
def test_steps_without_a_name_of_theirs_are_read(name: str, tmp_path: Path) -> None:
    parsed = read(log(lambda s: TRAINERS[name].format(s=s, l=loss(s))), tmp_path)
    train = parsed.records.filter(kind="train")
    assert train["step"].to_list() == list(STEPS)
    assert train["train_loss"].to_list() == [loss(s) for s in STEPS]


@pytest.mark.parametrize(
    "line",
    [
        "Epoch:[{e}/4]({i}/100), loss: {l}, lr: 0.0001, epoch_time: 28.3min",
        "| epoch   {e} |    {i}/  100 batches | lr 0.0001 | ms/batch 12 | loss {l} | ppl 27092.7",
        "Epoch [{e}/4], Step [{i}/100], Loss: {l}",
    ],
)
def test_batches_of_epochs_are_counted_on_by_the_map_that_is_proposed(
    line: str, tmp_path: Path
) -> None:
    """minimind, PyTorch's word_language_model and its tutorials print so."""
    text = log(lambda s: line.format(e=(s - 1) // 100 + 1, i=(s - 1) % 100 + 1, l=loss(s)))
    with pytest.raises(RefusedError, match="counts anew in every epoch") as refused:
        read(text, tmp_path)
    table = TableMap.model_validate(yaml.safe_load(str(refused.value.proposal))["table"])
    train = read(text, tmp_path, table).records.filter(kind="train")
    assert train["step"].to_list() == list(STEPS)


def test_a_unit_behind_a_loss_is_no_name_of_what_follows(tmp_path: Path) -> None:
    text = log(lambda s: f"step {s} loss {loss(s)} bpb tokens {s}000")
    with pytest.raises(
        RefusedError, match=re.escape("'loss (bpb)'") + "|loss \\(bpb\\)"
    ) as refused:
        read(text, tmp_path)
    proposal = str(refused.value.proposal).replace("<bytes of a token>", "4.5")
    table = TableMap.model_validate(yaml.safe_load(proposal)["table"])
    parsed = read(text, tmp_path, table)
    assert parsed.records["tokens"].to_list() == [s * 1000 for s in STEPS]
    assert parsed.records["train_loss"].to_list() == [4.5 * loss(s) for s in STEPS]
    assert parsed.runs[0].facts[0].loss_unit == "bits_per_token"


@pytest.mark.parametrize(
    "words",
    [
        "Held-out | step: {s} | loss: {l}",
        "Validation at step {s}: loss {l}",
        "eval: step: {s}, loss: {l}",
        "Step... ({s} | Eval Loss: {l} | Eval Perplexity: 7.5)",
    ],
)
def test_lines_that_evaluate_are_evaluations(words: str, tmp_path: Path) -> None:
    text = log(
        lambda s: (
            (words.format(s=s, l=loss(s)) + "\n") * (s % 50 == 0) + f"step: {s}, loss: {loss(s)}"
        )
    )
    records = read(text, tmp_path).records
    evaluated = records.filter(kind="eval")
    assert evaluated["step"].to_list() == [s for s in STEPS if s % 50 == 0]
    assert evaluated["value"].to_list() == [loss(s) for s in STEPS if s % 50 == 0]
    assert records.filter(kind="train")["step"].to_list() == list(STEPS)


REFUSED_BY_NAME = {
    "a progress bar of Keras": "120/120 - 12s - 60ms/step - acc: 0.1 - loss: {l} - val_loss: 5",
    "the progress of Levanter": "Progress on:train 0.{s}kit/1.20kit rate:1.2it/s postfix:loss={l}",
}


@pytest.mark.parametrize("name", REFUSED_BY_NAME)
def test_what_no_map_can_read_is_refused_by_name(name: str) -> None:
    text = log(lambda s: REFUSED_BY_NAME[name].format(s=s, l=loss(s)))
    told = recognise(text.encode())
    assert told.format == name
    assert "drop in" in str(told.refused)


@pytest.mark.parametrize("before", ["", "2026-11-01 10:00:10,123 INFO train.py:88 "])
def test_thousands_marks_make_no_table_of_a_log(before: str, tmp_path: Path) -> None:
    lines = (f"{before}Step: {s} | Loss: {loss(s)} | Tokens: {s},720\n" for s in STEPS)
    train = read("".join(lines), tmp_path).records.filter(kind="train")
    assert train["step"].to_list() == list(STEPS)
    assert train["tokens"][-1] == 390_720


@pytest.mark.parametrize("label", ["[rank{}]: ", "[default{}]:", "{}: ", "worker-{}: "])
def test_the_lowest_rank_s_lines_are_read(label: str, tmp_path: Path) -> None:
    parsed = read(of_ranks(lambda s, r: f"{label.format(r)}step {s} loss {batch(s, r)}"), tmp_path)
    assert parsed.records["train_loss"].to_list() == [batch(s, 0) for s in STEPS]
    assert "of the lines of ranks 0, 1, 2 those of 0 are read" in parsed.remarks


def batch(step: int, rank: int) -> float:
    """Give the loss of a rank's batch."""
    return round(loss(step) + 0.02 * math.sin(13 * step + 78 * rank), 4)


def of_ranks(line: Callable[[int, int], str]) -> str:
    return "".join(f"{line(step, rank)}\n" for step in STEPS for rank in (2, 0, 1))


def test_tokens_that_ranks_count_are_asked_about(tmp_path: Path) -> None:
    text = of_ranks(lambda s, r: f"[rank{r}] step {s} loss {batch(s, r)} tokens {s}000")
    with pytest.raises(RefusedError, match="3 ranks print the same 'tokens' at a step") as refused:
        read(text, tmp_path)
    proposal = str(refused.value.proposal)
    of_all = proposal.replace('{"column": "tokens", "scale": 3}', '"tokens"')
    assert of_all != proposal
    for words, tokens in ((proposal, 3000), (of_all, 1000)):
        table = TableMap.model_validate(yaml.safe_load(words)["table"])
        records = read(text, tmp_path, table).records
        assert records["tokens"].to_list() == [tokens * s for s in STEPS]
        assert records["train_loss"].to_list() == [batch(s, 0) for s in STEPS]


@pytest.mark.parametrize("label", ["[rank{}]: ", "[{}] "])
@pytest.mark.parametrize("last", [1, 7])
def test_evaluations_that_another_rank_prints_are_read(
    label: str, last: int, tmp_path: Path
) -> None:
    trained, evaluated = label.format(0), label.format(last)
    text = "".join(
        f"{trained}step {s} loss {loss(s)} tokens {s}000\n"
        + f"{evaluated}step {s} val_loss {loss(s)}\n" * (s % 50 == 0)
        for s in STEPS
    )
    records = read(text, tmp_path).records
    assert records.filter(kind="train")["step"].to_list() == list(STEPS)
    assert records.filter(kind="eval")["step"].to_list() == [s for s in STEPS if s % 50 == 0]


@pytest.mark.parametrize(
    "line",
    [
        lambda s, r: f"{r}: step {s} n_params {10**7 + r} loss {batch(s, r)}",
        lambda s, r: f"[{r}] seed {r} step {s} loss {batch(s, r)}",
        lambda s, r: f"worker-{r}: step {s} loss {batch(s, r)} lr {3e-4 * (r + 1):.0e}",
        lambda s, r: f"{r}: step {s} loss {batch(s, r)} tokens {s}{r}00",
        lambda s, r: f"{r}: step {s} loss {batch(s, r) + r / 10:.4f}",
        lambda s, r: f"{r}: step {s} loss {batch(s, r)}" + f" lr 0.{r}" * (r > 0),
        lambda s, r: f"{r}: step {s} loss {batch(s, r)}" + f" val_loss {loss(s)}" * (r > 0),
    ],
    ids=["N", "seed", "rate", "tokens", "losses", "names", "evaluations"],
)
def test_runs_beside_each_other_are_no_ranks(
    line: Callable[[int, int], str], tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match="is no higher than on the line before on 78 of 117"):
        read(of_ranks(line), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "Step {s} | Batch {s}/640 | loss: {l} | lr: 6e-04 | tokens: {s}000",
        "epoch 1 batch {s}/1200 step {s} loss {l}",
        "step {s}, batch 8/128, loss {l}",
        "Epoch [1/1], Batch [{s}/1200], global_step {s}, loss {l}",
        "INFO Epoch [1/1] [{s}/1200], step: {s}, loss {l}",
        "step {s} loss {l} update 0.0{s}",
        "step {s} loss {l} updates 10",
        "step {s} loss {l} updates {s}",
    ],
)
def test_batches_and_updates_beside_a_step_are_no_rivals_of_it(line: str, tmp_path: Path) -> None:
    parsed = read(log(lambda s: line.format(s=s, l=loss(s))), tmp_path)
    assert parsed.records["step"].to_list() == list(STEPS)
    assert parsed.records["train_loss"].to_list() == [loss(s) for s in STEPS]


def test_numbers_of_epochs_are_no_ranks(tmp_path: Path) -> None:
    lines = (f"{s // 200}: step {s} loss {loss(s)}\n" for s in STEPS)
    assert read("".join(lines), tmp_path).records["step"].to_list() == list(STEPS)


REFUSED = {
    "step {s} loss {l} ({l})": "several losses, 'loss', 'loss in brackets'",
    "step {s} loss {l} aux_loss 0.01": "several losses, 'loss', 'aux_loss'",
    "step {s} train_loss {l} lm_loss {l}": "several losses, 'train_loss', 'lm_loss'",
    "step {s} train: loss {l} | val: loss {l}": "train: loss, val: loss, but none is known",
    "step {s} avg loss {l} val loss {l}": "a loss that may be another's, 'avg loss'",
    "[val] step {s} loss {l}": "none is known as a loss",
    "step {s} avg loss {l}": "none is known as a loss",
    "step {s} loss {l} updates {s}0": "several steps, 'step', 'updates'",
    "iter {s} step 3 loss {l}": "several steps, 'step', 'iter'",
    "Iter: {s}0/4000 | global iter: {s}/400 | loss: {l}": "several steps, 'global_iter', 'iter'",
    "step {s} loss {l} tokens 512": "'tokens' does not rise with 'step'",
    "step {s} loss {l} tokens {s} total_tokens {s}00": "several counts of tokens",
    "step 5 loss {l}": "'step' is no higher than on the line before on 38 of 39 lines",
    "step {s} loss {l}%": "39 values of 'loss' are no plain numbers",
    "step {s} loss {l}±.1": "39 values of 'loss' are no plain numbers",
    "step {s} | train {l} | val {l}": "if 'train', 'val' are losses, and no accuracies, say so",
    "step {s} test {l}": "they name no loss: if 'test' is a loss, and no accuracy, say so",
    "[c4] step {s} train {l}": "they name no loss: if 'train' is a loss",
    "iter {s} ppl {l}": "the names iter, ppl, but none is known as a loss",
    "step {s} loss 3,{s}": "may have a decimal or a thousands mark (first in line 2: '3,10')",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_names_do_not_settle_is_asked_for(line: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=re.escape(REFUSED[line])):
        read(log(lambda s: line.format(s=s, l=loss(s))), tmp_path)


def train_and_val(step: int) -> str:
    return f"[{'val' if step % 50 == 0 else 'train'}] step {step} loss {loss(step)}"


def micro_steps(step: int) -> str:
    return f"micro_step {4 * step} | step {step} | loss {loss(step)}"


def optimizer_steps(step: int) -> str:
    return f"step={4 * step} optimizer_step={step} loss={loss(step)}"


def global_steps(step: int) -> str:
    return f"step {4 * step} global_step {step} loss {loss(step)}"


def two_axes(step: int) -> str:
    return f"step {step} val loss {loss(step)}" if step % 50 == 0 else f"iter {step} loss 3.5"


def two_kinds(step: int) -> str:
    """A fork of nanoGPT prints so; where it evaluates, it names the step in another way."""
    line = f"iter {step}:  loss {loss(step)},  time 1123.28ms, 116,642 tok/s,  lr 7.00e-05"
    more = f"Step {step}: train loss {loss(step)}, val loss {loss(step)}\n"
    return (more if step % 50 == 0 else "") + line


def epochs(step: int) -> str:
    return f"Epoch {step // 100 + 1} step {step % 100} loss {loss(step)}"


def training_epochs(step: int) -> str:
    """llama-recipes prints so."""
    epoch, inner = step // 100 + 1, step % 100
    return f"Training Epoch: {epoch}/4, step {inner}/100 completed (loss: {loss(step)})"


def sets(step: int) -> str:
    return f"step {step} | train {loss(step)}" + f" | val {loss(step)}" * (step % 50 == 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (sets, "they name no loss: if 'train', 'val' are losses"),
        (lambda s: f"iter {s} ppl {math.exp(loss(s)):.2f}", "the names iter, ppl, but none"),
        (train_and_val, "the names step, train: loss, val: loss, but none is known as a loss"),
        (micro_steps, "several steps, 'step', 'micro_step'"),
        (optimizer_steps, "several steps, 'optimizer_step', 'step'"),
        (global_steps, "several steps, 'global_step', 'step'"),
        (two_axes, "several steps, 'step', 'iter'"),
        (two_kinds, "several losses, 'loss', 'train loss': say"),
        (epochs, "'step' counts anew in every epoch (3 times)"),
        (training_epochs, "'step' counts anew in every epoch (3 times)"),
        (lambda s: f"step {s} loss {loss(s)} (5.5)", "several losses"),
        (lambda s: f"step {s} loss {loss(s)} tokens 512", "does not rise"),
    ],
)
def test_the_map_that_a_refusal_proposes_is_read(
    line: Callable[[int], str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match=re.escape(said)) as refused:
        read(log(line), tmp_path)
    proposal = re.search(r"\n  table:\n(?:    .*\n?)+", str(refused.value))
    assert proposal is not None
    text = proposal[0].replace("<steps of an epoch>", "100")
    table = TableMap.model_validate(yaml.safe_load(text)["table"])
    parsed = read(log(line), tmp_path, table)
    steps = [s for s in STEPS if line not in {train_and_val, two_axes} or s % 50]
    assert parsed.records.filter(kind="train")["step"].to_list() == steps
    if line in {train_and_val, two_axes, two_kinds, sets}:
        evaluated = parsed.records.filter(kind="eval")["step"].to_list()
        assert evaluated == [s for s in STEPS if s % 50 == 0]


def test_bare_names_of_sets_are_nothing_beside_a_loss(tmp_path: Path) -> None:
    content = log(lambda s: f"step {s} loss {loss(s)}\nstep {s} train 0.5 val 0.25")
    parsed = read(content, tmp_path)
    assert parsed.records["train_loss"].to_list() == [loss(s) for s in STEPS]
    assert parsed.records["kind"].unique().to_list() == ["train"]


def hosts(step: int) -> str:
    return f"node{step % 3}: step {step} loss {loss(step)}"


def test_names_of_machines_are_no_kinds_of_lines(tmp_path: Path) -> None:
    assert read(log(hosts), tmp_path).records.height == len(STEPS)


def test_too_irregular_lines_are_refused(tmp_path: Path) -> None:
    words = "abcdefgijklmnopqrtuvwxyzA"
    with pytest.raises(RefusedError, match="are of 25 kinds by their other words"):
        read(log(lambda s: f"{words[s // 10 % 25]} | step {s} loss {loss(s)}"), tmp_path)
    forms = (f"step {s} loss 3.5 {'x' * s} 3" for s in range(1, 1200))
    with pytest.raises(RefusedError, match="more than 1000 forms"):
        read("".join(f"{line}\n" for line in forms), tmp_path)


def test_unit_and_kind_of_the_losses_are_asked_for_by_name(tmp_path: Path) -> None:
    content = log(lambda s: f"step {s}, loss: {loss(s)}, lr: 3e-4, gnorm 1.5")
    write(tmp_path / "s", {"a.log": content}, FACTS)
    (run,) = inspect(tmp_path / "s").as_json()["runs"]
    asked = {missing["line"].partition(":")[0] for missing in run["missing"]}
    assert asked == {"loss_unit", "loss_kind"}
    assert "loss_unit: nats_per_token" in run["left_out"]
    tables = ingest(tmp_path / "s2", {"a.log": content}, TOLD)
    assert tables.runs["reason"].to_list() == [None]
    assert tables.curves["loss_kind"].unique().to_list() == ["instant"]
    assert tables.curves["tokens"].to_list() == [1000.0 * s for s in STEPS]
    files = dict(tables.files.select("path", "reason").iter_rows())
    assert "columns not read: gnorm" in files["a.log"]


def test_what_stands_aside_is_told(tmp_path: Path) -> None:
    def line(step: int) -> str:
        extra = f"\nfinal val loss {loss(step)}" if step % 100 == 0 else ""
        return f"step {step} loss {'oops' if step == 50 else loss(step)} mem 12.5GB{extra}"

    parsed = read(log(line), tmp_path)
    told = " ".join(parsed.remarks)
    assert "not read, since their lines say no step: 'final val loss' on 3 lines" in told
    assert "38 values of 'mem' are no plain numbers (first in line 2: '12.5'), so it is" in told
    assert parsed.records.height == len(STEPS) - 1


# (the last values of the HF Trainer are one JSON object, which is none with lines behind it)
NO_DIALECTS = ("pairs", "hf_results")


@pytest.mark.parametrize("name", [name for name in readable_formats() if name not in NO_DIALECTS])
def test_every_known_dialect_goes_first(name: str) -> None:
    line = b"step 10 loss 3.25 lr 3e-4\n"
    for path in logs(FIXTURES / name):
        seen = recognise(RawFile.at(path, FIXTURES).sample() + b"\n" + 50 * line)
        assert seen.format == name
        assert seen.runner_up != "pairs"


@pytest.mark.parametrize(
    "text",
    [
        "step: 100\nloss: 3.25\nlr: 3e-4\n" * 5,
        "At step 100 the loss was 3.25, and so on.\n" * 5,
        "steps = 100\nloss = 'mse'\n" * 5,
        "step 10 loss 3.25\n" * 2,
        "step 10 train 3.25\n" * 2,
        "step 10 train 3.25\n" * 9 + "step 10 loss 3.25\n" * 2,
        "step 10 train 97% val 95%\n" * 9,
        "At step 100 of the test, and at step 200 of training, it failed.\n" * 5,
    ],
)
def test_prose_and_settings_are_no_lines_of_values(text: str) -> None:
    assert recognise(text.encode()).format is None


# -- fast and slow ---------------------------------------------------------------------------------


def outcome(blocks: Iterator[Block]) -> tuple[object, ...]:
    try:
        parsed = gather(blocks)
    except RefusedError as refusal:
        return (str(refusal),)
    return (
        parsed.records.rows(), parsed.runs, parsed.lines_unread, parsed.truncated,
        parsed.left_out, parsed.remarks,
    )  # fmt: skip


def assert_same(content: bytes, folder: Path, table: TableMap | None = None) -> None:
    path = folder / "log"
    path.write_bytes(content)
    file = RawFile.at(path, folder)
    fast, slow = (outcome(way(file, table)) for way in (pairs.scan, pairs.read_slowly))
    assert repr(fast) == repr(slow)  # NaN is not itself


CONTENTS = [
    (FIXTURES / "pairs" / "mine.log").read_bytes(),
    *(log(lambda s, line=line: line.format(s=s, l=loss(s))).encode() for line in READ),  # type: ignore[misc]
    *(log(line).encode() for line in (train_and_val, two_axes, epochs, hosts, sets)),
    log(lambda s: f"step {s} loss {'nan' if s > 200 else loss(s)} lr -inf").encode(),
]


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_fast_equals_slow(content: bytes, tmp_path: Path) -> None:
    assert_same(content, tmp_path)
    for mutant in mutants(content, seed=3, count=times(6)):
        assert_same(mutant, tmp_path)


@pytest.mark.parametrize("block", [1, 50, 333])
def test_any_block_boundary(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FIXTURES / "pairs" / "mine.log"
    whole = outcome(pairs.scan(RawFile.at(path, path.parent), None))
    monkeypatch.setattr(pairs, "BLOCK", block)
    monkeypatch.setattr("isoflop.ingest.reading.source.CHUNK", max(1, block // 3))
    assert outcome(pairs.scan(RawFile.at(path, path.parent), None)) == whole
    assert_same(path.read_bytes(), tmp_path)


@settings(max_examples=times(200))
@given(
    st.lists(
        st.sampled_from(
            ["step", "loss", "val", "INFO", " ", "  ", ": ", "=", " | ", "[", "]", ", ", "(", ")",
             "3", "3.5", "-", "1,234", "1e-4", "nan", "inf", ".", "%", "ms", "/", "'", "\t", "±",
             "é", "x1", "_", "+", "->", "7:30", "\x01", "٣"]
        ),
        max_size=14,
    )
)  # fmt: skip
def test_a_line_means_the_same_to_both(words: list[str]) -> None:
    lines = ["step 3 loss 2.5", "".join(["loss ", *words]), "".join(words)]
    fast = {}
    for alike in Lines().alike(lines, 1):
        for place, line in enumerate(alike.rows):
            fast[line] = alike.form, tuple(texts[place] for texts in alike.texts)
    slow = {
        alike.rows[0]: (alike.form, tuple(texts[0] for texts in alike.texts))
        for alike in Lines().alike_one_by_one(lines, 1)
    }
    assert fast == slow


@pytest.mark.parametrize(
    ("line", "told", "kind"),
    [
        ("Step 100 | Loss 3.25", {"Step": True, "Loss": True}, ""),
        ("12:30:00 INFO worker3 - step 1 loss 3", {"step": True, "loss": True}, "worker#"),
        ("step 1 (epoch 2): loss 3 tokens 1.2M", {"step": True, "epoch": True, "loss": True,
                                                  "tokens": False}, ""),
        ("step 1-2 loss 3.2.1 at 7:30", {"step": False, "loss": False, "at": False}, ""),
        ("step 1 loss nan lr inf", {"step": True, "loss": True, "lr": True}, ""),
        ("lr 1 lr 2", {"lr": True, "lr (2)": True}, ""),
        ("step 1 loss 3 (val)", {"step": True, "loss": True}, "val"),
        ("| Eval 4 at step  8000 | valid loss  3.1", {"Eval": True, "step": True,
                                                     "valid loss": True}, ""),
        ("step 7/90 loss 3 | 20 ms", {"step": True, "step of": True, "loss": True}, ""),
    ],
)  # fmt: skip
def test_the_form_of_a_line(line: str, told: dict[str, bool], kind: str) -> None:
    form = form_of(line)
    assert {pair.name: pair.plain for pair in form.pairs} == told
    assert form.kind == kind


@pytest.mark.parametrize("name", ["train/pg_loss", "rollout/reward", "ppo_kl", "policy_loss"])
def test_lines_of_reinforcement_learning_are_no_pretraining(tmp_path: Path, name: str) -> None:
    """A map of their loss was proposed, as slime's `step 0: {'train/loss': ...}` has one."""
    lines = "".join(
        f"[2026-10-01 10:00:00] step {n}: {{'train/loss': {3 - n / 99:.4f}, '{name}': 0.01, "
        f"'train/grad_norm': 0.3}}\n"
        for n in range(50)
    )
    tables = ingest(tmp_path / "s", {"a.log": lines, "o.log": nanogpt()})
    reason = row(tables.files, "path", "a.log")["reason"]
    assert f"'{name}' is of reinforcement learning" in reason
    assert "train_loss" not in reason

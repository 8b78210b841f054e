"""Train runs of a plan and write their raw logs; after a kill the same command goes on.

Runs of one shape are trained together as a pack (pack.py). Each has its log, its schedule and its
checkpoint, so a pack may be put together anew at any time: what a kill left of one goes on in
another, or alone.
"""

from __future__ import annotations

import math
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from isoflop.files import replacing, sweep_up
from isoflop.train.corpus import Split, TrainingWindows, read_split
from isoflop.train.errors import TrainingError
from isoflop.train.evaluation import EvalSet, HeldOut, evaluation_steps, held_out
from isoflop.train.header import (
    header,
    identity,
    planned_facts,
    refuse_another_run,
)
from isoflop.train.model import count_params, initial_weights
from isoflop.train.pack import Pack, RunState, autocasts, initial_state
from isoflop.train.raw_log import RawLog, read_log
from isoflop.train.recipe import read_recipe
from isoflop.train.tokenizer import Tokenized, tokenize_split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.train.plan_file import Plan, PlannedRun

Status = Literal["finished", "diverged", "stopped", "already finished"]

CHECKPOINT_SECONDS = 60.0
EVALUATION_TOKENS = {"cpu": 2_048, "cuda": 262_144}
"""Tokens per forward pass of an evaluation; changes speed only. On a CPU they stay in its cache."""
PEAK_BF16_FLOPS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12}
"""Dense bf16 peak [FLOP/s] by a word in the device's name (NVIDIA's data sheets)."""


@dataclass(frozen=True)
class Folders:
    """Where a training reads and writes."""

    recipes: Path = Path("data/reference/corpora")
    corpora: Path = Path("data/corpora")
    logs: Path = Path("data/raw")
    checkpoints: Path = Path("data/checkpoints")

    def log(self, plan: Plan, run: PlannedRun) -> Path:
        """Path of a run's raw log."""
        return self.logs / plan.sweep / run.role / f"{run.run}.jsonl"

    def checkpoint(self, plan: Plan, run: PlannedRun) -> Path:
        """Path of a run's checkpoint."""
        return self.checkpoints / plan.sweep / f"{run.run}.pt"

    def branch(self, plan: Plan, trunk: str, step: int) -> Path:
        """Path of what a trunk keeps for a cooldown."""
        return self.checkpoints / plan.sweep / f"{trunk}.at{step}.pt"


@dataclass(frozen=True)
class Progress:
    """How training shows itself: a bar on a terminal, plain lines otherwise."""

    say: Callable[[str], None]
    bar: bool


@dataclass(frozen=True)
class Corpus:
    """The text of a plan, read and tokenized once for all its runs."""

    split: Split
    data: Tokenized


def read_corpus(plan: Plan, folders: Folders) -> Corpus:
    """Read, check and tokenize the corpus of a plan."""
    sweep_up(folders.corpora)
    recipe = read_recipe(folders.recipes / f"{plan.corpus.name}.yaml")
    split = read_split(
        recipe,
        folders.corpora / f"{plan.corpus.name}.txt",
        holdout_every=plan.corpus.holdout_every,
    )
    return Corpus(split, tokenize_split(split, plan.tokenizer, folders.corpora))


def has_ended(plan: Plan, run: PlannedRun, folders: Folders) -> bool:
    """Whether a run's log ends with its end line.

    Raises
    ------
    TrainingError : the log was begun by another plan.
    """
    path = folders.log(plan, run)
    lines = read_log(path)
    if lines:
        refuse_another_run(lines[0], planned_facts(plan, run), path)
    return bool(lines) and lines[-1]["kind"] == "end"


def forget(plan: Plan, run: PlannedRun, folders: Folders) -> None:
    """Delete what an ended run needs no more: its checkpoint, and what its trunk kept for it."""
    sweep_up_after(plan, run, folders)
    folders.checkpoint(plan, run).unlink(missing_ok=True)
    if run.trunk is not None and run.trunk_step is not None:
        folders.branch(plan, run.trunk, run.trunk_step).unlink(missing_ok=True)


def sweep_up_after(plan: Plan, run: PlannedRun, folders: Folders) -> None:
    """Delete what a kill within `_save` left; only whoever has the run's log may do so."""
    name = re.escape(run.run)
    state = rf"{name}(?:\.at[0-9]+)?"
    # .partial: of an older trainer
    unnamed = re.compile(rf"\.{state}\.pt\.[0-9]+\.tmp|{state}\.partial")
    for path in folders.checkpoint(plan, run).parent.glob("*"):
        if unnamed.fullmatch(path.name):
            path.unlink(missing_ok=True)


def train_runs(
    plan: Plan,
    runs: Sequence[PlannedRun],
    *,
    corpus: Corpus | None = None,
    folders: Folders,
    device: str,
    progress: Progress,
    compiled: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop_after: int | None = None,
) -> dict[str, Status]:
    """Train runs of one shape together, each from its checkpoint if there is one.

    Parameters
    ----------
    plan, runs : the plan and the runs of it to train; of one architecture and batch.
    corpus : the plan's corpus, if it is read already.
    folders : where corpus, logs and checkpoints are.
    device : cpu, cuda, or auto (cuda where there is one).
    progress : how to report.
    compiled : compile the model: a fifth to a third faster, once half a minute a shape has passed.
    checkpoint_seconds : time between checkpoints, at least.
    stop_after : stop, as a kill would, after this many updates of this call; for tests.

    Returns
    -------
    By run: finished or diverged; stopped if told to; already finished, with nothing touched, if
    its log ends with its end line.

    Raises
    ------
    TrainingError : the runs differ in shape, a log or checkpoint is of another plan, or a cooldown
        comes before its trunk.
    RawLogError : another process is training one of the runs.
    """
    first = runs[0]
    for run in runs:
        if (run.architecture, run.tokens_per_step) != (first.architecture, first.tokens_per_step):
            raise TrainingError(
                f"{run.run} and {first.run} differ in shape or batch; train them one by one"
            )
    statuses: dict[str, Status] = {}
    with ExitStack() as stack:
        open_runs = []
        for run in runs:
            log = stack.enter_context(RawLog(folders.log(plan, run)))
            # read once the log is locked: another process may have ended it a moment ago
            if has_ended(plan, run, folders):
                progress.say(f"{run.run}: already finished: {folders.log(plan, run)} has its end")
                forget(plan, run, folders)
                statuses[run.run] = "already finished"
            else:
                sweep_up_after(plan, run, folders)
                open_runs.append((run, log))
        if open_runs:
            corpus = corpus or read_corpus(plan, folders)
            training = _Training(
                plan, open_runs, corpus, folders, progress, device=device, compiled=compiled
            )
            torch.set_flush_denormal(True)  # vanishing moments cost a CPU dozens of cycles each
            try:
                statuses |= training.train(checkpoint_seconds, stop_after)
            finally:
                torch.set_flush_denormal(False)  # a mode of the processor, not of this function
    return statuses


@dataclass
class _Member:
    """One run of a pack, beside its state."""

    run: PlannedRun
    log: RawLog
    every: int
    """Steps between training lines."""
    evaluations: frozenset[int]
    windows: TrainingWindows
    loss_count: int = 0
    seconds: float = 0.0
    """Its share of the pack's time so far, of former processes too."""
    lap_seconds: float = 0.0
    """Time since its last training line, evaluations left out."""
    lap_steps: int = field(default=0)


class _Training:
    """A pack in training, with its logs and checkpoints."""

    def __init__(
        self,
        plan: Plan,
        runs: Sequence[tuple[PlannedRun, RawLog]],
        corpus: Corpus,
        folders: Folders,
        progress: Progress,
        *,
        device: str,
        compiled: bool,
    ) -> None:
        self.plan, self.folders, self.progress = plan, folders, progress
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        run = runs[0][0]
        shape = run.architecture.architecture()
        self.tokens: Tensor | None = None
        if self.on_gpu:
            # tf32 only where bfloat16 does the products anyway
            exact = not autocasts(plan.precision, self.device)
            torch.set_float32_matmul_precision("highest" if exact else "high")
            # the text lies on the card, which picks the windows itself
            self.tokens = torch.from_numpy(corpus.data.train.astype(np.int32)).to(self.device)
            self.span = torch.arange(shape.seq_len + 1, device=self.device)
        self.rows = run.tokens_per_step // shape.seq_len
        _check_params(run)
        self.held_out: HeldOut = held_out(
            corpus.data, plan.evaluation, seq_len=shape.seq_len, device=self.device
        )
        self.members = [self._member(run, log, corpus) for run, log in runs]
        self.compiled = compiled
        begun = [self._begin(member, corpus, len(runs)) for member in self.members]
        self.loss_sums = torch.tensor([loss for _, loss in begun], device=self.device)
        self.pack = Pack(
            shape,
            [state for state, _ in begun],
            plan.optimizer,
            qk_norm=run.architecture.qk_norm,
            device=self.device,
            precision=plan.precision,
            compiled=compiled,
        )

    def _member(self, run: PlannedRun, log: RawLog, corpus: Corpus) -> _Member:
        seq_len = run.architecture.seq_len
        return _Member(
            run,
            log,
            every=max(1, round((run.steps - run.first_step) / self.plan.log_lines)),
            evaluations=evaluation_steps(run, self.plan.evaluation),
            windows=TrainingWindows(corpus.data.train, seq_len=seq_len, seed=run.seed_of_order),
        )

    def _begin(self, member: _Member, corpus: Corpus, packed: int) -> tuple[RunState, float]:
        """Begin a run's log, or go on with it: its state, and its losses since the last line."""
        plan, run, folders = self.plan, member.run, self.folders
        log_path, checkpoint = folders.log(plan, run), folders.checkpoint(plan, run)
        facts = header(
            plan,
            run,
            split=corpus.split,
            data=corpus.data,
            held_out=self.held_out,
            epochs=run.tokens / (member.windows.count * run.architecture.seq_len),
            device=self.device,
            packed_with=packed,
            compiled=self.compiled,
        )
        lines = read_log(log_path)
        if not lines:
            checkpoint.unlink(missing_ok=True)  # of a log that was moved away
            member.log.write(facts)
            return self._beginning(run), 0.0
        refuse_another_run(lines[0], facts, log_path)
        loss_sum = 0.0
        if checkpoint.exists():
            saved = _load(checkpoint, run)
            state = RunState.from_dict(saved["state"])
            member.seconds, member.loss_count = saved["seconds"], saved["loss_count"]
            loss_sum = saved["loss_sum"]
        else:
            state = self._beginning(run)
        member.log.write({"kind": "resume", "step": state.step, "device": facts["device"]})
        self.progress.say(f"{run.run}: resumed at step {state.step:,} of {run.steps:,}")
        return state, loss_sum

    def _beginning(self, run: PlannedRun) -> RunState:
        """Make the state a run begins with: its seed's weights, or what its trunk kept."""
        if run.trunk is None or run.trunk_step is None:
            shape = run.architecture
            return initial_state(
                shape.architecture(), qk_norm=shape.qk_norm, seed=run.seed_of_weights
            )
        path = self.folders.branch(self.plan, run.trunk, run.trunk_step)
        if not path.exists():
            raise TrainingError(
                f"{path}: is absent, so {run.run} has nothing to branch off; train {run.trunk} "
                f"first (its log must end after this file was deleted: move it away in that case)"
            )
        trunk = self.plan.run_named(run.trunk, source=f"the plan of {self.plan.sweep}")
        return RunState.from_dict(_load(path, trunk)["state"])

    def train(self, checkpoint_seconds: float, stop_after: int | None) -> dict[str, Status]:
        """Train all runs to their ends, or stop before if told to."""
        statuses: dict[str, Status] = {}
        saved = time.perf_counter()
        left = max(m.run.steps - s for m, s in zip(self.members, self.pack.steps, strict=True))
        names = ", ".join(member.run.run for member in self.members)
        with tqdm(total=left, desc=names[:60], unit="step", disable=not self.progress.bar) as bar:
            done = 0
            self.lapped = time.perf_counter()
            while self.members and (stop_after is None or done < stop_after):
                norms = self.update()
                done += 1
                bar.update()
                for member in self.members:
                    member.lap_steps += 1
                self.lap()
                statuses |= self.log_step(norms)
                if time.perf_counter() - saved >= checkpoint_seconds:
                    self.save()
                    saved = time.perf_counter()
        self.save()
        return statuses | {member.run.run: "stopped" for member in self.members}

    def lap(self) -> None:
        """Count the time since the last lap as training.

        A GPU works behind the program's back, so its time is that to the next number read from it.
        """
        now = time.perf_counter()
        for member in self.members:
            member.seconds += (now - self.lapped) / len(self.members)
            member.lap_seconds += now - self.lapped
        self.lapped = now

    def update(self) -> Tensor:
        """Make one update of every run; returns the norms of the gradients before clipping."""
        pairs = list(zip(self.members, self.pack.steps, strict=True))
        batch = self.windows([(member, step * self.rows) for member, step in pairs])
        losses, norms = self.pack.update(batch, [m.run.rate(step + 1) for m, step in pairs])
        # summed on the device: reading a number at every step would stall a GPU
        self.loss_sums += losses
        for member in self.members:
            member.loss_count += 1
        return norms

    def windows(self, firsts: Sequence[tuple[_Member, int]]) -> Tensor:
        """Give each run the windows from its window of that number: (runs, rows, time + 1)."""
        if self.tokens is None:
            rows = [member.windows.batch(first, self.rows) for member, first in firsts]
            return torch.from_numpy(np.stack(rows))
        starts = [member.windows.starts(first, self.rows) for member, first in firsts]
        places = torch.from_numpy(np.stack(starts)).pin_memory()
        places = places.to(self.device, non_blocking=True)[..., None] + self.span
        return self.tokens[places].long()

    def log_step(self, norms: Tensor) -> dict[str, Status]:
        """Log what is due after an update, and let runs that have ended go."""
        statuses: dict[str, Status] = {}
        due = []
        for place, (member, step) in enumerate(zip(self.members, self.pack.steps, strict=True)):
            run = member.run
            if step % member.every == 0 or step == run.steps:
                loss = self.log_training(place, float(norms[place]))
                if not math.isfinite(loss):
                    statuses[run.run] = "diverged"
            if step in member.evaluations and run.run not in statuses:
                due.append(place)
            if step in run.branches and run.run not in statuses:
                self.save_branch(place)
        if due:
            self.log_evaluations(due)
        for member, step in zip(self.members, self.pack.steps, strict=True):
            if step == member.run.steps:
                statuses.setdefault(member.run.run, "finished")
        self.let_go(statuses)
        return statuses

    def let_go(self, statuses: dict[str, Status]) -> None:
        """End the runs that have a status, and go on with the others."""
        for place, member in enumerate(self.members):
            if member.run.run in statuses:
                self.end(place, statuses[member.run.run])
        if statuses:
            places = [p for p, m in enumerate(self.members) if m.run.run not in statuses]
            self.members = [self.members[place] for place in places]
            self.pack.keep(places)
            chosen = torch.tensor(places, dtype=torch.int64, device=self.device)
            self.loss_sums = self.loss_sums[chosen]

    def log_training(self, place: int, norm: float) -> float:
        """Log the mean loss since the line before."""
        member, step = self.members[place], self.pack.steps[place]
        run = member.run
        loss = float(self.loss_sums[place]) / member.loss_count
        self.lap()
        member.log.write(
            {
                "kind": "train",
                "step": step,
                "tokens": step * run.tokens_per_step,
                "train_loss": loss,
                "lr": run.rate(step),
                "grad_norm": norm,
                "tokens_per_second": member.lap_steps * run.tokens_per_step / member.lap_seconds,
            }
        )
        self.loss_sums[place] = 0.0
        member.loss_count, member.lap_seconds, member.lap_steps = 0, 0.0, 0
        return loss

    def log_evaluations(self, places: Sequence[int]) -> None:
        """Evaluate and log; the time it takes is not in the training speeds."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        self.lap()
        due: dict[str, tuple[EvalSet, list[int]]] = {}
        for place in places:
            for chosen in self.held_out.sets_at(self.pack.steps[place], self.members[place].run):
                due.setdefault(chosen.name, (chosen, []))[1].append(place)
        for chosen, members in due.values():
            began = time.perf_counter()
            rows = max(1, EVALUATION_TOKENS[self.device.type] // (chosen.windows.shape[1] - 1))
            per_run = max(1, rows // len(members))
            losses = self.pack.evaluate(members, chosen.windows, rows=per_run)
            seconds = (time.perf_counter() - began) / len(members)
            for place, loss in zip(members, losses, strict=True):
                member, step = self.members[place], self.pack.steps[place]
                member.seconds += seconds
                tokens = step * member.run.tokens_per_step
                member.log.write(
                    {
                        "kind": "eval",
                        "step": step,
                        "tokens": tokens,
                        "eval_set": chosen.name,
                        "loss": loss,
                        "bits_per_byte": chosen.bits_per_byte(loss),
                    }
                )
                if not self.progress.bar:
                    self.progress.say(
                        f"{member.run.run}: step {step:,} of {member.run.steps:,}, {tokens:,} "
                        f"tokens, {chosen.name} loss {loss:.4f}"
                    )
        self.lapped = time.perf_counter()

    def end(self, place: int, status: Status) -> None:
        """Write the end line, and forget the checkpoint."""
        member, step = self.members[place], self.pack.steps[place]
        run = member.run
        tokens = step * run.tokens_per_step
        line: dict[str, object] = {
            "kind": "end",
            "step": step,
            "tokens": tokens,
            "status": status,
            "wall_seconds": member.seconds,
        }
        peak = self.peak_flops()
        if peak is not None:
            trained = tokens - run.first_step * run.tokens_per_step
            flops = run.flops_per_token("attention") * trained
            line["mfu"] = flops / member.seconds / peak
            line["peak_flops_per_second"] = peak
        member.log.write(line)
        forget(self.plan, run, self.folders)
        if status == "diverged":
            self.progress.say(
                f"{run.run}: diverged at step {step:,} (loss is not finite); its log is kept. "
                f"Lower lr_peak ({run.lr_peak:g}) in the design's learning_rate."
            )

    def save(self) -> None:
        """Write every run's checkpoint."""
        for place, member in enumerate(self.members):
            content: dict[str, object] = {
                "seconds": member.seconds,
                "loss_sum": float(self.loss_sums[place]),
                "loss_count": member.loss_count,
            }
            path = self.folders.checkpoint(self.plan, member.run)
            _save(path, member.run, self.pack.state(place), content)

    def save_branch(self, place: int) -> None:
        """Keep a trunk's state for a cooldown."""
        run, step = self.members[place].run, self.pack.steps[place]
        _save(self.folders.branch(self.plan, run.run, step), run, self.pack.state(place), {})

    def peak_flops(self) -> float | None:
        """Peak of the card in bfloat16, where that is what it computes in and it is known."""
        if not autocasts(self.plan.precision, self.device):
            return None
        name = torch.cuda.get_device_name(self.device)
        return next((peak for word, peak in PEAK_BF16_FLOPS.items() if word in name), None)


def _save(path: Path, run: PlannedRun, state: RunState, content: Mapping[str, object]) -> None:
    """Write a state, whole or not at all."""
    with replacing(path) as temporary:
        torch.save({"run": identity(run), "state": state.to_dict(), **content}, temporary)


def _load(path: Path, run: PlannedRun) -> dict[str, Any]:
    """Read a state, and check that it is this run's.

    Raises
    ------
    TrainingError : it was saved under another plan.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if content["run"] != identity(run):
        raise TrainingError(
            f"{path}: is a checkpoint of another plan of {run.run}; delete it and its log"
        )
    return content


def _check_params(run: PlannedRun) -> None:
    """Compare the real model's parameters with the plan's."""
    shape = run.architecture.architecture()
    weights = initial_weights(shape, qk_norm=run.architecture.qk_norm, seed=0)
    counted = count_params(weights, tied=shape.tied)
    if counted != run.params.model_dump():
        raise TrainingError(
            f"{run.run}: the model has {counted} parameters, the plan says "
            f"{run.params.model_dump()}; plan again with isoflop plan-sweep"
        )

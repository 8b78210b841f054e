"""Train one run of a plan and write its raw log; after a kill the same command goes on."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from isoflop.counting import FLOPS_CONVENTIONS, Architecture, flops_per_token
from isoflop.errors import IsoflopError
from isoflop.train.corpus import Split, TrainingWindows, read_split, validation_windows
from isoflop.train.model import INITIALISATION, Transformer, build_model, count_params
from isoflop.train.raw_log import RawLog, read_log
from isoflop.train.recipe import read_recipe
from isoflop.train.schedule import learning_rate
from isoflop.train.tokenizer import Tokenized, tokenize_split

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.train.plan_file import Plan, PlannedRun

Status = Literal["finished", "diverged", "stopped", "already finished"]

CHECKPOINT_SECONDS = 60.0
EVALUATION_TOKENS = {"cpu": 2_048, "cuda": 65_536}
"""Tokens per forward pass of an evaluation; changes speed only. On a CPU they stay in its cache."""
PEAK_BF16_FLOPS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12}
"""Dense bf16 peak [FLOP/s] by a word in the device's name (NVIDIA's data sheets)."""


SAME = (
    "run",
    "architecture",
    "params",
    "steps",
    "tokens_per_step",
    "schedule",
    "optimizer",
    "seed",
    "corpus",
    "tokenizer",
    "eval",
)
"""Facts of a header that must not change while a log is continued."""


class TrainingError(IsoflopError):
    """A run cannot be trained or resumed as the plan asks."""


@dataclass(frozen=True)
class Folders:
    """Where a training reads and writes."""

    recipes: Path = Path("data/reference/corpora")
    corpora: Path = Path("data/corpora")
    logs: Path = Path("data/raw")
    checkpoints: Path = Path("data/checkpoints")


@dataclass(frozen=True)
class Progress:
    """How training shows itself: a bar on a terminal, plain lines otherwise."""

    say: Callable[[str], None]
    bar: bool


def evaluation_steps(steps: int, evaluations: int) -> frozenset[int]:
    """Choose the steps after which to evaluate: half log-spaced, half even, the last included."""
    spread = np.linspace(0, steps, evaluations // 2 + 1)[1:]
    early = np.geomspace(max(1.0, steps / 100), steps, evaluations - len(spread) + 1)[:-1]
    return frozenset(max(1, round(float(step))) for step in [*early, *spread])


def train_run(
    plan: Plan,
    run: PlannedRun,
    *,
    folders: Folders,
    device: str,
    progress: Progress,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop_after: int | None = None,
) -> Status:
    """Train one run to its end, from its checkpoint if there is one.

    Parameters
    ----------
    plan, run : the plan and the run of it to train.
    folders : where corpus, logs and checkpoints are.
    device : cpu, cuda, or auto (cuda where there is one).
    progress : how to report.
    checkpoint_seconds : time between checkpoints, at least.
    stop_after : stop, as a kill would, after this many updates of this call; for tests.

    Returns
    -------
    finished or diverged; stopped if told to; already finished, with nothing touched, if the log
    ends with its end line.
    """
    log_path = folders.logs / plan.sweep / run.role / f"{run.run}.jsonl"
    lines = read_log(log_path)
    if lines:
        _refuse_another_run(lines[0], _planned_facts(plan, run), log_path)
    if lines and lines[-1]["kind"] == "end":
        progress.say(f"{run.run}: already {lines[-1]['status']}: {log_path} ends with its end line")
        return "already finished"

    recipe = read_recipe(folders.recipes / f"{plan.corpus.name}.yaml")
    split = read_split(
        recipe,
        folders.corpora / f"{plan.corpus.name}.txt",
        holdout_every=plan.corpus.holdout_every,
    )
    tokenized = tokenize_split(split, plan.tokenizer, folders.corpora)
    trainer = _Trainer(plan, run, tokenized, device=device)
    header = _header(plan, run, split, tokenized, trainer)
    if lines:
        _refuse_another_run(lines[0], header, log_path)

    checkpoint_path = folders.checkpoints / plan.sweep / f"{run.run}.pt"
    with RawLog(log_path) as log:
        if not lines:
            log.write(header)
        else:
            if checkpoint_path.exists():
                trainer.restore(checkpoint_path)
            log.write({"kind": "resume", "step": trainer.step})
            progress.say(f"{run.run}: resumed at step {trainer.step:,} of {run.steps:,}")
        torch.set_flush_denormal(True)  # vanishing moments cost a CPU dozens of cycles each
        try:
            status = trainer.train(
                log,
                checkpoint_path,
                progress,
                checkpoint_seconds=checkpoint_seconds,
                stop_after=stop_after,
            )
        finally:
            torch.set_flush_denormal(False)  # a mode of the processor, not of this function
    if status != "stopped":
        checkpoint_path.unlink(missing_ok=True)
    return status


class _Trainer:
    """The state of one training: model, optimizer, place in the data."""

    def __init__(self, plan: Plan, run: PlannedRun, data: Tokenized, *, device: str) -> None:
        self.plan, self.run = plan, run
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        torch.manual_seed(run.seed)
        if self.on_gpu:
            torch.set_float32_matmul_precision("high")
        shape = run.architecture.architecture()
        self.seq_len = shape.seq_len
        model = build_model(shape, qk_norm=run.architecture.qk_norm, seed=run.seed)
        self.params = count_params(model)
        if self.params != run.params.model_dump():
            raise TrainingError(
                f"{run.run}: the model has {self.params} parameters, the plan says "
                f"{run.params.model_dump()}; plan again with isoflop plan-sweep"
            )
        self.model: Transformer = model.to(self.device)
        # fp32 models this small gain nothing from compilation on a CPU; on a GPU they do.
        self.forward: Any = torch.compile(self.model) if self.on_gpu else self.model
        settings = plan.optimizer
        matrices = [p for p in self.model.parameters() if p.dim() >= 2]
        gains = [p for p in self.model.parameters() if p.dim() < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": settings.weight_decay},
                {"params": gains, "weight_decay": 0.0},
            ],
            lr=run.lr_peak,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            fused=True,
        )
        self.weights = [*matrices, *gains]
        self.windows = TrainingWindows(data.train, seq_len=self.seq_len, seed=run.seed)
        held_out = validation_windows(
            data.validation, seq_len=self.seq_len, windows=plan.evaluation.windows
        )
        self.held_out = torch.from_numpy(held_out).to(self.device)
        self.target_bytes = int(data.bytes_per_token[held_out[:, 1:]].sum())
        self.target_tokens = int(held_out[:, 1:].size)
        self.step = 0
        self.wall_seconds = 0.0
        self.loss_sum = torch.zeros((), device=self.device)
        self.loss_count = 0

    @property
    def dtype(self) -> str:
        return "bfloat16 autocast" if self.on_gpu else "float32"

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.on_gpu)

    def batch(self) -> Tensor:
        """Give the next step's windows; a run starts at window 0 of its seed's permutation."""
        size = self.run.tokens_per_step // self.seq_len
        rows = torch.from_numpy(self.windows.batch(self.step * size, size))
        if self.on_gpu:
            return rows.pin_memory().to(self.device, non_blocking=True)
        return rows

    def update(self) -> Tensor:
        """Make one update; returns the gradient's norm before clipping."""
        rows = self.batch()
        with self.autocast():
            loss = self.forward(rows[:, :-1], rows[:, 1:])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.plan.optimizer.grad_clip)
        self.step += 1
        rate = self.rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # Summed on the device: reading a number at every step would stall a GPU.
        self.loss_sum += loss.detach()
        self.loss_count += 1
        return norm

    def rate(self) -> float:
        """Learning rate of the step just made."""
        run = self.run
        return learning_rate(
            self.step,
            steps=run.steps,
            warmup_steps=run.warmup_steps,
            peak=run.lr_peak,
            end=run.lr_end,
        )

    def evaluate(self) -> float:
        """Measure the validation loss [nat/token] over the fixed windows."""
        rows = max(1, EVALUATION_TOKENS[self.device.type] // self.seq_len)
        total = 0.0
        with torch.no_grad(), self.autocast():
            for part in torch.split(self.held_out, rows):
                total += float(self.model(part[:, :-1], part[:, 1:])) * len(part)
        return total / len(self.held_out)

    def bits_per_byte(self, loss: float) -> float:
        """Turn nats per token into bits per byte by the true bytes of the predicted tokens."""
        return loss * self.target_tokens / self.target_bytes / math.log(2.0)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        state = {
            "run": self.run.model_dump_json(),
            "step": self.step,
            "wall_seconds": self.wall_seconds,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Go back to a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["run"] != self.run.model_dump_json():
            raise TrainingError(
                f"{path}: is a checkpoint of another plan of {self.run.run}; delete it and its log"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        self.wall_seconds = float(state["wall_seconds"])
        self.loss_sum = state["loss_sum"]
        self.loss_count = int(state["loss_count"])

    def train(
        self,
        log: RawLog,
        checkpoint: Path,
        progress: Progress,
        *,
        checkpoint_seconds: float,
        stop_after: int | None,
    ) -> Status:
        """Train to the end, or stop before it if told to."""
        run = self.run
        every = max(1, round(run.steps / self.plan.log_lines))
        evaluations = evaluation_steps(run.steps, self.plan.evaluation.evaluations)
        last_step = run.steps if stop_after is None else min(run.steps, self.step + stop_after)
        clock = _Clock(self.wall_seconds)
        trained_step = self.step
        with tqdm(
            total=run.steps, initial=self.step, desc=run.run, unit="step", disable=not progress.bar
        ) as bar:
            while self.step < last_step:
                norm = self.update()
                bar.update()
                if self.step % every == 0 or self.step == run.steps:
                    loss = float(self.loss_sum) / self.loss_count
                    tokens = (self.step - trained_step) * run.tokens_per_step
                    log.write(
                        {
                            "kind": "train",
                            "step": self.step,
                            "tokens": self.step * run.tokens_per_step,
                            "train_loss": loss,
                            "lr": self.rate(),
                            "grad_norm": float(norm),
                            "tokens_per_second": tokens / clock.lap(),
                        }
                    )
                    self.loss_sum.zero_()
                    self.loss_count, trained_step = 0, self.step
                    if not math.isfinite(loss):
                        return self.end(log, clock, progress, "diverged")
                if self.step in evaluations:
                    self.log_evaluation(log, clock, progress)
                if clock.due(checkpoint_seconds):
                    self.wall_seconds = clock.wall()
                    self.save(checkpoint)
        if self.step < run.steps:
            self.wall_seconds = clock.wall()
            self.save(checkpoint)
            return "stopped"
        return self.end(log, clock, progress, "finished")

    def log_evaluation(self, log: RawLog, clock: _Clock, progress: Progress) -> None:
        """Evaluate and log; the time it takes is not training time."""
        with clock.paused():
            loss = self.evaluate()
        tokens = self.step * self.run.tokens_per_step
        log.write(
            {
                "kind": "eval",
                "step": self.step,
                "tokens": tokens,
                "eval_set": "validation",
                "loss": loss,
                "bits_per_byte": self.bits_per_byte(loss),
            }
        )
        if not progress.bar:
            progress.say(
                f"{self.run.run}: step {self.step:,} of {self.run.steps:,}, "
                f"{tokens:,} tokens, validation loss {loss:.4f}"
            )

    def end(self, log: RawLog, clock: _Clock, progress: Progress, status: Status) -> Status:
        """Write the end line."""
        run = self.run
        tokens = self.step * run.tokens_per_step
        line: dict[str, object] = {
            "kind": "end",
            "step": self.step,
            "tokens": tokens,
            "status": status,
            "wall_seconds": clock.wall(),
        }
        peak = self.peak_flops()
        if peak is not None:
            line["mfu"] = self.flops_per_token("attention") * tokens / clock.wall() / peak
            line["peak_flops_per_second"] = peak
        log.write(line)
        if status == "diverged":
            progress.say(
                f"{run.run}: diverged at step {self.step:,} (loss is not finite); its log is kept. "
                f"Lower lr_peak ({run.lr_peak:g}) in the design's learning_rate."
            )
        return status

    def peak_flops(self) -> float | None:
        """Peak of the card, where it is known."""
        if not self.on_gpu:
            return None
        name = torch.cuda.get_device_name(self.device)
        return next((peak for word, peak in PEAK_BF16_FLOPS.items() if word in name), None)

    def flops_per_token(self, convention: Any) -> float:
        """Training FLOPs per token of this model."""
        return _flops(convention, self.params, self.run.architecture.architecture())


class _Clock:
    """Wall time of a training over its resumptions, and the laps between log lines."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.start = self.lap_start = self.saved = time.perf_counter()
        self.pause = 0.0

    def wall(self) -> float:
        return self.before + time.perf_counter() - self.start

    def lap(self) -> float:
        now = time.perf_counter()
        seconds = now - self.lap_start - self.pause
        self.lap_start, self.pause = now, 0.0
        return seconds

    def paused(self) -> _Pause:
        return _Pause(self)

    def due(self, seconds: float) -> bool:
        now = time.perf_counter()
        if now - self.saved < seconds:
            return False
        self.saved = now
        return True


class _Pause:
    """Time that is not training time."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.start = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.clock.pause += time.perf_counter() - self.start


def _flops(convention: Any, params: dict[str, int], shape: Architecture) -> float:
    flops = flops_per_token(
        convention,
        params_total=params["total"],
        params_nonembedding=params["nonembedding"],
        params_with_head=params["with_head"],
        architecture=shape,
    )
    if flops is None:
        raise TrainingError(f"FLOPs by '{convention}' cannot be computed from the architecture")
    return flops


def _planned_facts(plan: Plan, run: PlannedRun) -> dict[str, object]:
    """Give the part of a header that follows from the plan alone."""
    return {
        "run": run.run,
        "sweep": plan.sweep,
        "role": run.role,
        "budget": run.budget,
        "purpose": run.purpose,
        "architecture": run.architecture.model_dump(),
        "params": run.params.model_dump(),
        "tokens_per_step": run.tokens_per_step,
        "steps": run.steps,
        "tokens": run.tokens,
        "schedule": {
            "kind": "cosine",
            "warmup_steps": run.warmup_steps,
            "steps": run.steps,
            "lr_peak": run.lr_peak,
            "lr_end": run.lr_end,
        },
        "optimizer": {"kind": "adamw", **plan.optimizer.model_dump()},
        "seed": run.seed,
    }


def _header(
    plan: Plan, run: PlannedRun, split: Split, data: Tokenized, trainer: _Trainer
) -> dict[str, object]:
    """Everything about a run that is known before its first step."""
    shape = run.architecture.architecture()
    return {
        "kind": "header",
        "format": "isoflop-train",
        "version": 1,
        **_planned_facts(plan, run),
        "params_note": "counted from the model; norm gains count as nonembedding",
        "initialisation": INITIALISATION,
        "epochs": run.tokens / (trainer.windows.count * trainer.seq_len),
        "flops_per_token": {
            convention: _flops(convention, trainer.params, shape)
            for convention in FLOPS_CONVENTIONS
            if convention != "logged"
        },
        "flops_convention": plan.flops_convention,
        "corpus": {
            "name": split.name,
            "sha256": split.sha256,
            "train_novels": len(split.train_names),
            "validation_novels": list(split.validation_names),
            "train_tokens": len(data.train),
            "validation_tokens": len(data.validation),
            "train_bytes": split.train_bytes,
            "validation_bytes": split.validation_bytes,
        },
        "tokenizer": data.facts,
        "eval": {
            "eval_set": "validation",
            "windows": plan.evaluation.windows,
            "tokens": trainer.target_tokens,
            "bytes": trainer.target_bytes,
            "unit": "nats per token",
        },
        "device": _device_name(trainer.device),
        "dtype": trainer.dtype,
        "compiled": trainer.on_gpu,
        "threads": torch.get_num_threads(),
        "software": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "isoflop": version("isoflop"),
        },
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _refuse_another_run(
    logged: dict[str, Any], expected: dict[str, object], log_path: Path
) -> None:
    """Let a log be continued only by the run that began it.

    Parameters
    ----------
    logged : header of the log.
    expected : what the plan, and later the corpus, say; compared where a header is to agree.
    """
    differing = [key for key, value in expected.items() if key in SAME and logged[key] != value]
    if differing:
        raise TrainingError(
            f"{log_path}: was begun with another {', '.join(differing)} than the plan says now; "
            f"move the log and its checkpoint away to train this run afresh"
        )

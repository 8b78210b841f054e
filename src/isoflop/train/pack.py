"""Runs of one shape that are trained together: their weights, AdamW, and what a checkpoint keeps.

The weights of a pack lie in three buffers of (runs, parameters), one per group of weights, so that
AdamW is a dozen operations however many weights and runs there are. Each run has its rate, its
place in its schedule and data, its gradient's norm: it does not notice the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from isoflop.train.model import Group, Transformer, initial_weights, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoflop.counting import Architecture
    from isoflop.train.design import OptimizerSettings, Precision

GROUPS: tuple[Group, ...] = get_args(Group)
KINDS = ("values", "first", "second")
"""What a state has of every parameter."""
DECAYED: frozenset[Group] = frozenset({"embedding", "matrices"})
CACHED_NUMBERS = 65_536
"""Numbers of a buffer that AdamW treats at a time on a CPU, so that its dozen passes over them stay
in the cache; changes speed only."""
CLIP_EPS = 1e-6
"""Added to a gradient's norm before clipping, as torch.nn.utils.clip_grad_norm_ does."""


@dataclass
class RunState:
    """What a run is between two updates.

    Attributes
    ----------
    step : updates made.
    values, first, second : weights and AdamW's two moments by group, each (parameters,).
    """

    step: int
    values: dict[Group, Tensor]
    first: dict[Group, Tensor]
    second: dict[Group, Tensor]

    def to_dict(self) -> dict[str, Any]:
        """Give the state as plain tensors, to be saved."""
        return {"step": self.step, **{kind: dict(getattr(self, kind)) for kind in KINDS}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RunState:
        """Read a saved state."""
        return cls(int(content["step"]), **{kind: dict(content[kind]) for kind in KINDS})


def initial_state(shape: Architecture, *, qk_norm: bool, seed: int) -> RunState:
    """Make a run's state before its first update."""
    drawn = initial_weights(shape, qk_norm=qk_norm, seed=seed)
    layout = weights_of(shape, qk_norm=qk_norm)
    values = {
        group: torch.cat(
            [drawn[name].flatten() for name, weight in layout.items() if weight.group == group]
        )
        for group in GROUPS
    }
    zeros = [{group: torch.zeros_like(value) for group, value in values.items()} for _ in range(2)]
    return RunState(0, values, *zeros)


def autocasts(precision: Precision, device: torch.device) -> bool:
    """Whether matrix products are computed in bfloat16."""
    return precision == "by_device" and device.type == "cuda"


class Pack:
    """The states of several runs of one shape, and their common update."""

    def __init__(
        self,
        shape: Architecture,
        states: Sequence[RunState],
        optimizer: OptimizerSettings,
        *,
        qk_norm: bool,
        device: torch.device,
        precision: Precision = "by_device",
        compiled: bool = False,
    ) -> None:
        self.autocasts = autocasts(precision, device)
        self.trained = Transformer(shape, qk_norm=qk_norm, device=device, compiled=compiled)
        # evaluations stay uncompiled: their batches have sizes of their own
        self.evaluated = Transformer(shape, qk_norm=qk_norm, device=device)
        self.layout = weights_of(shape, qk_norm=qk_norm)
        self.optimizer = optimizer
        self.device = device
        self.on_gpu = device.type == "cuda"
        self.steps = [state.step for state in states]
        kinds = [[getattr(state, kind) for state in states] for kind in KINDS]
        self.buffers: dict[Group, list[Tensor]] = {
            group: [torch.stack([state[group] for state in kind]).to(device) for kind in kinds]
            for group in GROUPS
        }
        self._bind()
        self._recorded = _Recorded(self._step) if self.on_gpu else None

    def _bind(self) -> None:
        """Make the weights views of the buffers."""
        self.weights: dict[str, Tensor] = {}
        start = dict.fromkeys(GROUPS, 0)
        for name, weight in self.layout.items():
            values, first = self.buffers[weight.group][0], start[weight.group]
            view = values[:, first : first + weight.size].view(len(values), *weight.shape)
            self.weights[name] = self.trained.dynamic(view.detach().requires_grad_())
            start[weight.group] = first + weight.size

    def __len__(self) -> int:
        return len(self.steps)

    def state(self, place: int) -> RunState:
        """Copy one run's state to the CPU."""
        kept: list[dict[Group, Tensor]] = [
            {group: kinds[k][place].to("cpu", copy=True) for group, kinds in self.buffers.items()}
            for k in range(len(KINDS))
        ]
        return RunState(self.steps[place], *kept)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some of the runs only."""
        chosen = torch.tensor(places, dtype=torch.int64, device=self.device)
        self.steps = [self.steps[place] for place in places]
        self.buffers = {
            group: [buffer.index_select(0, chosen) for buffer in buffers]
            for group, buffers in self.buffers.items()
        }
        self._bind()
        self._recorded = _Recorded(self._step) if self.on_gpu else None

    def autocast(self) -> torch.autocast:
        """bfloat16 where the precision asks for it, float32 elsewhere."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocasts)

    def update(self, windows: Tensor, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Make one update of every run.

        Parameters
        ----------
        windows : each run's windows of this step, (runs, rows, seq_len + 1).
        rates : each run's learning rate of this step.

        Returns
        -------
        losses before the update [nat/token] and norms of the gradients before clipping: (runs,).
        """
        self.steps = [step + 1 for step in self.steps]
        factors = self._factors(rates)
        if self._recorded is None:
            return self._step(windows, factors)
        return self._recorded(windows, factors)

    def _factors(self, rates: Sequence[float]) -> Tensor:
        """Give what AdamW multiplies by at the runs' steps: (3, runs), see `_adamw`."""
        o = self.optimizer
        rows = [
            [math.sqrt(1.0 - o.beta2**step) for step in self.steps],
            [-rate / (1.0 - o.beta1**step) for rate, step in zip(rates, self.steps, strict=True)],
            [1.0 - rate * o.weight_decay for rate in rates],
        ]
        return torch.tensor(rows, dtype=torch.float32)

    def _step(self, windows: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Make one update by what is on the device alone, so that a GPU can record it."""
        with self.autocast():
            losses = self.trained.losses(self.weights, windows[..., :-1], windows[..., 1:])
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        by_group = {
            group: torch.cat(
                [
                    gradient.reshape(len(self), -1)
                    for gradient, weight in zip(gradients, self.layout.values(), strict=True)
                    if weight.group == group
                ],
                dim=1,
            )
            for group in GROUPS
        }
        with torch.no_grad():
            squares = [gradient.square().sum(dim=1) for gradient in by_group.values()]
            norms = torch.stack(squares).sum(dim=0).sqrt()
            clips = (self.optimizer.grad_clip / (norms + CLIP_EPS)).clamp(max=1.0)
            self._adamw(by_group, clips[:, None], factors[..., None])
        return losses.detach(), norms

    def _adamw(self, gradients: Mapping[Group, Tensor], clips: Tensor, factors: Tensor) -> None:
        """AdamW with decoupled decay (Loshchilov and Hutter 2019), each run at its step."""
        o = self.optimizer
        roots, moves, shrinks = factors
        for group, buffers in self.buffers.items():
            width = buffers[0].shape[1]
            block = width if self.on_gpu else max(4096, CACHED_NUMBERS // len(self))
            for start in range(0, width, block):
                values, first, second = (buffer[:, start : start + block] for buffer in buffers)
                gradient = gradients[group][:, start : start + block].mul_(clips)
                first.lerp_(gradient, 1.0 - o.beta1)
                second.mul_(o.beta2).addcmul_(gradient, gradient, value=1.0 - o.beta2)
                scale = second.sqrt().div_(roots).add_(o.eps)
                if group in DECAYED:
                    values.mul_(shrinks)
                values.addcmul_(torch.div(first, scale, out=scale), moves)

    def evaluate(self, places: Sequence[int], windows: Tensor, *, rows: int) -> list[float]:
        """Measure the loss [nat/token] of some runs on the same windows.

        Parameters
        ----------
        places : which runs.
        windows : (windows, seq_len + 1).
        rows : windows per forward pass.
        """
        chosen = torch.tensor(places, device=self.device)
        totals = torch.zeros(len(places), dtype=torch.float64, device=self.device)
        with torch.no_grad(), self.autocast():
            weights = {
                name: weight.index_select(0, chosen) for name, weight in self.weights.items()
            }
            for part in torch.split(windows, rows):
                shared = part.expand(len(places), *part.shape)
                losses = self.evaluated.losses(weights, shared[..., :-1], shared[..., 1:])
                totals += losses.double() * len(part)
        return [float(total) / len(windows) for total in totals]


class _Recorded:
    """An update recorded as a CUDA graph: hundreds of small operations start as one.

    The first updates run as they are, which compiles what is compiled and lets libraries set
    themselves up; the next is recorded, and from then on it is replayed.
    """

    UNRECORDED = 3

    def __init__(self, step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        self.step, self.left = step, self.UNRECORDED
        cuda: Any = torch.cuda  # its constructor of streams has no types
        self.stream = cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, windows: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Make an update of windows on the device by factors on the CPU."""
        factors = factors.pin_memory()
        if self.left > 0:
            self.left -= 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                made = self.step(windows, factors.to(windows.device))
            torch.cuda.current_stream().wait_stream(self.stream)
            return made
        if self.graph is None:
            self.windows, self.factors = windows.clone(), factors.to(windows.device)
            self.graph = torch.cuda.CUDAGraph()
            torch.cuda.synchronize()
            with torch.cuda.graph(self.graph):
                self.losses, self.norms = self.step(self.windows, self.factors)
        self.windows.copy_(windows)
        self.factors.copy_(factors, non_blocking=True)
        self.graph.replay()
        return self.losses.clone(), self.norms.clone()

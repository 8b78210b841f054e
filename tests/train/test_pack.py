from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from tests.train.example_design import design, shortened, write_corpus  # noqa: E402

from isoflop.counting import Architecture, params  # noqa: E402
from isoflop.train.errors import TrainingError  # noqa: E402
from isoflop.train.model import (  # noqa: E402
    Transformer,
    count_params,
    initial_weights,
    rotary_tables,
    weights_of,
)
from isoflop.train.pack import Pack, initial_state  # noqa: E402
from isoflop.train.plan_sweep import plan_sweep  # noqa: E402
from isoflop.train.raw_log import read_log  # noqa: E402
from isoflop.train.train_run import Folders, Progress, train_runs  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.train.plan_file import Plan, PlannedRun

CPU = torch.device("cpu")
SHAPE = Architecture(2, 32, 2, 16, 128, 256, 16)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # two threads change the last bits, and gain nothing here


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    write_corpus(tmp_path)
    return Folders(
        recipes=tmp_path / "recipes",
        corpora=tmp_path / "corpora",
        logs=tmp_path / "raw",
        checkpoints=tmp_path / "checkpoints",
    )


def several_runs() -> Plan:
    """Runs of one shape that differ in rate, seeds and horizon."""
    evaluation = {"windows": 32, "curve_windows": 8, "evaluations": 6, "spacing": "log"}
    plan = plan_sweep("toy", design(evaluation=evaluation, log_lines=10))
    first = shortened(plan, plan.run_named("c1e10-l1d16-s0", source="plan"), steps=1).runs[0]
    runs = tuple(
        first.model_copy(
            update={
                "run": f"run{k}",
                "steps": steps,
                "tokens": steps * first.tokens_per_step,
                "warmup_steps": 4,
                "lr_peak": 2e-3 * (k + 1),
                "lr_end": 2e-4 * (k + 1),
                "weights_seed": k,
                "order_seed": 10 + k,
                "stage": "rows",
            }
        )
        for k, steps in enumerate((30, 60, 45))
    )
    return plan.model_copy(update={"runs": runs})


def train(plan: Plan, runs: Any, folders: Folders, *, stop_after: int | None = None) -> Any:
    return train_runs(
        plan,
        runs,
        folders=folders,
        device="cpu",
        progress=Progress(say=lambda _line: None, bar=False),
        stop_after=stop_after,
    )


def losses(plan: Plan, run: PlannedRun, folders: Folders) -> dict[Any, float]:
    """Every loss of a run's log by what and when; a replayed step counts once, as it ended."""
    return {
        (line["kind"], line["step"], line.get("eval_set")): line.get("loss", line.get("train_loss"))
        for line in read_log(folders.log(plan, run))
        if line["kind"] in {"eval", "train"}
    }


def test_run_in_a_pack_equals_the_run_alone(folders: Folders) -> None:
    plan = several_runs()
    alone = replace(folders, logs=folders.logs / "alone")
    for run in plan.runs:
        train(plan, [run], alone)
    assert set(train(plan, plan.runs, folders).values()) == {"finished"}
    for run in plan.runs:
        expected = losses(plan, run, alone)
        assert losses(plan, run, folders) == pytest.approx(expected, rel=1e-5)
        assert max(step for _, step, _ in expected) == run.steps
    ends = [losses(plan, run, alone)["eval", run.steps, "validation"] for run in plan.runs]
    assert len(set(ends)) == len(ends)  # they do differ


def test_pack_is_put_together_anew_after_a_kill(folders: Folders) -> None:
    plan = several_runs()
    alone = replace(folders, logs=folders.logs / "alone")
    for run in plan.runs:
        train(plan, [run], alone)
    train(plan, plan.runs, folders, stop_after=10)
    train(plan, plan.runs[:2], folders, stop_after=25)  # ends the first, leaves the second at 35
    train(plan, plan.runs, folders)
    for run in plan.runs:
        assert losses(plan, run, folders) == pytest.approx(losses(plan, run, alone), rel=1e-5)
    resumed = [
        r["step"] for r in read_log(folders.log(plan, plan.runs[1])) if r["kind"] == "resume"
    ]
    assert resumed == [10, 35]
    assert not list(folders.checkpoints.rglob("*.pt"))


def test_diverging_run_leaves_the_others_alone(folders: Folders) -> None:
    plan = several_runs()
    calm = plan.runs[1]
    alone = replace(folders, logs=folders.logs / "alone")
    train(plan, [calm], alone)
    wild = plan.runs[0].model_copy(update={"lr_peak": 1e30, "lr_end": 1e30, "warmup_steps": 1})
    plan = plan.model_copy(update={"runs": (wild, calm)})
    assert train(plan, plan.runs, folders) == {"run0": "diverged", "run1": "finished"}
    assert losses(plan, calm, folders) == pytest.approx(losses(plan, calm, alone), rel=1e-5)


def test_runs_of_two_shapes_are_refused(folders: Folders) -> None:
    plan = plan_sweep("toy", design())
    with pytest.raises(TrainingError, match="differ in shape or batch"):
        train(plan, plan.runs[:12], folders)


def trunk_and_cooldown() -> Plan:
    plan = several_runs()
    trunk = plan.runs[1].model_copy(
        update={"schedule": "wsd", "decay_steps": 12, "lr_end": 0.0, "branches": (32,)}
    )
    cooldown = trunk.model_copy(
        update={
            "run": "cooldown",
            "schedule": "cooldown",
            "steps": 40,
            "tokens": 40 * trunk.tokens_per_step,
            "decay_steps": 8,
            "trunk": trunk.run,
            "trunk_step": 32,
            "branches": (),
        }
    )
    return plan.model_copy(update={"runs": (trunk, cooldown)})


def test_cooldown_equals_a_run_that_decays_there(folders: Folders) -> None:
    plan = trunk_and_cooldown()
    trunk, cooldown = plan.runs
    straight = cooldown.model_copy(
        update={"run": "straight", "schedule": "wsd", "trunk": None, "trunk_step": None}
    )
    train(plan, [trunk], folders)
    assert folders.branch(plan, trunk.run, 32).exists()
    train(plan, [cooldown], folders)
    train(plan, [straight], folders)
    (own,) = (r for r in read_log(folders.log(plan, cooldown)) if r["kind"] == "header")
    assert own["branch"] == {"trunk": trunk.run, "step": 32}
    assert own["schedule"]["kind"] == "cooldown"
    ends = [losses(plan, run, folders)["eval", 40, "validation"] for run in (cooldown, straight)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)
    steps = [step for _, step, _ in losses(plan, cooldown, folders)]
    assert min(steps) > 32
    assert not folders.branch(plan, trunk.run, 32).exists()  # nothing is left behind


def test_cooldown_before_its_trunk_is_refused(folders: Folders) -> None:
    plan = trunk_and_cooldown()
    with pytest.raises(TrainingError, match="nothing to branch off; train run1 first"):
        train(plan, [plan.runs[1]], folders)


def test_adamw_is_that_of_torch() -> None:
    settings = design(
        optimizer={
            "beta1": 0.9,
            "beta2": 0.99,
            "eps": 1e-4,  # a gradient near zero would have its sign by rounding
            "weight_decay": 0.1,
            "grad_clip": 0.5,
        }
    ).optimizer
    windows = torch.randint(256, (5, 2, 3, 17), generator=torch.Generator().manual_seed(1))
    rates = [1e-2, 3e-3]
    states = [initial_state(SHAPE, qk_norm=True, seed=seed) for seed in (0, 1)]
    pack = Pack(SHAPE, states, settings, qk_norm=True, device=CPU)
    for batch in windows:
        pack.update(batch, rates)

    for place, rate in enumerate(rates):
        model = Transformer(SHAPE, qk_norm=True, device=CPU)
        weights = {
            name: weight[None].requires_grad_()
            for name, weight in initial_weights(SHAPE, qk_norm=True, seed=place).items()
        }
        layout = weights_of(SHAPE, qk_norm=True)
        gains = [weight for name, weight in weights.items() if layout[name].group == "gains"]
        rest = [weight for name, weight in weights.items() if layout[name].group != "gains"]
        optimizer = torch.optim.AdamW(
            [{"params": rest}, {"params": gains, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.99),
            eps=1e-4,
            weight_decay=0.1,
        )
        for batch in windows[:, place : place + 1]:
            model.losses(weights, batch[..., :-1], batch[..., 1:]).sum().backward()
            torch.nn.utils.clip_grad_norm_(weights.values(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
        for name, weight in weights.items():
            torch.testing.assert_close(
                pack.weights[name][place], weight[0].detach(), rtol=1e-4, atol=2e-6
            )


def updated(*, device: str, compiled: bool) -> tuple[list[list[float]], list[int]]:
    """Update three runs, of which one ends after each few updates: losses, and runs left."""
    states = [initial_state(SHAPE, qk_norm=True, seed=seed) for seed in range(3)]
    pack = Pack(
        SHAPE,
        states,
        design().optimizer,
        qk_norm=True,
        device=torch.device(device),
        compiled=compiled,
    )
    generator = torch.Generator().manual_seed(1)
    made, lengths = [], []
    for keep in ([0, 1, 2], [0, 2], [1]):
        pack.keep(keep)
        for _ in range(5):
            windows = torch.randint(256, (len(keep), 4, 17), generator=generator).to(device)
            losses, norms = pack.update(windows, [1e-3 * (1 + place) for place in keep])
            made.append([*losses.tolist(), *norms.tolist()])
            lengths.append(len(pack))
    return made, lengths


# torch asks every tensor for its .grad while it traces
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_parts_serve_all_blocks_and_any_number_of_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # here, since it imports for seconds, and every process of a run imports this file
    testing = pytest.importorskip("torch._dynamo.testing")
    # Inductor needs a compiler and minutes; what is traced is the same for any backend
    counter = testing.CompileCounterWithBackend("aot_eager")
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda part: compile_(part, backend=counter))
    plain, _ = updated(device="cpu", compiled=False)
    compiled, lengths = updated(device="cpu", compiled=True)
    assert lengths == [3] * 5 + [2] * 5 + [1] * 5
    for one, other in zip(plain, compiled, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    # embedding, block and loss: once for several runs, once more for one alone
    assert counter.frame_count == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records an update on a GPU")
@pytest.mark.parametrize("compiled", [False, True])
def test_recorded_updates_are_those_of_the_cpu(*, compiled: bool) -> None:
    on_cpu, _ = updated(device="cpu", compiled=False)
    on_gpu, _ = updated(device="cuda", compiled=compiled)
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert one == pytest.approx(other, rel=0.02)  # bfloat16


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 1])
def test_real_model_has_the_counted_params(
    *, tied: bool, gated: bool, qk_norm: bool, kv_heads: int | None
) -> None:
    shape = Architecture(2, 24, 3, 8, 96, 256, 16, tied=tied, gated=gated, kv_heads=kv_heads)
    counted = count_params(initial_weights(shape, qk_norm=qk_norm, seed=0), tied=tied)
    gains = 2 * 2 * 24 + 24 + (2 * 2 * 8 if qk_norm else 0)
    for convention in ("total", "nonembedding", "with_head"):
        assert counted[convention] == params(shape, convention) + gains


def test_planned_params_are_those_of_the_model() -> None:
    ladder = {**design().ladder.model_dump(), "queries_per_key": 2}
    for head in ({"tied": True}, {"tied": False, "qk_norm": True, "gated": True, "ladder": ladder}):
        for run in plan_sweep("toy", design(**head)).runs[:8]:
            shape = run.architecture
            weights = initial_weights(shape.architecture(), qk_norm=shape.qk_norm, seed=0)
            assert count_params(weights, tied=shape.tied) == run.params.model_dump()


def test_weights_follow_from_the_seed() -> None:
    one, same, other = (initial_weights(SHAPE, qk_norm=False, seed=s) for s in (3, 3, 4))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["embedding"], other["embedding"])


def stacked(shape: Architecture, *, qk_norm: bool, seeds: tuple[int, ...]) -> dict[str, Any]:
    drawn = [initial_weights(shape, qk_norm=qk_norm, seed=seed) for seed in seeds]
    return {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}


def awake(weights: dict[str, Any]) -> dict[str, Any]:
    """Weights whose residual writes are not zero, so that every part of the model counts."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: weight + 0.1 * torch.randn(weight.shape, generator=generator)
        for name, weight in weights.items()
    }


def test_untrained_model_is_nearly_uniform() -> None:
    # logits start with a standard deviation of 0.5, which costs 0.5**2 / 2 nats
    tokens = torch.randint(256, (1, 8, 17), generator=torch.Generator().manual_seed(0))
    model = Transformer(SHAPE, qk_norm=True, device=CPU)
    weights = stacked(SHAPE, qk_norm=True, seeds=(0,))
    loss = model.losses(weights, tokens[..., :-1], tokens[..., 1:])
    assert float(loss) == pytest.approx(math.log(256) + 0.125, abs=0.05)


def test_model_is_causal() -> None:
    model = Transformer(SHAPE, qk_norm=False, device=CPU)
    weights = awake(stacked(SHAPE, qk_norm=False, seeds=(0,)))
    tokens = torch.randint(256, (1, 1, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[..., 9:] = (changed[..., 9:] + 1) % 256
    one, other = (model.logits(weights, given)[0] for given in (tokens, changed))
    torch.testing.assert_close(one[:9], other[:9])
    assert not torch.allclose(one[9:], other[9:])


@pytest.mark.parametrize("qk_norm", [True, False])
def test_shared_keys_equal_repeated_ones(*, qk_norm: bool) -> None:
    # grouped-query attention is full attention whose heads of a group have the same keys, values
    grouped = Architecture(1, 32, 4, 8, 64, 256, 16, kv_heads=2)
    full = replace(grouped, kv_heads=None)
    weights = awake(stacked(grouped, qk_norm=qk_norm, seeds=(0, 1)))
    query, key, value = weights["blocks.0.query_key_value"].split((32, 16, 16), dim=2)
    repeated = [
        part.unflatten(2, (2, 8)).repeat_interleave(2, dim=2).flatten(2) for part in (key, value)
    ]
    other = {**weights, "blocks.0.query_key_value": torch.cat([query, *repeated], dim=2)}
    tokens = torch.randint(256, (2, 3, 16), generator=torch.Generator().manual_seed(0))
    logits = [
        Transformer(shape, qk_norm=qk_norm, device=CPU).logits(given, tokens)
        for shape, given in ((grouped, weights), (full, other))
    ]
    torch.testing.assert_close(*logits)


@pytest.mark.parametrize("qk_norm", [True, False])
def test_model_runs_in_bfloat16_as_on_a_gpu(*, qk_norm: bool) -> None:
    weights = awake(stacked(SHAPE, qk_norm=qk_norm, seeds=(0, 1)))
    weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    tokens = torch.randint(256, (2, 4, 17), generator=torch.Generator().manual_seed(0))
    model = Transformer(SHAPE, qk_norm=qk_norm, device=CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.losses(weights, tokens[..., :-1], tokens[..., 1:])
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert all(weight.grad.isfinite().all() for weight in weights.values())


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    cos, sin = rotary_tables(12, 8)
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 8, generator=generator)

    def turned(vector: Any, position: int) -> Any:
        return vector * cos[position, 0] + vector.roll(4) * sin[position, 0]

    scores = [float(turned(query, i + 3) @ turned(key, i)) for i in range(9)]
    assert scores == pytest.approx([scores[0]] * 9, rel=1e-4)
    assert float(turned(query, 5) @ turned(key, 0)) != pytest.approx(scores[0], rel=1e-3)


def test_layout_has_every_weight_once() -> None:
    layout = weights_of(SHAPE, qk_norm=True)
    state = initial_state(SHAPE, qk_norm=True, seed=0)
    for group, values in state.values.items():
        assert sum(w.size for w in layout.values() if w.group == group) == len(values)
    drawn = initial_weights(SHAPE, qk_norm=True, seed=0)
    pack = Pack(SHAPE, [state], design().optimizer, qk_norm=True, device=CPU)
    assert pack.weights.keys() == drawn.keys()
    for name, weight in drawn.items():
        torch.testing.assert_close(pack.weights[name][0].detach(), weight)
    for one, other in itertools.combinations(pack.weights.values(), 2):
        assert one.data_ptr() != other.data_ptr()

"""What trainers call the things that we know: names of columns, keys and tags.

A name means the same in a CSV, a JSON line, a W&B export and a TensorBoard file. Where a file has
several names of one thing, the one that stands first here is taken.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.words.numbers import finite
from isoflop.ingest.words.split_words import EVALUATED, TRAINED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_kept = lru_cache(maxsize=1 << 14)
"""Keeps what a name means: each block of a file asks it of each of its names anew."""

SIZES: Final = ("params.total", "params.nonembedding", "params.active")
"""What tells how large a model is, in this order."""
COLUMNS: Final = {
    "step": (
        "train/global_step", "trainer/global_step", "global_step", "iteration", "train/step",
        "training_step", "num_updates", "time/batch", "step", "iter", "iters", "_step",
        "steps", "step_i", "update", "updates",
    ),
    "tokens": (
        "throughput/total_tokens", "optim/total_tokens", "total_tokens", "tokens_seen",
        "consumed_tokens", "train/num_input_tokens_seen", "num_input_tokens_seen",
        "train/num_tokens", "num_tokens", "train/tokens", "ntokens_seen", "n_tokens",
        "training_tokens", "train_tokens", "time/token", "tokens", "d",
    ),
    "train_loss": (
        "train/languagecrossentropy",
        "train/crossentropyloss", "train/cross_entropy_loss", "train/ce_loss", "train/xent",
        "train_cross_entropy_loss", "train_ce_loss", "train_xent", "train/ce", "train_ce",
        "train/loss", "train_loss", "training_loss", "train/lm_loss",
        "lm-loss-training/lm_loss", "lm_loss",
        "reduced_train_loss", "loss_metrics/global_avg_loss", "train/loss_step", "train_loss_step",
        "loss/train", "loss/train/total", "loss/out", "training/loss",
        "loss_per_nonpadding_target_token", "loss",
        "cross_entropy_loss", "cross_entropy", "ce_loss", "xent_loss", "xent", "ce",
    ),
    "lr": (
        "train/learning_rate", "optim/learning_rate_group0", "optim/lr_(group_0)", "train/lr",
        "optim/lr", "learning_rate", "learning-rate", "lr", "lr-adamw",
        "lr-decoupledadamw/group0", "lr-adamw/group0", "lr-decoupledlionw/group0",
    ),
    "grad_norm": (
        "train/grad_norm", "optim/total_grad_norm", "optim/grad_norm", "grad_norm", "grad-norm",
        "gradient_norm",
    ),
    "params.total": (
        "n_params", "num_params", "num_parameters", "params", "parameters", "parameter_count",
        "model_size", "total_params", "n",
    ),
    "params.active": (
        "params_active", "active_params", "n_active_params", "num_active_params",
        "n_params_active",
    ),
    "bytes_per_token": ("bytes_per_token",),
    "params.nonembedding": ("params_no_embed", "non_embedding_params", "n_nonembedding"),
    "tokens_per_step": (
        "batch_size_in_tokens", "tokens_per_step", "tokens_per_iter", "train_batch_tokens",
        "tokens_per_iteration", "tokens_per_update", "tokens_per_batch", "batch_tokens",
        "batch_size_tokens", "global_batch_tokens", "global_batch_size_tokens",
    ),
    "schedule.lr_peak": ("learning_rate_peak",),
    "run": ("run", "run_name", "run_id", "name"),
}  # fmt: skip
"""By value of a table, the names it goes by: lower case, blanks as underscores."""

MAY_NAME_RUNS: Final = ("model", "model_name", "experiment", "experiment_name", "exp", "exp_name")
"""Columns of text that name runs where no other does; each may also name a kind of run."""

UNIQUE: Final = (
    "unique_tokens", "tokens_unique", "n_unique_tokens", "num_unique_tokens", "dataset_tokens",
    "tokens_in_dataset", "tokens_per_epoch", "epoch_tokens",
)  # fmt: skip
"""Columns of the tokens of a data set, which several epochs repeat."""

SEEDS: Final = ("seed", "random_seed", "rng_seed", "data_seed", "model_seed", "init_seed")
"""Columns of seeds."""

FLOPS: Final = (
    "c", "flops", "flop", "compute", "training_flops", "training_flop", "train_flops",
    "total_flops", "compute_budget", "flops_budget", "flop_budget", "budget_flops", "c_6nd", "6nd",
)  # fmt: skip
"""Columns of compute, by which D follows from N where a table of finished runs has no tokens."""

ALL_STEPS: Final = (
    "total_steps", "max_steps", "max_iters", "train_steps", "num_steps", "n_steps", "train_iters",
    "total_iters", "num_train_steps",
)  # fmt: skip
"""Columns of all steps of a finished run."""

PER_PARAMETER: Final = (
    "tokens_per_param", "tokens_per_parameter", "tokens/param", "tokens/parameter", "tokens_per_n",
    "d/n", "d_over_n", "tpp",
)  # fmt: skip
"""Columns of tokens per parameter, by which D follows from N."""

_FLOPS_OF: Final = {
    r"k": 1e3, r"m|mega": 1e6, r"g|giga": 1e9, r"t|tera": 1e12, r"p|peta": 1e15, r"e|exa": 1e18,
    r"z|zetta": 1e21, r"y|yotta": 1e24,
}  # fmt: skip
_DAYS: Final = r"(?:p|peta)_?-?(?:f|flops?)(?:/s)?[_ -]*days?"
SECONDS_A_DAY: Final = 86_400.0
COMPUTE_UNITS: Final = (1e12, 1e15, 1e18, 1e15 * SECONDS_A_DAY, 1e21)
"""What compute may be in, teraFLOPs to zettaFLOPs, and petaFLOP/s-days among them."""

CROSS_ENTROPY: Final = ("cross_entropy_loss", "cross_entropy", "ce_loss", "xent_loss", "xent", "ce")
"""Names of what a loss in training may have other terms beside."""

COUNTS: Final = (
    "tokens", "params.total", "params.active", "params.nonembedding", "tokens_per_step", "step",
)  # fmt: skip
"""Values whose columns may be in thousands or millions of what they count."""

_BATCH: Final = (
    "global_batch_size", "global_train_batch_size", "train_batch_size", "batch_size", "batch",
    "global_batch", "batchsize", "bs",
)  # fmt: skip
"""Columns of the sequences of a step; some may be those of one device."""
_CONTEXT: Final = (
    "seq_len", "sequence_length", "seq_length", "max_seq_len", "max_seq_length", "seqlen",
    "context_length", "context_len", "context", "ctx_len", "n_ctx", "ctx", "block_size",
)  # fmt: skip
"""Columns of the tokens of a sequence."""

_UNITS_OF_COUNTS: Final = {
    r"k|thousands?": 1e3,
    r"m|mn|mio[/.]?|millions?": 1e6,
    r"b|bn|g|mrd[/.]?|billions?": 1e9,
    r"t|tn|trillions?": 1e12,
}
_POWER: Final = r"(?:10\^|1e)\+?0?(3|6|9|12)"

EVAL_LOSS: Final = (
    "eval/loss", "val/loss", "valid/loss", "validation/loss", "test/loss_validation", "val_loss",
    "eval_loss", "valid_loss", "validation_loss", "loss/val", "loss/eval", "loss/validation",
    "eval/languagecrossentropy",
    "lm_loss_validation", "validation_metrics/loss", "lm-loss-validation/lm_loss_validation",
)  # fmt: skip
"""Names of the loss on a file's one eval set."""

FINAL_LOSS: Final = (
    "final_loss", "final_val_loss", "loss", "l", "cross_entropy_loss", "cross_entropy", "ce_loss",
    "xent_loss", "xent", "l_val", "l_valid", "l_validation", "l_eval", "val_l", "l_test",
)  # fmt: skip
"""Names of the loss in a table of finished runs, besides `EVAL_LOSS`."""

BITS_PER_BYTE: Final = tuple(
    name
    for unit in ("bpb", "bits_per_byte", "bpc", "bits_per_character")
    for name in (
        f"eval/{unit}", f"val/{unit}", f"validation/{unit}", f"eval_{unit}", f"val_{unit}",
        f"validation_{unit}", *((unit,) if "c" not in unit else ()),
    )
)  # fmt: skip
"""Names of the loss on a file's one eval set in bits per byte, or per character, of which
`bytes_per_token` says how many a token has; `bpc` alone is often of training."""

_OF_SET = re.compile(
    r"(?:eval|val|valid|validation)/(?:lm/)?(.+)/(?:crossentropyloss|languagecrossentropy|ce_loss|loss"
    r"|lm_loss)|lm_loss_validation-((?:(?!_ppl$|_vs_).)+)"
)


_BYTES_OF_SET = re.compile(
    r"(?:eval|val|valid|validation)/(?:lm/)?(.+)/(?:bpb|bits_per_byte|bpc|bits_per_character)"
)


_UNITS: Final = {
    "bits_per_byte": r"bp[bc]|bits?[_/]per[_/](?:byte|char(?:acter)?)|bits?/(?:byte|char)",
    "bits_per_token": r"bits|bpt|log_?2|base_?2|bits?[_/]per[_/]token|bits?/token",
    "perplexity": r"ppl|perplexity",
    "nats_per_token": r"nats?|nats?[_/]per[_/]token|ce|ce_?loss|cross_?entropy(?:_?loss)?",
}

_LOSS_WORDS: Final = r"loss|entropy|(?:^|[^a-z])(?:bpc|nll|xent)(?:$|[^a-z])"


@_kept
def plain(name: str) -> str:
    """Write a name as the tables of this module do; keys of nested objects are a path.

    W&B's tables of runs name columns after where their values are kept, `config.lr`, and so are the
    keys of nested JSON, `results.val_loss`; `final.val_loss` is a run's at its end.
    """
    words = re.sub(r"\s+", "_", name.strip().lower()).replace(".", "/")
    words = re.sub(rf"^(?:{_PLACES})/", "", words)
    return re.sub(r"^final/(?=[a-z_]*loss$)", "final_", words)


_PLACES: Final = "config|configs|summary|summary_metrics|results?|metrics|hparams|args"
"""Where values are kept; a column is named after the group that its value is in."""


_OF_LAUNCHES = re.compile(
    r"(?:^|[^a-z])(?:restart|resum|(?:re)?launch|attempt|recover|reload|retr[iy]|host|nodes?\b|job|slurm"
    r"|ranks?\b|pids?\b|time|wall|dates?\b|gpu|device|worker|machine|session|tr(?:y|ies)\b|epoch"
    r"|git|sha\d*\b|hash|commit|revision|rev\b|branch|world|accum|acc_steps|grad_acc|every\b"
    r"|interval|compil|wandb|uuid|image|docker|container|cuda|torch|driver|path|dir\b|file|checkpoint"
    r"|ckpt|log_freq|prefetch|user\b|cluster|partition|queue|region)"
)
_OF_LAUNCHES_OR_RUNS = re.compile(r"(?:^|[^a-z])(?:ids?|version)\b")
_OF_RUNS = re.compile(r"(?:^|[^a-z])(?:run|config|cfg|exp|experiment|trial|model|sweep)\b")


@_kept
def is_of_launches(name: str) -> bool:
    """Tell whether a column is of what each launch of a run has anew: a job, a machine, the code.

    It tells no runs apart, as each launch of one run may say something else there.

    Parameters
    ----------
    name : a column's.
    """
    words = re.sub(r"[/_.\-]+", " ", plain(name))
    if _OF_LAUNCHES.search(words):
        return True
    return bool(_OF_LAUNCHES_OR_RUNS.search(words)) and not _OF_RUNS.search(words)


_OF_TRAINING = re.compile(
    r"(?:^|[^a-z])(?:lrs?|learning rate|peak|seeds?|size|params?|parameters|width|depth|n? ?layers?"
    r"|d ?model|hidden|heads?|schedules?|schedulers?|batch|bsz?|gbs|budget|flops?|compute|target"
    r"|(?:total|max|num|all|n|train)_? ?(?:steps?|iters?|tokens?|updates?)|duration|decay|warm ?up"
    r"|optimi[sz]er|momentum|betas?|beta\d|dropout|wd|data|dataset|mixture|vocab\w*|tokeni[sz]er"
    r"|context|seq\w*|arch\w*|variant|group|label|setting|run|name|config|cfg|exp|experiment|trial"
    r"|model|sweep)\b"
)


@_kept
def tells_training(name: str) -> bool:
    """Tell whether a column is of what a run is trained with, or called by.

    Another value there makes another run of what begins at the first step once more, however short
    it was.

    Parameters
    ----------
    name : a column's.
    """
    return bool(_OF_TRAINING.search(re.sub(r"[/_.\-]+", " ", plain(name))))


def counts_embeddings(name: str) -> bool:
    """Tell whether a column counts the parameters of embeddings, which N has beside the others."""
    words = {*re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())}
    return bool(words & _EMBEDDED and words & _PARAMS) and words <= _EMBEDDED | _PARAMS | _AROUND


def counts_parameters(name: str) -> bool:
    """Tell whether a column counts parameters of whatever part of a model."""
    return bool({*re.findall(r"[a-z]+", name.lower())} & _PARAMS)


def find_epoch(names: Iterable[str]) -> str | None:
    """Find the column that counts epochs."""
    return next((name for name in names if plain(name) in _EPOCHS), None)


def find_all_epochs(names: Iterable[str]) -> str | None:
    """Find the column of how often finished runs read their data, by a name of several epochs."""
    return next((name for name in names if plain(name) in _ALL_EPOCHS), None)


_ALL_EPOCHS: Final = frozenset({"epochs", "n_epochs", "num_epochs", "num_train_epochs"})
_EPOCHS: Final = frozenset({"epoch", "epochs", "train_epoch", "training_epoch"})


def updates_by_epoch(epoch: str, first: object, step: str) -> str:
    """Write the formula of the updates so far from a step that counts anew in every epoch."""
    return f'("{epoch}" - {first}) * <steps of an epoch> + "{step}"'


def find(value: str, names: Iterable[str]) -> str | None:
    """Find which of a file's names means a value; None if none does."""
    listed = list(names)
    by_plain = {plain(name): name for name in reversed(listed)}
    known = next((by_plain[known] for known in COLUMNS[value] if known in by_plain), None)
    if known is not None or value not in _BY_WORDS:
        return known
    return next((name for name in listed if counted_by_words(name) == value), None)


@_kept
def counted_by_words(name: str) -> str | None:
    """Tell by its words what a count is of; None where they say something else, or nothing.

    `param_count`, `nParams` and `total_parameters` are N, `N (non-emb)` is N without embeddings,
    `#tokens` and `tokens_processed` are D; `params_per_layer` and `embedding_params` are neither.
    """
    if re.fullmatch(r"N[ _]*[(\[]?[ _]*(?:total|all)[ _]*[)\]]?", name.strip()):
        return "params.total"
    if re.fullmatch(r"D[ _]*[(\[]?[ _]*(?:total|all|train)[ _]*[)\]]?", name.strip()):
        return "tokens"
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("#", " number ").lower()
    words = " ".join(re.findall(r"[a-z]+", re.sub(r"w/o?(?![a-z])", _in_full, apart)))
    words = re.sub(r"\b(n|num)(?=param|token)", r"\1 ", words)
    conventions = set()
    for value, pattern in _CONVENTIONS.items():
        left = re.sub(pattern, " ", words)
        conventions |= {value} if left != words else set()
        words = left
    told = {*words.split()}
    if len(conventions) < 2 and told & _PARAMS and told <= _PARAMS | _AROUND | _MODEL:
        return next(iter(conventions), "params.total")
    if told == {"n"} and len(conventions) == 1:
        return next(iter(conventions))
    tokens = told & _TOKENS and told <= _TOKENS | _AROUND | _READ
    return "tokens" if tokens and not conventions else None


@_kept
def loss_by_words(name: str) -> bool:
    """Tell by its words whether a name is that of a loss; `final_train_loss`, `val_ce`, `nll`.

    `loss_scale` and `aux_loss_weight` are none.
    """
    words = {*re.findall(r"[a-z]+", name.lower().replace("crossentropy", "cross entropy"))}
    if words <= {"ce", "l"}:
        return False
    return bool(words & _LOSSES) and words <= _LOSSES | _OF_LOSSES


_LOSSES: Final = frozenset({"loss", "ce", "entropy", "nll", "xent"})
_OF_LOSSES: Final = frozenset(
    {"cross", "final", "last", "best", "min", "lowest", "end", "held", "out", "mean", "avg",
     "average", "lm", "model", "smoothed", "ema"} | EVALUATED | TRAINED
)  # fmt: skip


def _in_full(match: re.Match[str]) -> str:
    return " without " if match[0].endswith("o") else " with "


_EMBEDDINGS: Final = r"(?:the )?(?:emb|embed|embeds|embedding|embeddings)\b"
_WITHOUT: Final = r"(?:non|no|not|ex|excl|exclude|excluding|minus|without)"
_CONVENTIONS: Final = {
    "params.nonembedding": rf"\b(?:{_WITHOUT} ?{_EMBEDDINGS}|ne\b)",
    "params.total": rf"\b(?:incl|include|including|with|and) {_EMBEDDINGS}",
    "params.active": r"\b(?:active|activated)\b",
}
"""By what is counted, how names say so."""
_EMBEDDED: Final = frozenset({"emb", "embed", "embeds", "embedding", "embeddings"})
_PARAMS: Final = frozenset({"param", "params", "parameter", "parameters"})
_TOKENS: Final = frozenset({"token", "tokens"})
_AROUND: Final = frozenset({"n", "num", "number", "no", "count", "counts", "of", "the", "total"})
"""Words that say nothing of what is counted."""
_MODEL: Final = frozenset({"model", "size", "all", "network", "trainable"})
_READ: Final = frozenset(
    {"d", "train", "training", "trained", "seen", "processed", "consumed", "so", "far",
     "cumulative"}
)  # fmt: skip
_BY_WORDS: Final = ("params.total", "params.nonembedding", "params.active", "tokens")


def run_column(names: Iterable[str]) -> str | None:
    """Find which of a table's names is that of its runs' names."""
    listed = list(names)
    by_plain = {plain(name): name for name in reversed(listed)}
    others = (by_plain[name] for name in MAY_NAME_RUNS if name in by_plain)
    return find("run", listed) or next(others, None)


def find_count(value: str, names: Iterable[str]) -> tuple[str, float] | None:
    """Find which of a file's names means a count, and the unit that the name has; None: none does.

    `params (M)` and `tokens_b` are millions of parameters and billions of tokens.
    """
    listed = list(names)
    if (bare := find(value, listed)) is not None:
        return bare, 1.0
    counted = {
        told[0]: (name, told[1])
        for name in reversed(listed)
        if (told := without_unit(set_apart(name))) is not None
    }
    known = next((counted[known] for known in COLUMNS[value] if known in counted), None)
    if known is not None or value not in _BY_WORDS:
        return known
    return next((each for words, each in counted.items() if counted_by_words(words) == value), None)


def find_compute(names: Iterable[str]) -> tuple[str, float | None] | None:
    """Find which of a file's names means compute, and the FLOPs in its unit; None: none does.

    `C [EFLOPs]` and `PF-days` have a unit, `compute` has 1.0, and of `log10_flops` it is None.
    """
    listed = list(names)
    bare = next((name for name in listed if plain(name) in FLOPS), None)
    if bare is not None:
        return bare, 1.0
    told = ((name, compute_unit(plain(name))) for name in listed)
    return next(((name, unit[0]) for name, unit in told if unit is not None), None)


@_kept
def compute_unit(words: str) -> tuple[float | None] | None:
    """Tell the unit of compute by a plain name, None within of a logarithm; None of other names."""
    what = "|".join(FLOPS)
    if re.fullmatch(rf"log_?(?:10|_)?_?\(?(?:{what})\)?|(?:{what})_?\(?_?log_?(?:10)?\)?", words):
        return (None,)
    ends = rf"(?:(?:{what})_?)?[(\[]?_?"
    if re.fullmatch(rf"{ends}{_DAYS}_?[)\]]?", words):
        return (1e15 * SECONDS_A_DAY,)
    for pattern, factor in _FLOPS_OF.items():
        if re.fullmatch(rf"{ends}(?:{pattern})_?flops?_?[)\]]?", words):
            return (factor,)
    power = rf"(?:{what})_?[(\[/][x×*]?_?(?:10\^|1e)\+?([0-9]{{1,2}})(?:_?flops?)?[)\]]?"
    if match := re.fullmatch(power, words):
        return (float(f"1e{match[1]}"),)
    return None


def find_batch(names: Iterable[str], *, sure: bool = False) -> tuple[str, str] | None:
    """Find the sequences of a step and the tokens of a sequence; None if one is not there.

    Parameters
    ----------
    sure : whether the name must say that the sequences are those of all devices.
    """
    by_plain = {plain(name): name for name in reversed(list(names))}
    batches = [name for name in _BATCH if name.startswith("global") or not sure]
    batch, context = (
        next((by_plain[name] for name in known if name in by_plain), None)
        for known in (batches, _CONTEXT)
    )
    return None if batch is None or context is None else (batch, context)


@_kept
def set_apart(name: str) -> str:
    """Write a name plainly, with brackets around a capital letter that is a unit: tokensM, D B."""
    return plain(re.sub(r"(?<=[a-z])([KMBT])$|(?<=^[ND]) ([KMBT])$", r" (\1\2)", name.strip()))


@_kept
def without_unit(words: str) -> tuple[str, float] | None:
    """Split a plain name into what is counted and the unit; None where it has none.

    A letter alone, as N and D are, has its unit in brackets: `n_t` may be anything.
    """
    for pattern, factor in _UNITS_OF_COUNTS.items():
        last = rf"(?:in_)?(?:{pattern})"
        inside = rf"(?:[a-z]+,_?)?[x×]?_?{last}(?:_(?:of_)?[a-z]+)?"
        if match := re.fullmatch(rf"(.+?)_?(?:\({inside}\)|\[{inside}\])", words):
            return match[1], factor
        if match := re.fullmatch(rf"(..+?)[_/]{last}", words):
            return match[1], factor
        long = "|".join(each for each in pattern.split("|") if len(each) > 2)
        if match := re.fullmatch(rf"(?:{long})_(?:of_)?(..+)", words):
            return match[1], factor
    if match := re.fullmatch(rf"(.+?)_?[(\[][x×*/]?_?{_POWER}(?:_[a-z]+)?[)\]]", words):
        return match[1], float(f"1e{match[2]}")
    if match := re.fullmatch(rf"(.+?)_?/_?{_POWER}", words):
        return match[1], float(f"1e{match[2]}")
    return None


def loss_curve(most: Mapping[str, int]) -> tuple[str | None, list[str]]:
    """Find which of a file's names means the curve of the loss in training.

    The HF Trainer's `train_loss` is one value, the mean of the whole run, beside the curve `loss`.

    Parameters
    ----------
    most : by name, how many values of it the run has that has most of them.

    Returns
    -------
    The first known name with several values, or else the first known; and the known names before it
    that have a single one.
    """
    named = find("train_loss", most)
    curve = find("train_loss", [name for name, count in most.items() if count > 1])
    if curve is None or curve == named:
        return named, []
    order = COLUMNS["train_loss"]
    before = [name for name in most if plain(name) in order[: order.index(plain(curve))]]
    return curve, before


def no_curve(names: Sequence[str], curve: str | None) -> str:
    """Say of losses in training that they are single values beside a curve."""
    return (
        f"no curve, with one value a run, as the mean of a whole run has: {', '.join(names)}; "
        f"the loss is '{curve}'"
    )


@_kept
def may_be_loss(name: str) -> bool:
    """Tell whether something is called as losses are; the scale of a loss is a setting."""
    words = plain(name)
    if re.search(r"loss_?scal", words):
        return False
    return unit_of(name) is not None or re.search(_LOSS_WORDS, words) is not None


def of_rewards(names: Iterable[str]) -> str | None:
    """Find the name of a reward, or of a policy's loss, which no pretraining has; None without."""
    rewards = (
        r"(?:^|[^a-z])(?:rewards?|rew|pg_loss|pg_clipfrac|policy_loss|ppo_kl|grpo_loss|advantages?)"
        r"(?:$|[^a-z])"
    )
    return next((name for name in names if re.search(rewards, plain(name))), None)


REWARDED: Final = (
    "'{}' is of reinforcement learning or of preferences, whose loss is none of pretraining"
)
"""Why a log with a reward is not read."""


@_kept
def may_be_the_loss(name: str) -> bool:
    """Tell whether something that is called as losses are may be that of the model's data.

    `aux_loss`, `target_loss`, `initial_loss` and `loss_std` are others.
    """
    return may_be_loss(name) and re.search(_OF_OTHERS, plain(name)) is None


_OF_OTHERS: Final = (
    r"(?:^|[^a-z])(?:aux|auxiliary|z|target|goal|init|initial|first|std|stdev|stderr|sem|var|delta"
    r"|diff|change|improvement|gap|ratio|weight|coefs?|coeffs?|router|balance|balancing|load|mtp|kl"
    r"|threshold|smoothing|distill|distillation)(?:$|[^a-z])"
)


@_kept
def unit_of(name: str) -> str | None:
    """Tell the unit of a loss by its name, in the words of `loss_unit`; None if it tells none."""
    words = plain(name)
    return next(
        (
            unit
            for unit, pattern in _UNITS.items()
            if re.search(rf"(?:^|[^a-z])(?:{pattern})(?:$|[^a-z])", words)
        ),
        None,
    )


def eval_sets(names: Iterable[str]) -> dict[str, str]:
    """Find the losses on eval sets.

    Returns
    -------
    By eval set the file's name for its loss; the one set of a file that names none is `eval`.
    """
    return _sets(names, _OF_SET, EVAL_LOSS)


def eval_sets_in_bytes(names: Iterable[str]) -> dict[str, str]:
    """Find the losses on eval sets that are in bits per byte; as `eval_sets`."""
    return _sets(names, _BYTES_OF_SET, BITS_PER_BYTE)


def evaluated(name: str) -> tuple[str, str] | None:
    """Tell the eval set and the metric of a value as the HF Trainer names it; None of others.

    `eval_loss` is on the set `eval`, `eval_c4_loss` on `c4`.
    """
    if not name.startswith("eval_"):
        return None
    end = next((end for end in _EVALUATED if name.endswith(end)), None)
    if end is None:
        return None
    return name.removeprefix("eval_").removesuffix(end).strip("_") or "eval", _EVALUATED[end]


def tokens_seen(record: Mapping[str, Any]) -> float | None:
    """Give the tokens so far by a record of the HF Trainer or of what is built on it; None: none.

    TRL counts them always, as `num_tokens`, and axolotl, as `tokens/total`; others where `COUNTER`
    is set.
    """
    return next((finite(record[name]) for name in _SEEN if name in record), None)


COUNTER: Final = "include_num_input_tokens_seen: true"
"""The setting of the HF Trainer by which it counts tokens."""
_SEEN: Final = ("num_input_tokens_seen", "num_tokens", "tokens/total")
_EVALUATED: Final = {"loss": "loss", "bpb": "bits_per_byte", "bits_per_byte": "bits_per_byte"}


def _sets(names: Iterable[str], of_set: re.Pattern[str], alone: Sequence[str]) -> dict[str, str]:
    listed = list(names)
    matches = ((of_set.fullmatch(plain(name)), name) for name in listed)
    by_set = {match[match.lastindex or 0]: name for match, name in matches if match}
    by_plain = {plain(name): name for name in reversed(listed)}
    single = next((by_plain[known] for known in alone if known in by_plain), None)
    return {"eval": single, **by_set} if single is not None else by_set

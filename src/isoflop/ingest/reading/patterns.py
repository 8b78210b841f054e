"""The table of patterns by which a raw file's format is recognised.

A format is one row here, one module of the same name in `formats/`, and one fixture in
tests/ingest/fixtures; the conformance test finds it by itself. Rows that refuse name what a file
is, and why it is not read.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.heads import is_head_alone, is_number, separator_of, without_comments
from isoflop.ingest.reading.json_table import has_columns
from isoflop.ingest.reading.named_values import MAY_TELL_LOSS, MAY_TELL_SET, form_of, unwrapped
from isoflop.ingest.reading.source import clean
from isoflop.ingest.words.numbers import NUMBER, json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isoflop.ingest.reading.named_values import Form


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one format looks.

    Attributes
    ----------
    format : its name: that of its module, or what the file is if it is refused.
    magic : first bytes that settle it, as a regular expression.
    line : a record in clean text; every match counts one.
    looks : counts records where no regular expression can.
    least : matches without which the file is not of this format.
    general : whether other formats would match too; it wins only where no other does.
    last : whether it is asked only where nothing else matches.
    refused : why such a file is never read.
    archive : whether it holds files, each with a fate of its own.
    """

    format: str
    magic: re.Pattern[bytes] | None = None
    line: re.Pattern[str] | None = None
    words: tuple[str, ...] = ()
    looks: Callable[[str], int] | None = None
    least: int = 1
    general: bool = False
    last: bool = False
    refused: str = ""
    archive: bool = False

    def count(self, text: str) -> int:
        """Count the records in clean text."""
        if self.looks is not None:
            return self.looks(text)
        if self.line is None or (self.words and not any(word in text for word in self.words)):
            return 0
        return len(self.line.findall(text))


def _rows_of_a_table(text: str) -> int:
    """Count JSON lines; or 1 for a head of names above a row with a number in a cell."""
    json_lines = sum(
        line.startswith('{"') and line.endswith("}") for line in text.split("\n", LINES_COUNTED)
    )
    table, _ = without_comments(text.lstrip("\n"))
    head, first = [*table.split("\n", 2), ""][:2]
    separator = separator_of(head)
    if json_lines or separator not in head:
        return json_lines
    if is_head_alone(table):
        return 1
    try:
        names, cells = (next(csv.reader([line], delimiter=separator), []) for line in (head, first))
    except csv.Error:
        return 0
    bare = re.sub(r'"[^"\n]*"', "", head)
    named = any(re.search(r"[A-Za-z]", name) for name in names) and not _is_logged(head)
    plain = not re.search(r"[:=|]", bare) or len(cells) == len(names) >= LEAST_CELLS
    return int(named and plain and any(map(is_number, cells)))


_LOGGED_AT: Final = re.compile(r"\W*[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")


def _is_logged(head: str) -> bool:
    """Tell a line of a log, whose thousands marks part no cells, from the names of columns."""
    return _LOGGED_AT.match(head) is not None or form_of(unwrapped(head)).is_record


def _has_log_history(text: str) -> int:
    """Tell the state of the HF Trainer by its keys; it may stand on one line or on many."""
    keys = ('"log_history"', '"global_step"')
    head = text.lstrip()
    first, _, rest = head.partition("\n")
    lines = json_object(first) is not None and rest.strip()
    matches = head.startswith("{") and not lines and all(key in text for key in keys)
    return 1_000_000 if matches else 0


def _has_results(text: str) -> int:
    """Tell what the HF Trainer writes of a whole run by its keys."""
    told = json_object(text) if '_runtime"' in text else None
    return int(told is not None and bool({"train_runtime", "eval_runtime"} & told.keys()))


def _has_comet_metrics(text: str) -> int:
    """Tell what Comet's `get_metrics` gives: an object a value."""
    keys = ('"metricName"', '"metricValue"', '"step"')
    return 1_000_000 if text.lstrip()[:1] in {"[", "{"} and all(key in text for key in keys) else 0


def _has_clearml_scalars(text: str) -> int:
    """Tell what ClearML's `get_reported_scalars` gives: title, series, and two lists."""
    lists = re.search(r'\{\s*"name": ?"[^"\n]*",\s*"x": ?\[[^\]]*\],\s*"y": ?\[', text)
    return 1_000_000 if text.lstrip().startswith("{") and lists else 0


def _has_progress_bar(text: str) -> int:
    """Tell Lightning's bar with a loss behind it; where lines are records of a format, they win."""
    bar = r"\bEpoch [0-9]+: [^\n|]{0,12}%\|[^|\n]*\| [0-9]+/[0-9]+ \[[^\]\n]*loss[^=\n]*="
    return int("%|" in text and re.search(bar, text) is not None)


def _has_keras_bar(text: str) -> int:
    """Tell the bar of Keras with a loss behind it, or the line an epoch that it prints instead."""
    bar = (
        r"[0-9]+/[0-9]+ (?:(?:\[[=>.]+\]|[\u2501 ]+) [^\n]{0,40}/(?:step|epoch)"
        r"|- [0-9hms:]{1,12}(?: - [^\n]{0,20}/(?:step|epoch))?) - (?:[^\n]* - )?loss: "
    )
    return int("loss: " in text and re.search(bar, text) is not None)


def _has_golden_values(text: str) -> int:
    """Tell the golden values of Megatron by their keys."""
    head = text.lstrip()
    keys = ('"start_step"', '"step_interval"', '"values"')
    return 1_000_000 if head.startswith("{") and all(key in text for key in keys) else 0


def _has_open_lm_record(text: str) -> int:
    """Tell open_lm's record of a model by its keys."""
    keys = ('"hyperparameters"', '"open_lm_version"', '"results"')
    head = text.lstrip()
    return 1_000_000 if head.startswith("{") and all(key in text for key in keys) else 0


def _named_losses(text: str) -> int:
    """Count lines that name a step and a loss, or else a set; enough of them are as good as all."""
    lines = text.split("\n")
    losses = _counted(lines, MAY_TELL_LOSS, lambda form: form.is_record)
    return losses or _counted(lines, MAY_TELL_SET, lambda form: form.tells_axis and form.tells_set)


def _counted(lines: Iterable[str], words: str, told: Callable[[Form], bool]) -> int:
    """Count lines that have some word and a form, no further than is asked."""
    having = re.compile(words)
    matching = (line for line in lines if having.search(line) and told(form_of(unwrapped(line))))
    return sum(1 for _ in islice(matching, RECORDS_COUNTED))


RECORDS_COUNTED: Final = 10
"""Lines with a step and a loss that tell lines of nobody's format."""
LINES_COUNTED: Final = 10_000
"""Lines looked at for JSON lines; a table of more is one already."""
LEAST_CELLS: Final = 4
"""Cells in both of the first rows from which names with a colon or an equals sign are believed."""

RANK_LABEL: Final = r"(?:\[[A-Za-z]{0,8}[0-9]{1,5}\]:?|(?:[a-z]+[-_]?)?[0-9]{1,5}:)?"
"""What a launcher may write before a line."""

PATTERNS: Final = (
    Pattern(
        "git-lfs pointer",
        magic=re.compile(rb"version https://git-lfs\.github\.com/spec/"),
        refused="not downloaded: this is a git-LFS pointer; run: git lfs pull",
    ),
    Pattern(
        "pickle",
        magic=re.compile(rb"\x80[\x02-\x05]"),
        refused="a pickle runs code when it is loaded, so it is never opened; "
        "export it to CSV, JSON lines or Parquet where you trust it",
    ),
    Pattern("zip", magic=re.compile(rb"PK\x03\x04"), archive=True),
    Pattern("tar", magic=re.compile(rb"(?s).{257}ustar"), archive=True),
    Pattern(
        "model weights",
        magic=re.compile(rb"GGUF|\x89HDF\r\n|.{7}\0\{\"", re.DOTALL),
        refused="weights, and no log",
    ),
    Pattern(
        "SwanLab backup",
        magic=re.compile(rb"(?s).{0,64}swanlab"),
        refused="SwanLab's backup, whose form changes with its versions: export the run by "
        "swanlab.Api().run(...).metrics(...).to_csv(...)",
    ),
    Pattern(
        "tensorboard",
        magic=re.compile(rb"(?s).{8,72}brain\.Event:2"),
    ),
    Pattern(
        "wandb",
        magic=re.compile(rb":W&B\xe1\xbe"),
    ),
    Pattern("mlruns", magic=re.compile(rb"isoflop mlruns\n")),
    Pattern("mlflow", magic=re.compile(rb"(?s)SQLite format 3\0.*CREATE TABLE.*run_uuid")),
    Pattern("trackio", magic=re.compile(rb"(?s)SQLite format 3\0.*CREATE TABLE.*run_name TEXT")),
    Pattern(
        "SQLite database",
        magic=re.compile(rb"SQLite format 3\0"),
        refused="a database of no known tracker (MLflow and trackio are known); export its metrics "
        "to CSV",
    ),
    Pattern(
        "isoflop_train",
        words=('{"kind":',),
        line=re.compile(
            r'(?m)^\{"kind": ?"(?:header", "format": "isoflop-train"|'
            r'(?:train|eval)", ?"step": ?\d+, ?"tokens": ?\d+, ?"(?:train_loss|eval_set)")'
        ),
    ),
    Pattern(
        "nanogpt",
        words=(
            ": loss ",
            ": train loss ",
        ),
        line=re.compile(
            rf"\biter \d+: loss {NUMBER}(?:, [a-z_]+ {NUMBER})*, time {NUMBER}m?s"
            rf"|\bstep \d+: train loss {NUMBER}(?: \([^)\n]*\) \||,) val loss {NUMBER}"
        ),
    ),
    Pattern(
        "torchtitan",
        words=("step:",),
        line=re.compile(rf"\bstep: *\d+ +loss: *{NUMBER}(?= +(?:grad_norm|memory):)"),
    ),
    Pattern(
        "modded_nanogpt",
        words=("train_time:", " val_bpb: "),
        line=re.compile(
            r"\bstep:\d+/\d+ (?:(?:train|val)_loss:\S+ (?:val_bpb:\S+ )?)?train_time:"
            r"|(?m:^)\d+/\d+ (?:train_loss: \S+ train_time: |val_loss: \S+ val_bpb: )"
        ),
    ),
    Pattern(
        "nanochat",
        words=(
            "%) | loss: ",
            "| Validation bpb: ",
            "| Training loss: ",
        ),
        line=re.compile(
            rf"\bstep \d+/\d+ \([\d.]+%\) \| loss: {NUMBER} \|"
            rf"|\bstep \d+ \([\d.]+%\) \| loss: {NUMBER} \|[^\n]* (?:remaining|total time): "
            rf"|\bStep \d+/\d+ \| Training loss: {NUMBER} ?\| lrm: "
            rf"|\bStep \d+ \| Validation bpb: {NUMBER}"
        ),
    ),
    Pattern(
        "llmc",
        words=(
            " trl:",
            " tel:",
            " eval:",
        ),
        line=re.compile(rf"(?m)^s:\d+ (?:trl|tel|eval):{NUMBER}(?= lr:|$)"),
    ),
    Pattern(
        "llmc_stdout",
        words=(")| norm ",),
        line=re.compile(
            rf"\bstep +[0-9]+/[0-9]+ \| loss {NUMBER} \([^)|\n]{{1,20}}\)\| norm {NUMBER} "
        ),
    ),
    Pattern(
        "build_nanogpt",
        words=(
            " train ",
            " val ",
            " hella ",
            " | loss: ",
        ),
        line=re.compile(
            rf"(?m)^\d+ (?:train|val|hella) {NUMBER}$"
            rf"|^[Ss]tep +\d+ \| loss: {NUMBER} \| *(?:lr:? {NUMBER} \| *)?"
            rf"(?:norm: *{NUMBER} \| *)?dt: *[0-9]"
        ),
    ),
    Pattern(
        "megatron",
        words=(
            "iteration ",
            "loss value:",
        ),
        line=re.compile(
            r"\biteration +\d+/ *\d+ \|[^\n]*\|"
            r"|\bvalid(?:ation)? (?:loss|results) at (?:iteration )?\d+[^|\n]*\| lm[ _]loss value:"
        ),
    ),
    Pattern(
        "olmo",
        words=("[step=",),
        line=re.compile(rf"\[step=\d+/(?:\d+|\?\?\?)[^\]\n]*\]\n{RANK_LABEL} +[a-z][^=\n]*=\S"),
    ),
    Pattern(
        "hf_stdout",
        words=("'epoch': ",),
        line=re.compile(
            rf"\{{'(?:eval_)?loss': '?{NUMBER}'?, [^\n]*'epoch': '?{NUMBER}'?[^\n]*\}}"
        ),
    ),
    Pattern(
        "hf_results",
        looks=_has_results,
    ),
    Pattern(
        "report of nanochat",
        looks=lambda text: text.lstrip().startswith(
            ("# nanochat training report", "## Base model training\n")
        ),
        refused="the last values alone: drop in what base_train printed",
    ),
    Pattern(
        "results of autoresearch",
        looks=lambda text: text.lstrip().startswith("commit\tval_bpb\tmemory_gb\tstatus\t"),
        refused="the last values alone, without N and D: drop in the run.log of each experiment",
    ),
    Pattern(
        "veRL",
        words=("step:",),
        line=re.compile(r"\bstep:[0-9]+ - (?:[^\s:]+:\S+ - )*(?:actor|critic|reward)/"),
        refused="reinforcement learning, which has no pretraining loss; where its SFT trainer ran, "
        """have its losses written by trainer.logger='["console","tensorboard"]' and drop in the """
        "event files of tensorboard_log/<project>/<experiment>",
    ),
    Pattern(
        "Comet's metrics",
        looks=_has_comet_metrics,
        refused="a value a row: write a row a step, a column a metric, to CSV, in pandas by "
        "DataFrame(metrics).pivot_table('metricValue', 'step', 'metricName')",
    ),
    Pattern(
        "ClearML's scalars",
        looks=_has_clearml_scalars,
        refused="a list a series: write a row a step, a column a series, to CSV, in pandas by "
        "DataFrame({series: Series(s['y'], s['x']) for series, s in scalars[title].items()})",
    ),
    Pattern("trainer_state", looks=_has_log_history),
    Pattern("golden", looks=_has_golden_values),
    Pattern("open_lm_model", looks=_has_open_lm_record),
    Pattern("mllog", words=(":::MLL",), line=re.compile(r"(?m)^(?: *[0-9]+: )?:::MLL(?:OG)? \{")),
    Pattern(
        "llamafactory",
        words=('{"current_steps": ',),
        line=re.compile(r'(?m)^\{"current_steps": [0-9]+, "total_steps": '),
    ),
    Pattern(
        "swift",
        words=("global_step/max_steps", '"iteration": "'),
        line=re.compile(r'"(?:global_step/max_steps|iteration)": "[0-9]+/[0-9]+"'),
    ),
    Pattern(
        "levanter",
        words=(
            '{"tracker":',
            '"summary":',
        ),
        line=re.compile(r'(?m)\{"tracker": ?"json_logger", |^\{"config": ?\{[^\n]*"summary": ?\{'),
    ),
    Pattern(
        "maxtext",
        words=("completed step: ",),
        line=re.compile(rf"\bcompleted step: [0-9]+, seconds: [^\n]*\bloss: {NUMBER}"),
    ),
    Pattern(
        "automodel",
        words=(" | epoch ",),
        line=re.compile(rf"\bstep [0-9]+ \| epoch [0-9]+ \| loss {NUMBER} \|"),
    ),
    Pattern(
        "fairseq",
        words=(
            "| train_inner |",
            "| valid |",
            "][train_inner][",
            "][valid][",
            "loss=",
            "| valid on '",
            '"valid_nll_loss": ',
            '"wpb": ',
        ),
        line=re.compile(
            r"\| (?:train_inner|valid) \| \{|\]\[(?:train_inner|valid)\]\[[A-Z]+\] - \{"
            r"|\bepoch [0-9]+: +[0-9]+ / [0-9]+ loss="
            r"|\| valid on '[^'\n]+' subset \| (?:valid_)?loss "
            r'|(?m:^)\{"epoch": [0-9]+, [^\n]*"(?:wpb|valid_nll_loss)": '
        ),
    ),
    Pattern(
        "composer",
        words=("[batch=", "[token=", "[sample="),
        line=re.compile(
            r"\[(?:batch|token|sample)=[0-9]+(?:/[0-9]+)?\]:?[^\S\n]*\n"
            rf"{RANK_LABEL}\s+Train \S"
        ),
    ),
    Pattern(
        "nanotron",
        words=("iteration: ",),
        line=re.compile(r"\biteration: [0-9]+ / [0-9]+ \| [^\n]*lm_loss: "),
    ),
    Pattern(
        "open_lm",
        words=("Train Epoch: ",),
        line=re.compile(rf"\bTrain Epoch: [0-9]+ \[ *[0-9]+/ *[0-9]+ \([^)\n]*\)\] Loss: {NUMBER}"),
    ),
    Pattern(
        "litgpt",
        words=("| loss train: ", ", iter time: "),
        line=re.compile(
            rf"\bEpoch [0-9]+ \| iter [0-9]+ step [0-9]+ \| loss train: {NUMBER},"
            rf"|\biter [0-9]+ (?:\| )?step [0-9]+: loss {NUMBER}, iter time: "
        ),
    ),
    Pattern(
        "rwkv",
        line=re.compile(
            rf"(?m)^[0-9]+ {NUMBER} {NUMBER} {NUMBER} "
            r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ [0-9]+$"
        ),
    ),
    Pattern(
        "a progress bar of Lightning",
        looks=_has_progress_bar,
        refused="its numbers have three digits: drop in what the run's logger wrote, the folder "
        "with metrics.csv or with events.out.tfevents..., which NeMo writes, too",
    ),
    Pattern(
        "a progress bar of Keras",
        looks=_has_keras_bar,
        refused="its losses are means since the beginning of the epoch: drop in what "
        "keras.callbacks.CSVLogger wrote, a row an epoch, or a row a step as CSV, with columns "
        "step, train_loss and val_loss",
    ),
    Pattern(
        "the progress of Levanter",
        words=("Progress on:train ",),
        line=re.compile(r"\bProgress on:train [0-9.]+[a-z]*/[0-9.]+[a-z]* rate:"),
        refused="its steps are rounded to tens: drop in the run's history from W&B, or what its "
        "json_logger wrote (tracker_metrics.jsonl)",
    ),
    Pattern("table", magic=re.compile(rb"PAR1")),
    Pattern("table", looks=_rows_of_a_table, general=True),
    Pattern("table", looks=lambda text: int(has_columns(text)), last=True),
    Pattern("pairs", looks=_named_losses, least=3, last=True),
)

SHAPES_SHOWN: Final = 3
SHAPE_LENGTH: Final = 60
LONGEST_WORD: Final = 20
"""Letters of a word that is shown: secrets are longer than most words."""
SHAPE_READ: Final = 1_000
"""Characters of a line that its shape is made of: a line may be as long as its file."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file looks like.

    Attributes
    ----------
    format : the best match; None if nothing matches.
    runner_up : the second-best match.
    refused : why it is not read, if so.
    """

    format: str | None
    runner_up: str | None = None
    refused: str | None = None


def recognise(sample: bytes) -> Recognised:
    """Recognise a format from a file's head and tail.

    Parameters
    ----------
    sample : what `RawFile.sample` gives.
    """
    for pattern in PATTERNS:
        if pattern.magic is not None and pattern.magic.match(sample):
            return Recognised(pattern.format, refused=pattern.refused or None)
    text = clean(sample)
    matching: list[tuple[Pattern, int]] = []
    for last in (False, True):
        counts = [(pattern, pattern.count(text)) for pattern in PATTERNS if pattern.last == last]
        matching = matching or [(each, count) for each, count in counts if count >= each.least]
    # sorted() is stable: among equals the earlier row wins
    ranked = sorted(matching, key=lambda match: (match[0].general, -match[1]))
    names = [pattern.format for pattern, _ in ranked]
    if not names:
        return Recognised(None, refused=_unknown(text))
    runner_up = names[1] if len(names) > 1 else None
    return Recognised(names[0], runner_up=runner_up, refused=ranked[0][0].refused or None)


def readable_formats() -> tuple[str, ...]:
    """Name the formats that have a reader."""
    return tuple(dict.fromkeys(p.format for p in PATTERNS if not p.refused and not p.archive))


def _unknown(text: str) -> str:
    """Describe text of no known format by its commonest line shapes."""
    if not text.strip():
        return "empty"
    shapes = Counter(shape_of_line(line) for line in text.split("\n") if line.strip())
    shown = "; ".join(f"{count} x '{shape}'" for shape, count in shapes.most_common(SHAPES_SHOWN))
    return (
        f"no known format; its commonest lines: {shown}. If it is the log of a training run, write "
        f"a row a step to CSV, with columns step, train_loss and val_loss, and drop that in"
    )


_PRIVATE: Final = re.compile(
    r"""(?ix)(?<![a-z])(?:
        (?:user|login|account|owner|author|entity|team|host|hostname|node|machine|server|email|e-mail
        |password|passwd|secret|token|bearer|credential|api[_-]?key|key|home|workdir|cwd)s?
        (?:[_-]?(?:name|id|key))?)(?:["']?\s*[:=]\s*["']?|\s+)(?=\S)"""
)
"""What a name or a secret follows."""
_UNIT: Final = re.compile(r"[-+]?[0-9][0-9.,]*(?:[eE][-+]?[0-9]+)?[A-Za-z%]{0,3}")


def shape_of_line(line: str) -> str:
    """Keep a line's words; numbers become #, and what may be private becomes ~.

    Private are paths and addresses, names of machines (letters with digits or dots in them), long
    words, as secrets are, and what follows a word such as user, host, token or key.
    """
    open_line = _PRIVATE.sub(lambda match: match[0] + "\0", line[:SHAPE_READ])
    words = [_shown(word) for word in open_line.split()]
    shape = re.sub(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", "#", " ".join(words))
    printable = "".join(char if char.isprintable() else "?" for char in shape)
    return printable if len(printable) <= SHAPE_LENGTH else f"{printable[:SHAPE_LENGTH]}..."


def _shown(word: str) -> str:
    """Show a word, or what of it is not private."""
    if re.search(r"[/\\@]", word) and re.search(r"[A-Za-z]", word):
        return word[: word.find("\0")] + "~" if "\0" in word else "~"
    before, mark, _ = word.partition("\0")
    if mark:
        return f"{before}~"
    pieces = re.split(r"([:=,;()\[\]{}|<>\"'])", word)
    return "".join("~" if _is_name(piece) else piece for piece in pieces)


def _is_name(piece: str) -> bool:
    """Tell a word that may name a machine, or be a secret."""
    if len(piece) > LONGEST_WORD and re.search(r"[A-Za-z]", piece):
        return True
    mixed = re.search(r"[A-Za-z][-_.]?[0-9]|[0-9][-_.]?[A-Za-z]|[A-Za-z]\.[A-Za-z]", piece)
    return mixed is not None and not _UNIT.fullmatch(piece)

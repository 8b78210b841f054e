"""Fine-tuning in a file of its own beside the log of the training that it was begun from.

`N0/sft.csv` beside `N0/pretrain.csv`: its steps begin anew, at the loss of a trained model. What
its name calls another stage is no run from scratch, and its tokens are no D.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from isoflop.ingest.facts.sidecar import SIDECAR, rule_for
from isoflop.ingest.runs.joining import is_end
from isoflop.ingest.runs.late_files import may_be_asked
from isoflop.ingest.runs.part_files import trained
from isoflop.ingest.words.file_names import stem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.ingest.runs.logical_runs import Part

_STAGE: Final = re.compile(
    r"(?:^|(?<=[-_. /]))(?:sft|fine[-_. ]?tun(?:e|ed|ing)|ft|instruct(?:ion)?|dpo|rlhf|rl|chat|"
    r"post[-_. ]?train(?:ed|ing)?)(?=$|[-_. /0-9])",
    re.IGNORECASE,
)
WAY_DOWN: Final = 0.5
"""Share of the way from a run's first loss to its last by which a trained model begins further."""


def with_stages_asked(parts: Mapping[str, Sequence[Part]]) -> dict[str, list[Part]]:
    """Leave out what fine-tunes the model of a log beside it, until sweep.yaml names its run."""
    told = {name: [*of_run] for name, of_run in parts.items()}
    able = {name: of_run for name, of_run in told.items() if may_be_asked(of_run)}
    stages = {name: word for name in able if (word := _STAGE.search(_path(able[name])))}
    beside: dict[str, list[str]] = {}
    for name in able.keys() - stages.keys() if stages else ():
        path = _path(able[name])
        for place in {path, path.rpartition("/")[0]} - {""}:
            beside.setdefault(place, []).append(name)
    for name, word in stages.items():
        path = _path(able[name])
        without = re.sub(r"[-_. ]*(/)+[-_. ]*", "/", path[: word.start()] + path[word.end() :])
        bare = re.sub(r"^[-_. /]+|[-_. /]+$", "", without)
        folder = path.rpartition("/")[0]
        others = [other for place in {bare, folder} for other in beside.get(place, ())]
        for other in sorted(others):
            if _begins_trained(able[name], able[other]):
                head, *behind = able[name]
                words = _words(head, able[other][0], word[0])
                told[name] = [replace(head, goes_on_from=words), *behind]
                break
    return _without_records(told)


def _without_records(parts: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """Leave out the record of a finished run that its name calls another stage, beside others."""
    stages = {name: _STAGE.search(_path(of_run)) for name, of_run in parts.items()}
    if all(stages.values()):
        return parts
    told = dict(parts)
    for name, word in stages.items():
        head, *behind = parts[name]
        named = head.log.run or head.run.name
        if word and is_end(head) and not (behind or named or head.goes_on_from):
            told[name] = [replace(head, goes_on_from=_of_record(head, word[0]))]
    return told


def _of_record(part: Part, word: str) -> str:
    """Say what leaves a record out, and the way to count it."""
    return (
        f"its name calls it another stage of training ('{word}'), beside logs that are none: its "
        f"tokens are no D of its own. If it is a run from scratch, say so in {SIDECAR}, runs: "
        f"[{{{rule_for(part.log.file.name)}, run: <its name>}}]"
    )


def _path(of_run: Sequence[Part]) -> str:
    return stem(of_run[0].log.file.name)


def _begins_trained(of_run: Sequence[Part], other: Sequence[Part]) -> bool:
    """Tell whether a file has the N of another, and begins at a loss far down the other's way."""
    sizes = {
        facts["params.total"].value
        for part in (of_run[0], other[0])
        if "params.total" in (facts := part.shared_facts())
    }
    losses = [trained(each)["train_loss"].drop_nulls().drop_nans() for each in (of_run, other)]
    if len(sizes) > 1 or min(each.len() for each in losses) < 2:
        return False
    begin, (first, last) = losses[0][0], (losses[1][0], losses[1][-1])
    return bool(begin <= first - WAY_DOWN * (first - last) and first > last)


def _words(part: Part, other: Part, word: str) -> str:
    """Say what leaves a file out, and the way to count it."""
    return (
        f"its name calls it another stage of training ('{word}'), and it begins at the loss of a "
        f"trained model, as that of {other.log.file.name} beside it: its tokens are no D of its "
        f"own. If it is a run from scratch, say so in {SIDECAR}, runs: "
        f"[{{{rule_for(part.log.file.name)}, run: <its name>}}]"
    )

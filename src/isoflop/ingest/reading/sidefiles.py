"""Settings that lie beside logs: config.json, hparams.yaml, .hydra/config.yaml, TOML, dumps.

A file's settings hold for the logs of its folder and of all below it, the nearest folder winning
fact by fact. One that is named after a log beside it holds for that log alone. Files of one folder
that contradict each other are complained of by the runs that would need them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from isoflop.config.reading import yaml_content
from isoflop.ingest.facts.sidecar import SIDECAR, Fact, leaves, rule_for
from isoflop.ingest.reading.json_table import has_curve, has_listed_losses
from isoflop.ingest.reading.settings import MICRO_BATCH, settings_of
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.names import (
    COLUMNS,
    EVAL_LOSS,
    find,
    find_epoch,
    loss_by_words,
    may_be_loss,
    plain,
)
from isoflop.ingest.words.numbers import encodable, number, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from isoflop.ingest.reading.source import RawFile

LARGEST: Final = 1 << 20
"""Bytes of a file of settings."""
LEAST: Final = 2
"""Facts that a file has at least to be one of settings; a size that is all of it will do."""
_ENDINGS: Final = (".json", ".yaml", ".yml", ".toml", ".txt")
_DUMP: Final = re.compile(
    r"^(?:\[[^\]]*\]|[0-9]+:)?\s*(?:--)?([A-Za-z][\w-]*)(?: \.{3,} ?|: |=)(\S+)$"
)
_LASTING: Final = ("params.", "architecture.", "bytes_per_token")
"""Facts that are at a run's end what they were at its beginning."""
_PEAK: Final = "schedule.lr_peak"
_LOSSES: Final = frozenset({*COLUMNS["train_loss"], *EVAL_LOSS})
_INNER: Final = frozenset({"files", ".hydra", "config", "configs"})
"""Folders that trainers make for settings alone: they hold one level up."""

_OF_CHECKPOINT: Final = re.compile(
    r"(?:^|/)(?:final|step-[0-9]+)/(?:hyperparameters|model_config)\.yaml$"
)
"""LitGPT's settings, which lie in the folders of its checkpoints, beside that of its logs."""


def read_settings(file: RawFile) -> dict[str, Any] | None:
    """Read a file of settings.

    Returns
    -------
    The facts in it by their dotted names; None if it is no file of settings.
    """
    told = _content(file)
    if told is None:
        return None
    facts = settings_of(encodable(told))
    if is_summary(file.name.lower()):  # its learning rate is the last, and no setting
        facts = {fact: value for fact, value in facts.items() if fact.startswith(_LASTING)}
        return _values(facts) if facts else None
    is_size = len(told) == 1 and any(fact.startswith("params.") for fact in facts)
    is_deepspeed_s = bool(facts) and MICRO_BATCH in told
    few = len(facts) < LEAST and not (is_size or is_deepspeed_s)
    no_settings = few or _is_record(told) or has_listed_losses(told) or has_curve(told)
    return None if no_settings else _values(facts)


def read_record(file: RawFile) -> dict[str, Any] | None:
    """Read the settings of a record of a run, which has losses, beside them or in another group.

    Returns
    -------
    The facts in it by their dotted names, or none; None if it is no such record.
    """
    told = _content(file)
    if told is None or not _is_record(told) or has_curve(told):
        return None
    facts = settings_of(encodable(told))
    if _has_loss(told) and not any(fact.startswith("schedule.") for fact in {*facts} - {_PEAK}):
        facts.pop(_PEAK, None)  # beside a last loss and no more of a schedule it may be the last
    return _values(facts)


def has_no_curve(file: RawFile) -> bool:
    """Tell JSON with neither a loss nor anything that says how far training had gone."""
    told = _content(file) if file.name.lower().endswith(".json") else None
    if not told:
        return False
    names = [*_keys(told)]
    axis = any(find(value, names) for value in ("step", "tokens")) or find_epoch(names)
    return not axis and not any(may_be_loss(name) for name in names)


def _keys(told: object) -> Iterator[str]:
    """List the keys of a value and of all in it."""
    if isinstance(told, dict):
        yield from map(str, told)
        told = [*told.values()]
    if isinstance(told, list):
        for each in told:
            yield from _keys(each)


def _content(file: RawFile) -> dict[str, Any] | None:
    """Read what a file says that may have settings; None of others."""
    name = file.name.lower()
    if not name.endswith(_ENDINGS) or file.size > LARGEST:
        return None
    return _parsed(name, "".join(file.lines())) or {}


def _is_record(told: Mapping[str, Any]) -> bool:
    """Tell whether a loss is among values, or within a group of them."""
    return _has_loss(told) or any(_has_loss(each) for each in told.values())


def _has_loss(told: object) -> bool:
    """Tell whether one of some values is a loss: the file is no file of settings alone."""
    return isinstance(told, dict) and any(
        (plain(str(key)) in _LOSSES or loss_by_words(str(key))) and number(value) is not None
        for key, value in told.items()
    )


def is_summary(name: str) -> bool:
    """Tell W&B's file of a run's last values, or of the machine that it ran on, by its name."""
    return name.rpartition("/")[2] in {"wandb-summary.json", "wandb-metadata.json"}


def _values(facts: Mapping[str, Any]) -> dict[str, Any]:
    typed = leaves(facts_of(facts), "config_file")
    return {name: fact.value for name, fact in typed.items()}


def _parsed(name: str, text: str) -> dict[str, Any] | None:
    """Parse text by its name's ending; lines of a dump where it has none that is known."""
    try:
        if name.endswith(".json"):
            told = read_json(text)
        elif name.endswith(".toml"):
            told = tomllib.loads(text)
        elif name.endswith(".txt"):
            told = None
        else:
            told = yaml_content(re.sub(r"!!python/\S*", "", text))  # Python's tags run code
    except (ValueError, RecursionError, yaml.YAMLError):
        told = None
    if isinstance(told, dict):
        return {str(key): value for key, value in told.items()}
    pairs = (_DUMP.match(line) for line in text.split("\n"))
    return {match[1]: match[2] for match in pairs if match}


@dataclass(frozen=True, slots=True)
class SideFiles:
    """The files of settings of a sweep.

    Attributes
    ----------
    facts : by the name of the file, its facts.
    of : by the name of a file of one run's settings, wherever it lies, the log of that run.
    """

    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    of: Mapping[str, str] = field(default_factory=dict)

    def of_log(
        self, name: str, stems: AbstractSet[str]
    ) -> tuple[dict[str, Fact], list[tuple[str, str]]]:
        """Give the settings that hold for a log.

        Parameters
        ----------
        name : the log's path below the sweep's folder.
        stems : the paths of all logs, as `stem` gives them.

        Returns
        -------
        The facts, the nearest folder's first; and each fact that contradicts itself, with words.
        """
        settled: dict[str, Fact] = {}
        complaints: list[tuple[str, str]] = []
        for level in _levels(name):
            values: dict[str, tuple[Any, str]] = {}
            for path, facts in sorted(self.facts.items()):
                is_of_stem = stem(path) in stems or path in self.of
                if not self._holds(path, name, level, is_of_stem=is_of_stem):
                    continue
                for fact, value in facts.items():
                    if fact in settled:
                        continue
                    known = values.get(fact)
                    if known is not None and known[0] != value and not is_of_stem:
                        words = (
                            f"{known[1]} and {path} disagree on {fact} ({known[0]} and {value}); "
                            f"say which holds in {SIDECAR}, runs: [{{{rule_for(name)}, ...}}], or "
                            f"leave one out by ignore:"
                        )
                        complaints.append((fact, words))
                    if known is None or is_of_stem:
                        values[fact] = (value, path)
            settled |= {fact: Fact(value, "config_file") for fact, (value, _) in values.items()}
        return settled, complaints

    def _holds(self, path: str, name: str, level: str, *, is_of_stem: bool) -> bool:
        """Tell whether a file's settings hold for a log at a level of the folders around that."""
        if path in self.of:
            return self.of[path] == name and level == name.rpartition("/")[0]
        return scope(path) == level and (not is_of_stem or stem(path) == stem(name))


def scope(path: str) -> str:
    """Give the folder in which settings hold."""
    folder = path.rpartition("/")[0]
    parent, _, last = folder.rpartition("/")
    is_inner = last in _INNER or _OF_CHECKPOINT.search(path) is not None
    return parent if is_inner else folder


def _levels(name: str) -> list[str]:
    """List the folders around a file, the nearest first."""
    folder = name.rpartition("/")[0]
    levels = [folder]
    while folder:
        folder = folder.rpartition("/")[0]
        levels.append(folder)
    return levels

"""A raw file and its fate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.ingest.reading.parsed import Parsed
    from isoflop.ingest.reading.source import RawFile


@dataclass(frozen=True, slots=True)
class Log:
    """A raw file and its fate.

    Attributes
    ----------
    file : the file.
    format, runner_up : what it was read as, and what else it looks like.
    parsed : what it says, if it was read.
    cached : whether that came from the cache.
    fate : a word of `tables.FATES`.
    reason : why it was rejected, or what to know of it.
    run : name that sweep.yaml gives its run.
    settings : facts by their dotted names, of a file of settings.
    called : what its run is called, if not as its file.
    record : facts by their dotted names, of a file that is the record of one run with its losses.
    settles : the log of the one run that its settings are of.
    doubts : why its run cannot be used as long as sweep.yaml does not say more.
    ranks : by the name of a run in it, how many ranks count the same tokens, each of them apart,
        which are of one of them or of all.
    """

    file: RawFile
    format: str | None = None
    runner_up: str | None = None
    parsed: Parsed | None = None
    cached: bool = False
    fate: str = "used"
    reason: str | None = None
    run: str | None = None
    key: str | None = None
    settings: Mapping[str, Any] | None = None
    called: str | None = None
    record: Mapping[str, Any] | None = None
    settles: str | None = None
    doubts: tuple[str, ...] = ()
    ranks: Mapping[str, int] = field(default_factory=dict)

    def rejected(self, reason: str) -> Log:
        """Give the file up."""
        return replace(self, fate="rejected", reason=reason)

    def ignored(self, reason: str) -> Log:
        """Leave the file out, since nothing is lost."""
        return replace(self, fate="ignored", reason=reason, parsed=None)

    def noted(self, note: str) -> Log:
        """Add something to know of the file."""
        return replace(self, reason=note if self.reason is None else f"{self.reason}; {note}")

    def as_configuration(self, runs: Sequence[str]) -> Log:
        """Turn the file into a configuration file of some runs."""
        return Log(
            self.file,
            format="configuration",
            fate="facts",
            reason=f"configuration of {', '.join(dict.fromkeys(runs))}",
        )

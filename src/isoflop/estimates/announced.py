"""Losses that were announced before their runs were trained: data/reference/forecast.yaml.

Written once by the approaches room, dated by its commit, and read by the report, which scores it
against what was measured since. An announcement is never written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl
import yaml

from isoflop.config.approaches import UsedSettings
from isoflop.config.reading import Section, read_yaml
from isoflop.errors import IsoflopError
from isoflop.estimates.estimate import Counting
from isoflop.files import write_text
from isoflop.pairs import PairWord

if TYPE_CHECKING:
    from pathlib import Path

EQUAL_COMPUTE: Final = 1.25
"""Largest factor between the C of check runs that are said to have equal compute."""
FILE: Final = "forecast.yaml"
"""Its name in data/reference."""
RULE: Final = (
    "Each run counts by its final validation loss, on the eval set of the fitted runs. The "
    "error of a prediction is predicted less measured. Of each law and of the mixture the "
    "report gives the mean error, the root of the mean square, how many losses lie inside the "
    "80 and the 95 % intervals, and the mean interval score (Gneiting and Raftery 2007, eq. "
    "43; smaller is better). The mixture is the forecast that the report leans on. A run that "
    "diverges or ends early counts as a miss of all. Nothing is refitted, left out or trained "
    "again once a loss is known."
)


PAIR_RULE: Final = (
    "Runs of two sizes are trained at one compute with the seeds named here; runs of these sizes "
    "that were trained before, whose losses were known, are left out. What is announced is the "
    "mean final loss of the runs sized by Kaplan’s exponent less that of the runs sized by "
    "Chinchilla’s, on the eval set of the fitted runs, and its error is predicted less measured. "
    "The intervals include the noise of as many runs. A run that diverges or ends early is named, "
    "and the mean is that of the others. Nothing is refitted, left out or trained again once a "
    "loss is known."
)


class AnnouncedLoss(Section):
    """What one law, or the mixture, says of one run."""

    predicted: float
    """Final loss [nat/token]."""
    intervals: dict[str, tuple[float, float]]
    """Level to the ends between which the measured loss should lie, its noise included."""


class AnnouncedRun(Section):
    """A run that was not trained yet."""

    run: str
    params: float
    """N by the announcement's counting [parameter]."""
    tokens: float
    """D [token]."""
    flops: float
    """C by the announcement's counting [FLOP]."""
    losses: dict[str, AnnouncedLoss]
    """By law; ``mixture`` is the mixture of the laws."""


class AnnouncedBasis(Section):
    """What an announcement rests on, and how it will be scored."""

    sweep: str
    runs_fitted: int
    flops_fitted: tuple[float, float]
    """Smallest and largest final C of the runs behind the laws [FLOP]."""
    losses_sha256: str
    """Digest of the table of losses that was fitted."""
    counting: Counting
    weights: dict[str, float]
    """Law to its weight in the mixture."""
    refused: dict[str, str]
    """Law to why it predicts nothing."""
    settings: UsedSettings
    rule: str
    """How the predictions will be scored."""


class Announcement(AnnouncedBasis):
    """What was said of one sweep's runs above everything it had trained."""

    runs: tuple[AnnouncedRun, ...]


class PairAnnouncement(AnnouncedBasis):
    """By how much runs of Kaplan's size were said to end above runs of Chinchilla's."""

    flops: float
    """C of the runs by the announcement's counting, their median [FLOP]."""
    runs: dict[PairWord, tuple[str, ...]]
    """Whose exponent sized them to their names."""
    noise: float | None
    """Standard deviation of the difference of the two means that the seeds of the fitted runs let
    one expect [nat/token]; None where no fitted cell has a second run."""
    difference: dict[str, AnnouncedLoss]
    """Mean loss of Kaplan's size less that of Chinchilla's, by law and of the mixture."""


class Announcements(Section):
    """The file."""

    format: Literal["isoflop-forecast"] = "isoflop-forecast"
    version: Literal[1] = 1
    announcements: tuple[Announcement, ...] = ()
    pairs: tuple[PairAnnouncement, ...] = ()

    def of(self, sweep: str) -> Announcement | None:
        """Give a sweep's announcement; None where it has none."""
        return next(
            (announcement for announcement in self.announcements if announcement.sweep == sweep),
            None,
        )

    def pair_of(self, sweep: str) -> PairAnnouncement | None:
        """Give what was announced of a sweep's matched pair; None where nothing was."""
        return next((pair for pair in self.pairs if pair.sweep == sweep), None)


def check_runs(table: pl.DataFrame, announcement: Announcement | None) -> pl.DataFrame:
    """Give the rows of the check runs.

    Of those whose losses were announced only a matched pair is among them: the others need not
    have its compute.

    Parameters
    ----------
    table : with columns run, role and sized_by.
    announcement : of the sweep; None without.
    """
    announced = [] if announcement is None else [run.run for run in announcement.runs]
    alone = pl.col("run").is_in(announced) & pl.col("sized_by").is_null()
    return table.filter((pl.col("role") == "check") & ~alone)


def equal_compute(flops: pl.Series) -> bool:
    """Tell whether check runs have one compute, so that their losses can be set side by side.

    A study may leave runs of any C out of its fits to compare with later: these are no pair.
    """
    values = flops.to_list()
    return bool(values) and max(values) <= EQUAL_COMPUTE * min(values)


class AlreadyAnnouncedError(IsoflopError):
    """A sweep's losses were announced before."""


def read_announcements(path: Path) -> Announcements:
    """Read all announcements; none where the file is absent."""
    return read_yaml(path, Announcements) if path.exists() else Announcements()


def add_announcement(announcement: Announcement | PairAnnouncement, path: Path) -> None:
    """Add a sweep's announcement to the file.

    Raises
    ------
    AlreadyAnnouncedError : the sweep has one of its kind.
    """
    known = read_announcements(path)
    sweep = announcement.sweep
    if isinstance(announcement, PairAnnouncement):
        if known.pair_of(sweep) is not None:
            raise AlreadyAnnouncedError(_said_before(path, f"difference of {sweep}’s pair is"))
        known = known.model_copy(update={"pairs": (*known.pairs, announcement)})
    else:
        if known.of(sweep) is not None:
            raise AlreadyAnnouncedError(_said_before(path, f"losses of {sweep} are"))
        known = known.model_copy(update={"announcements": (*known.announcements, announcement)})
    note = "# Written by isoflop before any of the runs was trained.\n"
    plain = known.model_dump(mode="json")
    write_text(path, note + yaml.safe_dump(plain, sort_keys=False, width=100, allow_unicode=True))


def _said_before(path: Path, what: str) -> str:
    return (
        f"{path}: the {what} announced already, and nothing is announced twice. Announce runs of "
        "another sweep, or start another file (--out)."
    )

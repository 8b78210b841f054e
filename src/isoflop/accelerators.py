"""Accelerators: what a training's FLOPs cost in hours and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.config.reading import Section, read_yaml
from isoflop.errors import IsoflopError
from isoflop.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path

ACCELERATORS_FILE: Final = "accelerators.yaml"
"""In data/reference."""
SECONDS_PER_HOUR: Final = 3600.0


class Accelerator(Section):
    """One kind of card or chip."""

    key: str
    """What a command line calls it."""
    name: str
    peak_flops: float
    """Peak dense bf16 throughput [FLOP/s]."""
    source: str


class Accelerators(Section):
    """data/reference/accelerators.yaml."""

    rows: list[Accelerator]

    def named(self, key: str) -> Accelerator:
        """Find one by its key.

        Raises
        ------
        IsoflopError : there is none; the message lists those that there are.
        """
        for row in self.rows:
            if row.key == key.lower():
                return row
        raise IsoflopError(
            f"'{key}' is no accelerator that isoflop knows; there are "
            f"{', '.join(row.key for row in self.rows)}. Others stand in for it by their peak: "
            "scale the utilisation."
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """An accelerator as it is used.

    Attributes
    ----------
    accelerator : which.
    utilisation : share of its peak that a training reaches (MFU).
    price : of an hour, in any currency; None where nobody said.
    """

    accelerator: Accelerator
    utilisation: float
    price: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no machine does; what is kept are floats."""
        object.__setattr__(self, "utilisation", LIMITS["utilisation"].require(self.utilisation))
        if self.price is not None:
            object.__setattr__(self, "price", LIMITS["price"].require(self.price))

    @property
    def flops_per_hour(self) -> float:
        """FLOPs that one accelerator does in an hour."""
        return self.accelerator.peak_flops * self.utilisation * SECONDS_PER_HOUR

    def hours(self, flops: float) -> float:
        """Give the hours of one accelerator that a training of C [FLOP] takes."""
        return flops / self.flops_per_hour

    def cost(self, flops: float) -> float | None:
        """Give the price of a training of C [FLOP]; None without a price of an hour."""
        return None if self.price is None else self.hours(flops) * self.price


def read_accelerators(folder: Path) -> Accelerators:
    """Read the accelerators of data/reference."""
    return read_yaml(folder / ACCELERATORS_FILE, Accelerators)

"""From the raw logs of a training sweep to a compute-optimal allocation, with intervals.

>>> import isoflop
>>> sweep = isoflop.read("data/raw/novels-gpu")                     # doctest: +SKIP
>>> sweep.fit().allocate(1e14)                                      # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoflop.interface import Fit, Picture, Sweep, read

__all__ = ["Fit", "Picture", "Sweep", "read"]


def __getattr__(name: str) -> Any:
    """Import the interface, and look the version up, when somebody asks.

    Every subcommand imports this package, and most need neither.
    """
    if name == "__version__":
        from importlib.metadata import version

        return version("isoflop")
    if name in __all__:
        from isoflop import interface

        return getattr(interface, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what there is, for completion."""
    return sorted({*globals(), *__all__, "__version__"})

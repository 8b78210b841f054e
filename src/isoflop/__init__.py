"""From the raw logs of a training sweep to a compute-optimal allocation, with intervals."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look the version up when somebody asks: reading the package's metadata takes 50 ms."""
    if name == "__version__":
        from importlib.metadata import version

        return version("isoflop")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

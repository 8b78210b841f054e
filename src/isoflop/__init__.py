"""From the raw logs of a training sweep to a compute-optimal allocation, with intervals."""

from importlib.metadata import version

__version__ = version("isoflop")

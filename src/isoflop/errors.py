"""The one family of errors that the command line shows as a message instead of a traceback."""

from __future__ import annotations


class IsoflopError(Exception):
    """What went wrong, in words for the user: the file, the run, the fact and the fix."""


class ConfigError(IsoflopError):
    """config.yaml or a side-car file is not what its model says."""


class MissingFactError(IsoflopError):
    """A run lacks a fact (N, tokens per step, ...) that neither log nor sweep.yaml gives."""


class UnderdeterminedError(IsoflopError):
    """A fit has too few runs, sizes or budgets to mean anything."""

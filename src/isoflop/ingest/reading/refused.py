"""Why a raw file is not used: recorded as its fate, never a stop of the whole sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from isoflop.errors import IsoflopError

CAUSE_SHOWN: Final = 200
"""Characters shown of what an exception says."""


class RefusedError(IsoflopError):
    """A raw file cannot be read, and why.

    Parameters
    ----------
    words : why, and what to do about it.
    proposal : what of these words is to be written into sweep.yaml, as YAML.
    """

    def __init__(self, words: str, proposal: str = "") -> None:
        super().__init__(words)
        self.proposal = proposal


def cause(error: BaseException) -> str:
    """Say what was raised, and where in the code, so that it can be reported."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    words = " ".join(str(error).split())[:CAUSE_SHOWN]
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {words}{place}"

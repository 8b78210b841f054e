"""How far a build has come, from what Snakemake writes.

`run.py` uses it before there is an environment, so it needs Python alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

STEPS: Final = re.compile(r"(\d+) of (\d+) steps \(.*\) done")
RULE: Final = re.compile(r"(?:local)?rule (\w+):")


class Progress:
    """Tell how far Snakemake has come.

    Parameters
    ----------
    screen : where it is told: one line that is written over on a terminal, else a line for every
        tenth of the steps.
    """

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen
        self._live = screen.isatty()
        self._tenths = 0
        self._rule = ""

    def read(self, line: str) -> bool:
        """Take a line of Snakemake's output, and say whether it was of the progress."""
        if matched := RULE.match(line):
            self._rule = matched[1]
            return True
        if not (matched := STEPS.match(line)):
            return False
        done, total = int(matched[1]), int(matched[2])
        tenths = 10 * done // total
        if self._live:
            self._screen.write(f"\r\x1b[K{done} of {total} steps, last begun: {self._rule}")
        elif tenths > self._tenths:
            self._screen.write(f"{done} of {total} steps\n")
        self._tenths = tenths
        self._screen.flush()
        return True

    def end(self) -> None:
        """Leave the line free for what follows."""
        if self._live:
            self._screen.write("\r\x1b[K")
            self._screen.flush()

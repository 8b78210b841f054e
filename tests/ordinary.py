"""Commands for which permissions count, also where the tests run as root.

Root reads and writes whatever it likes, by two of its capabilities: a command that starts without
them is refused as an ordinary user is, and has the same interpreter and the same files.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

DROP = 24
"""PR_CAPBSET_DROP of Linux's prctl."""
OVERRIDES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def as_ordinary(
    *words: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that permissions bind."""
    before = None
    if os.geteuid() == 0:
        if sys.platform != "linux":
            pytest.skip("root is above permissions here")
        prctl = ctypes.CDLL(None, use_errno=True).prctl

        def before() -> None:
            for capability in OVERRIDES:
                if prctl(DROP, capability, 0, 0, 0) != 0:
                    raise OSError(ctypes.get_errno(), "a capability stays")

    return subprocess.run(
        [*map(str, words)],
        cwd=cwd, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, preexec_fn=before,
    )  # fmt: skip

"""Processes that draw or simulate for a job, and end with it."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

from isoflop.folder_lock import share_folder_of_build


def belong_to_job() -> None:
    """Let this process of a pool end with the one that started it, and count as a job of the build.

    A pool whose owner was killed waits for work for ever, and before that ends what it has in hand:
    it would write into what Snakemake has just removed.
    """
    share_folder_of_build()
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)

"""Snakemake without the two seconds of its imports: each call is forked from where they are done.

    python -P warm.py

Takes a call a line, as JSON on standard input, and answers with its exit status. A call is a
process of its own, with its own folder, environment and modules, as one of the command line is;
so is each job that it starts.
"""

from __future__ import annotations

import json
import os
import sys


def serve() -> None:
    """Fork for every call; the child leaves by SystemExit, as the command does."""
    # what Snakemake and rules/common.smk import; anything else a child imports by itself
    import smart_open  # noqa: F401
    import snakemake.cli
    import snakemake.report.html_reporter
    import yte  # noqa: F401

    import isoflop.approach
    import isoflop.config.by_sweep
    import isoflop.config.config_yaml
    import isoflop.config.sidecar
    import isoflop.folder_lock
    import isoflop.made_outputs
    import isoflop.reference
    import isoflop.sources
    import isoflop.sweep_folders  # noqa: F401

    for line in sys.stdin:
        call = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(call)
            snakemake.cli.main()
            raise SystemExit
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(call: dict[str, object]) -> None:
    """Take a call's folder, environment, words and file of output."""
    os.chdir(str(call["folder"]))
    os.environ.clear()
    os.environ.update(call["environment"])  # type: ignore[call-overload]
    sys.argv = list(call["words"])  # type: ignore[call-overload]
    for descriptor, name in ((0, os.devnull), (1, call["printed"]), (2, call["printed"])):
        opened = os.open(str(name), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)


if __name__ == "__main__":
    serve()

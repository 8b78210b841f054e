"""`isoflop` without the seconds of its imports: each command is forked from where they are done.

    python -P warm_jobs.py SOCKET         serves until its standard input ends
    python -IS warm_jobs.py SOCKET ask WORDS...    has a command run, and ends as it ends

A command has the folder, environment and open files of who asks, and is a process of its own: what
it leaves in memory no other sees. For projects whose tests ask about the workflow; that a build is
the same by commands of their own is what the tests of the wheel and of Slurm look at.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path

STANDARD = (0, 1, 2)
"""Standard input, output and errors."""


def ask(address: str, words: list[str]) -> int:
    """Have a command run, and give its exit status as a shell would."""
    call = {"folder": os.getcwd(), "environment": dict(os.environ), "words": words}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(address)
        socket.send_fds(asked, [b"!"], STANDARD)
        asked.sendall(json.dumps(call).encode())
        asked.shutdown(socket.SHUT_WR)
        with asked.makefile() as answer:
            status = answer.read()
    return int(status) if status else 1


def serve(address: str) -> None:
    """Import what commands import, and fork for each that is asked for."""
    import gc
    import select

    _import()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            heard, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in heard:
                return
            asked, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(asked)
            asked.close()
            _reap()


def _import() -> None:
    # as isoflop.cli does before anything else
    sys.modules.setdefault("sqlalchemy", None)  # type: ignore[arg-type]
    import isoflop.approaches.fit_approach
    import isoflop.approaches.fit_specifications
    import isoflop.approaches.mix_laws
    import isoflop.approaches.score_forecasts
    import isoflop.cli
    import isoflop.figures.plot_figures
    import isoflop.losses.build
    import isoflop.report.read_inputs
    import isoflop.report.render_report  # noqa: F401

    # a fork has none of the threads that work on frames, and would wait for them for ever: room
    # `ingest` makes a frame as it is imported
    tasks = [(task / "comm").read_text() for task in Path("/proc/self/task").glob("*")]
    assert not any(re.match(r"polars-\d", name) for name in tasks), tasks


def _answer(asked: socket.socket) -> None:
    """Run the command as a child, and tell how it ended."""
    _, files, _, _ = socket.recv_fds(asked, 1, len(STANDARD))
    with asked.makefile() as sent:
        call = json.load(sent)
    child = os.fork()
    if child == 0:
        asked.close()
        _become(call, files)
        from isoflop.cli import main

        main()
        raise SystemExit
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    asked.sendall(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def _become(call: dict[str, object], files: list[int]) -> None:
    for own, given in zip(STANDARD, files, strict=True):
        os.dup2(given, own)
        os.close(given)
    os.chdir(str(call["folder"]))
    os.environ.clear()
    os.environ.update(call["environment"])  # type: ignore[call-overload]
    sys.argv = ["isoflop", *call["words"]]  # type: ignore[misc]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(ask(sys.argv[1], sys.argv[3:]))
    serve(sys.argv[1])

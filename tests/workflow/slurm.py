"""Slurm on this machine alone: one node, started by hand, without systemd or accounting."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Say why Slurm cannot be started here; empty where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"no {', '.join(missing)} (Debian's packages slurm-wlm and munge)"
    return "" if os.geteuid() == 0 else "slurmd wants to be started by root"


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@contextmanager
def slurm(folder: Path, *, memory: int) -> Iterator[dict[str, str]]:
    """Start a cluster of this machine, with so many MB, and give the environment that finds it."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    controller, node = _free_port(), _free_port()
    (folder / "slurm.conf").write_text(
        SETTINGS.format(
            host=host,
            controller=controller,
            node=node,
            folder=folder,
            # slurmd refuses a node with fewer cores than it was promised
            cores=os.cpu_count(),
            memory=memory,
        )
    )
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
    # jobs lose every SLURM_ variable, and find their cluster in /etc, which is not ours to write
    own = folder / "bin" / "srun"
    own.parent.mkdir()
    real = shutil.which("srun", path=_path())
    own.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n')
    own.chmod(0o755)
    environment["PATH"] = f"{own.parent}:{environment['PATH']}"
    munged = ["munged", "--foreground", "--force", f"--key-file={key}"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    started: list[subprocess.Popen[bytes]] = []
    output = (folder / "daemons.log").open("wb")
    try:
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            started.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
            time.sleep(0.3)
        _wait_for_node(environment, folder)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        output.close()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    until = time.monotonic() + 60
    sinfo = shutil.which("sinfo", path=_path()) or "sinfo"
    while True:
        seen = subprocess.run(
            [sinfo, "--noheader", "--format=%T"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if seen.stdout.split() == ["idle"]:
            return
        if time.monotonic() > until:
            logs = "".join(path.read_text() for path in sorted(folder.glob("*.log")))
            raise AssertionError(f"the node never came up: {seen.stdout}{seen.stderr}\n{logs}")
        time.sleep(0.1)

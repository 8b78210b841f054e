"""An object store on this machine alone: moto's stand-in for S3, and Snakemake's plugin for it.

Both are pinned with hashes in requirements-s3.lock and lie in a folder of their own in the
environment, made when it is missing, which goes before the environment's own packages. They are no
pins of the project: `botocore` wants an older `python-dateutil` than all others get.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.workflow.toy import SETTINGS, Outcome, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = Path(__file__).with_name("requirements-s3.lock")
PATIENCE = 180.0
"""Seconds that the packages may take to come."""
KEYS = {f"AWS_{name}": "none" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}


class CannotBeHadError(Exception):
    """Why there are no packages."""


def packages() -> Path:
    """Give the folder of the packages, made anew for other pins or another Python."""
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path(sys.prefix) / f"object-store-{wanted}"
    if folder.exists():
        return folder
    try:
        made = Path(tempfile.mkdtemp(prefix=".object-store-", dir=folder.parent))
        done = subprocess.run(
            [
                sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable,
                "--no-deps", "--require-hashes", "-r", LOCK, "--target", made / "site",
            ],
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBeHadError(f"{LOCK.name} could not be installed: {error}") from error
    if done.returncode != 0:
        shutil.rmtree(made)
        last = done.stderr.strip().splitlines()[-1:] or ["uv says nothing"]
        raise CannotBeHadError(f"{LOCK.name} could not be installed: {last[0]}")
    (made / "site").rename(folder)
    made.rmdir()
    return folder


@dataclass(frozen=True)
class Store:
    """One bucket of a server on this machine."""

    address: str
    bucket: str
    environment: dict[str, str]

    @property
    def options(self) -> tuple[str, ...]:
        """Say to Snakemake that sources and outputs lie here."""
        return (
            "--default-storage-provider=s3",
            f"--default-storage-prefix=s3://{self.bucket}",
            f"--storage-s3-endpoint-url={self.address}",
            "--storage-s3-access-key=none",
            "--storage-s3-secret-key=none",
            "--storage-s3-region=us-east-1",
        )

    def put(self, name: str, content: bytes) -> None:
        """Store an object."""
        self._ask("PUT", f"{self.bucket}/{name}", content)

    def get(self, name: str) -> bytes:
        """Give an object's content."""
        return self._ask("GET", f"{self.bucket}/{name}")

    def build(self, project: Project, *arguments: str) -> Outcome:
        """Run snakemake in a project whose files are kept here, and insist that it works."""
        done = subprocess.run(
            [
                sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor",
                *self.options, *arguments, "--config", SETTINGS,
            ],
            cwd=project.root, env=self.environment, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + project.logs()
        return Outcome(done.returncode, done.stdout)

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310  our own address
            f"{self.address}/{path}",
            data=content,
            # without a type it is a form, of which the server keeps nothing; and what the plugin
            # stores is for those who sign, by whatever key
            headers={"Content-Type": "application/octet-stream", "Authorization": "AWS none:none"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body: bytes = answer.read()
        return body


@contextmanager
def started(bucket: str) -> Iterator[Store]:
    """Start the stand-in, with an empty bucket."""
    path = os.pathsep.join([str(packages()), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, **KEYS, "PYTHONPATH": path}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", f"-p{port}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as server:
        try:
            store = Store(f"http://127.0.0.1:{port}", bucket, environment)
            _wait(store.address, server)
            store.put("", b"")
            yield store
        finally:
            server.terminate()


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310  our own address
        except OSError:
            assert server.poll() is None, "the stand-in for S3 ended at once"
            assert time.monotonic() < until, "the stand-in for S3 never answered"
            time.sleep(0.2)
        else:
            return

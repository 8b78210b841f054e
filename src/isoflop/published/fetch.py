"""Get the files of one published sweep: from a local mirror, or over the network."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import yaml

from isoflop.fetching import FetchError, in_mirror, mirror_hint, require_digest
from isoflop.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.fetching import Download
    from isoflop.published.catalogue import Catalogue, PublishedSweep, SourceFile, Study


def fetch_published(
    catalogue: Catalogue,
    sweep: str,
    out: Path,
    *,
    mirror: Path | None,
    download: Download,
) -> list[str]:
    """Write a published sweep's raw files and its sweep.yaml.

    Parameters
    ----------
    catalogue : the catalogue of published studies.
    sweep : name of the sweep.
    out : folder to write; it appears whole or not at all.
    mirror : folder that holds the files, itself or below ``datasets/``; None for none.
    download : gives a local copy of what lies at an address, as
        ``isoflop.fetching.downloader`` does.

    Returns
    -------
    Where each file came from, in words.

    Raises
    ------
    FetchError : a file is neither in the mirror nor at an address, or its digest differs.
    """
    study, entry = catalogue.find(sweep)
    files = [study.file(path) for path in entry.files]
    copies = [_copy(study, file, mirror, download) for file in files]
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for file, (copy, _) in zip(files, copies, strict=True):
            shutil.copyfile(copy, partial / file.name)
        if entry.sidecar is not None:
            write_text(partial / "sweep.yaml", _sidecar(study, entry))
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [f"{file.path}: from {origin}" for file, (_, origin) in zip(files, copies, strict=True)]


def _copy(
    study: Study, file: SourceFile, mirror: Path | None, download: Download
) -> tuple[Path, str]:
    """Find a local copy with the right digest, and say where it came from."""
    kept = in_mirror(mirror, file.path, f"datasets/{file.path}")
    if kept is not None:
        _require(study, file, kept, f"the mirror's {kept}")
        return kept, "the mirror"
    hint = mirror_hint(mirror, "published.mirror in config.yaml", file.path)
    if file.address is None:
        raise FetchError(
            f"study '{study.name}': no public address has the bytes of {file.path}: {file.origin}. "
            f"{hint}"
        )
    try:
        copy = download(file.address)
    except FetchError as error:
        raise FetchError(f"study '{study.name}': {file.path}: {error}. {hint}") from error
    try:
        _require(study, file, copy, file.address)
    except FetchError:
        copy.unlink()  # or the next fetch would find the same bytes in the cache
        raise
    return copy, file.address


def _require(study: Study, file: SourceFile, copy: Path, where: str) -> None:
    what = f"study '{study.name}': {file.path} is not the file that the catalogue names: {where}"
    require_digest(copy, file.sha256, what)


def _sidecar(study: Study, sweep: PublishedSweep) -> str:
    """Write sweep.yaml: the catalogue's words, with the study's citation and licence."""
    if sweep.sidecar is None:
        raise TypeError("a sweep without a side-car is not read")
    content: dict[str, Any] = {
        "title": sweep.title,
        "citation": str(study.citation),
        "licence": study.licence,
    }
    content |= sweep.sidecar.model_dump(mode="json", exclude_unset=True)
    content["settings"] = sweep.own_settings()
    head = "# Written from data/reference/published.yaml; edit it there.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)

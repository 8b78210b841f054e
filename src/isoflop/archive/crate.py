"""What describes an archive to machines: RO-Crate 1.1, as a Workflow Run Crate.

Written here and not by the rocrate library, which dates what it writes; a test reads it with that
library.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "ro-crate-metadata.json"
CONTEXT: Final = (
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
)
PROFILES: Final = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
WORKFLOW: Final = "code/Snakefile"


@dataclass(frozen=True, slots=True)
class Described:
    """What a crate says of a sweep.

    Attributes
    ----------
    sweep, title, description, citation, licence : of sweep.yaml; empty where it names none.
    version, revision, python : of what made it; no revision outside git.
    date : ISO date.
    """

    sweep: str
    title: str
    description: str
    citation: str
    licence: str
    version: str
    revision: str
    python: str
    date: str


def metadata(facts: Described, files: Mapping[str, str]) -> dict[str, Any]:
    """Describe an archive as JSON-LD.

    Parameters
    ----------
    facts : of the sweep and of the software.
    files : every member's name in the archive, with its sha256.
    """
    parts = [{"@id": name} for name in sorted(files)]
    results = [{"@id": name} for name in sorted(files) if not name.startswith(("code/", "raw/"))]
    raw = [{"@id": name} for name in sorted(files) if name.startswith("raw/")]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{facts.title}: compute-optimal allocation",
        "description": facts.description or f"Report and data of the sweep {facts.sweep}.",
        "datePublished": facts.date,
        "license": facts.licence or "sweep.yaml names no licence.",
        "conformsTo": [{"@id": profile} for profile in PROFILES],
        "mainEntity": {"@id": WORKFLOW},
        "mentions": {"@id": "#build"},
        "hasPart": parts,
    }
    if facts.citation:
        root["citation"] = facts.citation
    return {
        "@context": list(CONTEXT),
        "@graph": [
            {
                "@id": NAME,
                "@type": "CreativeWork",
                "conformsTo": [
                    {"@id": "https://w3id.org/ro/crate/1.1"},
                    {"@id": PROFILES[2]},
                ],
                "about": {"@id": "./"},
            },
            root,
            *({"@id": profile, "@type": "CreativeWork"} for profile in PROFILES),
            {
                "@id": "#snakemake",
                "@type": "ComputerLanguage",
                "name": "Snakemake",
                "identifier": {"@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"},
                "url": {"@id": "https://snakemake.github.io"},
            },
            {
                "@id": "#isoflop",
                "@type": "SoftwareApplication",
                "name": "isoflop",
                "version": facts.version
                + (f", revision {facts.revision}" if facts.revision else ""),
                "softwareRequirements": f"Python {facts.python}, code/requirements.lock",
            },
            {
                "@id": "#build",
                "@type": "CreateAction",
                "name": f"From the raw logs of {facts.sweep} to its report",
                "instrument": {"@id": WORKFLOW},
                "object": raw,
                "result": results,
            },
            *(_file(name, digest) for name, digest in sorted(files.items())),
        ],
    }


def _file(name: str, digest: str) -> dict[str, Any]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    entity: dict[str, Any] = {
        "@id": name,
        "@type": "File",
        "name": name.rsplit("/", 1)[-1],
        "encodingFormat": kind,
        "sha256": digest,
    }
    if name == WORKFLOW:
        entity |= {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "programmingLanguage": {"@id": "#snakemake"},
            "isPartOf": {"@id": "#isoflop"},
        }
    return entity

"""Why laws were not fitted, each reason told once: several laws may be refused for the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.approach import APPROACHES, IN_PROSE, LAWS, NAMES
from isoflop.numbers import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach

ANY: Final = "\0"
"""Stands for an approach in a reason until it is known how many have it."""


def told_once(refused: Mapping[Approach, str]) -> dict[tuple[Approach, ...], str]:
    """Give each reason once, by the laws that were refused for it, in their order.

    Two reasons are one where they differ in the name of the law alone.

    Parameters
    ----------
    refused : law to why it was not fitted; what is empty is left out.
    """
    groups: dict[str, list[Approach]] = {}
    for name, why in refused.items():
        if why:
            alike = why.replace(f"approach '{name}'", ANY)
            groups.setdefault(_without_others(alike, name, refused), []).append(name)
    return {
        tuple(names): why.replace(
            ANY,
            f"approach '{names[0]}'"
            if len(names) == 1
            else "such a law"
            if all(name in LAWS or name not in APPROACHES for name in names)
            else "such an approach",
        )
        for why, names in groups.items()
    }


def refusal_lines(refused: Mapping[Approach, str]) -> list[str]:
    """Say in a line each which laws were not fitted, and why."""
    return [
        f"{listed([NAMES[name] for name in names])} {'was' if len(names) == 1 else 'were'} not "
        f"fitted: {why}"
        for names, why in told_once(refused).items()
    ]


def pointing(why: str, refused: Mapping[Approach, str]) -> str:
    """Give a reason without that of a refused law within it, which stands elsewhere."""
    return _without_others(why, None, refused)


def _without_others(why: str, name: Approach | None, refused: Mapping[Approach, str]) -> str:
    for other, reason in refused.items():
        if other != name and reason and reason != why and why.endswith(reason):
            stem = why.removesuffix(reason)
            return f"{stem}{IN_PROSE[other]} was not fitted, for the reason given with its name."
    return why

"""Settings by sweep: `settings:` of a sweep.yaml, laid over config.yaml for that sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from isoflop.config.approaches import ApproachesSettings
from isoflop.config.losses import LossesSettings
from isoflop.config.reading import Section, parse
from isoflop.config.report import ReportSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class SweepSettings(Section):
    """The sections of config.yaml that a sweep may have its own way."""

    losses: LossesSettings = LossesSettings()
    approaches: ApproachesSettings = ApproachesSettings()
    report: ReportSettings = ReportSettings()


class _Sidecar(Section):
    """The part of sweep.yaml that is checked here; its name stands in the complaints."""

    settings: SweepSettings


def settings_by_sweep(
    config: Mapping[str, Any], overrides: Mapping[str, Any], *, name: str
) -> SweepSettings:
    """Lay a sweep's own settings over those of all sweeps.

    Parameters
    ----------
    config : content of config.yaml, validated; sections other than a sweep's may be there.
    overrides : `settings:` of the sweep's sweep.yaml: a section, or a key in it, where it differs.
    name : what to call the file in complaints, such as data/raw/novels/sweep.yaml.

    Raises
    ------
    ConfigError : a key is unknown, with the nearest known one, or a value does not fit; all
        complaints at once.
    """
    base = {name: config[name] for name in SweepSettings.model_fields}
    return parse({"settings": laid_over(base, overrides)}, _Sidecar, name=name).settings


def laid_over(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay keys over others, section by section; a list replaces the other list whole."""
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = laid_over(below, value) if nested else value  # type: ignore[arg-type]
    return result


def own_values(settings: SweepSettings, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """List what a sweep sets itself: the checked value by dotted key, as in config.yaml.

    Parameters
    ----------
    settings : what `settings_by_sweep` gave.
    overrides : `settings:` of the sweep's sweep.yaml.
    """
    return dict(_leaves(settings, overrides, ""))


def _leaves(
    section: BaseModel, overrides: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Any]]:
    """Yield the keys that are set below a section, with their values."""
    dumped = section.model_dump(mode="json")
    for key, value in overrides.items():
        inside = getattr(section, key)
        if isinstance(inside, BaseModel) and isinstance(value, Mapping):
            yield from _leaves(inside, value, f"{place}{key}.")
        else:
            yield f"{place}{key}", dumped[key]

"""Writing config.yaml from the models: their attribute docstrings are its only comments."""

from __future__ import annotations

import inspect
import textwrap
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel

from isoflop.config.config_yaml import Config
from isoflop.config.reading import Inline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

WIDTH: Final = 100

HEADER: Final = """\
Every knob of isoflop, one section per room, in the order in which the data flow. Change values
here; the comments are those of src/isoflop/config/, and `isoflop write-config` writes them anew.

A changed key reruns exactly the rules that use it. Keys left out keep their defaults; unknown keys
are errors. `settings:` in a sweep's sweep.yaml lies over this file for that sweep.
workflow/schemas/config.schema.json lets an editor complete and check this file.
"""


def config_text(values: Config | None = None) -> str:
    """Write config.yaml.

    Parameters
    ----------
    values : what the keys are set to; the defaults if None.

    Returns
    -------
    Every key below the comment that its model gives it, at most 100 columns wide where a value
    allows it; it reads back as `values`.
    """
    values = Config() if values is None else values
    lines = [*_comment(HEADER, 0)]
    for name, field in Config.model_fields.items():
        section = getattr(values, name)
        lines += ["", *_key(name, field, section, section.model_dump(mode="json"), 0)]
    return "\n".join(lines) + "\n"


def key_text(field: FieldInfo, value: object) -> str:
    """Give the one text of a key: its attribute docstring, or else its section's docstring."""
    if field.description is not None:
        return field.description
    if isinstance(value, BaseModel):
        return inspect.getdoc(type(value)) or ""
    return ""


def _section(section: BaseModel, dumped: Mapping[str, Any], indent: int) -> Iterator[str]:
    """Yield the lines of a section's keys."""
    for name, field in type(section).model_fields.items():
        yield from _key(name, field, getattr(section, name), dumped[name], indent)


def _key(name: str, field: FieldInfo, value: object, dumped: Any, indent: int) -> Iterator[str]:
    """Yield one key's comment, and the key with its value or its section."""
    pad = " " * indent
    yield from _comment(key_text(field, value), indent)
    if isinstance(value, BaseModel) and not isinstance(value, Inline):
        yield f"{pad}{name}:"
        yield from _section(value, dumped, indent + 2)
        return
    line = f"{pad}{name}: {_flow(dumped)}"
    if len(line) <= WIDTH or not isinstance(dumped, list):
        yield line
        return
    yield f"{pad}{name}:"
    for item in dumped:
        yield f"{pad}  - {_flow(item)}"


def _comment(text: str, indent: int) -> Iterator[str]:
    """Yield a docstring as comment lines, paragraph by paragraph."""
    prefix = " " * indent + "# "
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield prefix.rstrip()
        yield from textwrap.wrap(
            " ".join(paragraph.split()),
            WIDTH,
            initial_indent=prefix,
            subsequent_indent=prefix,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _flow(value: Any) -> str:
    """Write a value on one line."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """SafeDumper, with floats that a reader can take in."""


def _float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    """Write 1e14 as 1.0e+14: YAML 1.1 reads a float only with point and signed exponent."""
    text = repr(value)
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{Decimal(text).normalize():e}".partition("e")
        text = f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{exponent}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _float)

"""Writing config.yaml from the models: their attribute docstrings are its only comments."""

from __future__ import annotations

import ast
import inspect
import textwrap
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml
from pydantic import BaseModel

from isoflop.config.config_yaml import Config
from isoflop.config.reading import Inline, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    for name in Config.model_fields:
        section = getattr(values, name)
        lines += ["", *_key(Config, name, section, section.model_dump(mode="json"), 0)]
    return "\n".join(lines) + "\n"


def config_schema() -> dict[str, Any]:
    """Give the JSON schema of config.yaml, with the text of every key as its description."""
    schema = Config.model_json_schema()
    models = {model.__name__: model for model in _models(Config)}
    for name, described in {**schema["$defs"], Config.__name__: schema}.items():
        texts = key_docstrings(models[name]) if name in models else {}
        properties = described["properties"]
        for key, text in texts.items():
            # in the order of the alphabet, as pydantic has the others
            properties[key] = dict(sorted({**properties[key], "description": text}.items()))
    return schema


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and every model below it."""
    yield model
    pending = [field.annotation for field in model.model_fields.values()]
    while pending:
        annotation = pending.pop()
        pending += get_args(annotation)
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield from _models(annotation)


@cache
def key_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings below a model's keys, and those of the models it is derived from."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, Section) or base is Section:
            continue
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        if not isinstance(parsed, ast.ClassDef):
            raise TypeError(f"{base} has no class of its own in its source")
        for key, text in pairwise(parsed.body):
            if (
                isinstance(key, ast.AnnAssign)
                and isinstance(key.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                texts[key.target.id] = inspect.cleandoc(text.value.value)
    return texts


def key_text(section: type[BaseModel], name: str, value: object) -> str:
    """Give the one text of a key: its attribute docstring, or else its section's docstring."""
    text = key_docstrings(section).get(name)
    if text is not None:
        return text
    if isinstance(value, BaseModel):
        return inspect.getdoc(type(value)) or ""
    return ""


def _section(section: BaseModel, dumped: Mapping[str, Any], indent: int) -> Iterator[str]:
    """Yield the lines of a section's keys."""
    for name in type(section).model_fields:
        yield from _key(type(section), name, getattr(section, name), dumped[name], indent)


def _key(
    section: type[BaseModel], name: str, value: object, dumped: Any, indent: int
) -> Iterator[str]:
    """Yield one key's comment, and the key with its value or its section."""
    pad = " " * indent
    yield from _comment(key_text(section, name, value), indent)
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

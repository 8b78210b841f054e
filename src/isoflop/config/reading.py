"""Reading YAML into models: every key known, all complaints at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from isoflop.errors import ConfigError


class Section(BaseModel):
    """A frozen part of a YAML file in which every key is known.

    The docstring below a key is its text. Those who show it read it from the source
    (config/write.py): pydantic would do so for every model of every process, which is half the time
    that a short command takes.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # a model is built when it is first used: most commands use few
        defer_build=True,
    )


class Inline(Section):
    """A section that config.yaml writes on one line: its key's text tells of its parts, too."""


Model = TypeVar("Model", bound=BaseModel)

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""YAML's safe loader; the one in C takes a tenth of the time, which 10,000 rules need."""
_PAIR: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
"""How JSON writes one character beyond 16 bits; in YAML these would be two that do not exist."""
UNION_MEMBER: Final = re.compile(r"literal\[.*\]|constrained-\w+|int|float|str|bool|none")
"""How pydantic names, at the end of a place, the one of several types that did not fit."""
LONGEST_YAML: Final = 4_000_000
"""Characters of a YAML file: a sweep.yaml of 10,000 runs has about one million."""
DEEPEST_YAML: Final = 100
"""Levels of a YAML file; ours have some eight."""
LARGEST_YAML: Final = 1_000_000
"""Values of a YAML file, each alias as many as it stands for: nine lines of them make a billion."""


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into its model.

    Raises
    ------
    ConfigError : the file is absent or no YAML, or does not fit the model; all complaints at once.
    """
    return parse(_read_mapping(path), model, name=str(path))


LONG_NUMBER: Final = "a number of more than 4,300 digits"


def _read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds keys and values."""
    try:
        content = yaml_content(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError) as error:
        why = LONG_NUMBER if "integer string conversion" in str(error) else error
        raise ConfigError(f"{path}: not valid YAML: {why}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def yaml_content(text: str) -> Any:
    """Read YAML from anywhere: a file may come from a stranger.

    Raises
    ------
    yaml.YAMLError : it is none; a key stands twice, of which the later would win without a word.
    ValueError : it is longer, deeper or, once its aliases are replaced by what they stand for,
        larger than any file of ours, or has a value that cannot be.
    """
    if len(text) > LONGEST_YAML:
        raise ValueError(f"longer than {LONGEST_YAML} characters")
    text = _PAIR.sub(_character, text)
    loader = _LOADER(text)
    try:
        _refuse_depth(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST_YAML} levels") from None
    finally:
        loader.dispose()


def _character(pair: re.Match[str]) -> str:
    """Write a pair of JSON's escapes as the one that YAML has."""
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _refuse_depth(text: str) -> None:
    """Refuse what is nested deep before it is composed, as that calls itself for each level."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise ValueError(f"nested deeper than {DEEPEST_YAML} levels")


def _weigh(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the values below a node, an alias as what it stands for; refuse a key given twice."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = LARGEST_YAML + 1  # an alias of what it stands in has no end
    size = 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"key '{key.value}' stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
            size += _weigh(key, sizes) + _weigh(value, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_weigh(item, sizes) for item in node.value)
    if size > LARGEST_YAML:
        raise ValueError(f"its aliases stand for more than {LARGEST_YAML} values")
    sizes[id(node)] = size
    return size


def parse(content: Any, model: type[Model], *, name: str) -> Model:
    """Validate parsed YAML against its model, with one message for all complaints.

    Raises
    ------
    ConfigError : naming the file, each key, and the nearest known key for a misspelt one.
    """
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{name}: expected keys and values, found {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_complaint(item, model) for item in error.errors()]
        raise ConfigError("\n".join(f"{name}: {line}" for line in lines)) from error


def settings_from(text: str, section: str, model: type[Model]) -> Model:
    """Read one room's settings as the command line gives them.

    Parameters
    ----------
    text : the section as JSON (what the rules pass), or the path of a config.yaml.
    section : key of the section in config.yaml.
    model : model of the section.

    Raises
    ------
    ConfigError : the text is neither, or does not fit the model.
    """
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"--settings: not valid JSON: {error}") from error
        return parse(content, model, name=f"--settings ({section})")
    return parse(_read_mapping(Path(text)).get(section), model, name=f"{text}: {section}")


def _complaint(item: Any, model: type[BaseModel]) -> str:
    """Say one validation error the way a colleague would."""
    location = tuple(str(part) for part in item["loc"])
    while len(location) > 1 and UNION_MEMBER.fullmatch(location[-1]):
        location = location[:-1]
    where = ".".join(location[:-1])
    place = f" in {where}" if where else ""
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; known keys: {', '.join(known)}"
        return f"unknown key '{location[-1]}'{place}{hint}"
    if item["type"] == "missing":
        return f"key '{location[-1]}'{place} is missing"
    if item["type"] == "value_error":  # one of our own validators: its words say it all
        return f"{'.'.join(location)}: {item['ctx']['error']}"
    value, name = item.get("input"), ".".join(location)
    if value is None:
        field = model.model_fields.get(name)
        may = "" if field is not None and field.is_required() else ", or leave the key out"
        return f"{name}: {item['msg']}; give it a value{may}"
    if item["type"] in {"tuple_type", "list_type"} and isinstance(value, str | int | float):
        what = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _shown(value)
        listed = what if len(what) <= LONGEST_SHOWN else "..."
        return f"{name}: give a list, as in `{location[-1]}: [{listed}]` (found {_shown(value)})"
    return f"{name}: {item['msg']} (found {_shown(value)})"


LONGEST_SHOWN: Final = 60
"""Characters shown of a value."""


def _shown(value: Any) -> str:
    """Write a value in short; Python writes no number of more than 4,300 digits."""
    try:
        words = repr(value)
    except ValueError:
        return LONG_NUMBER
    return words if len(words) <= LONGEST_SHOWN else f"{words[:LONGEST_SHOWN]}..."


def _keys_at(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    """List the keys a model knows at a place, following nested models and containers of them."""
    inside: type[BaseModel] | None = model
    in_container = False
    for part in location:
        if inside is None:
            return []
        if in_container:
            # this part is a key of a dict or an index of a list: its model is already in hand
            in_container = False
            continue
        field = inside.model_fields.get(part)
        annotation = field.annotation if field is not None else None
        inside = model_inside(annotation)
        in_container = getattr(annotation, "__origin__", None) in (dict, list, tuple)
    return sorted(inside.model_fields) if inside is not None else []


def model_inside(annotation: Any) -> type[BaseModel] | None:
    """Find the model inside an annotation such as dict[str, Model] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inside = model_inside(argument)
        if inside is not None:
            return inside
    return None

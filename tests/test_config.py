from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, Field

from isoflop.config.config_yaml import Config
from isoflop.config.reading import Section, parse, read_yaml, settings_from
from isoflop.errors import ConfigError
from isoflop.files import json_text

CONFIG = Path("config.yaml")
SCHEMA = Path("workflow/schemas/config.schema.json")


class Inner(Section):
    huber_delta: float = 1e-3
    draws: int = 10


class Outer(Section):
    inner: Inner = Inner()
    many: dict[str, Inner] = Field(default_factory=dict)


def test_shipped_config_fits_its_model() -> None:
    read_yaml(CONFIG, Config)


def test_schema_is_in_step_with_the_model() -> None:
    assert SCHEMA.read_text() == json_text(Config.model_json_schema()), "run: isoflop write-schema"


def leaves(model: BaseModel, place: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        where = f"{place}.{name}".lstrip(".")
        if isinstance(value, BaseModel):
            found += leaves(value, where)
        else:
            found.append((where, value))
    return found


def test_shipped_config_names_every_key_and_states_the_defaults() -> None:
    shipped = yaml.safe_load(CONFIG.read_text())
    defaults = Config().model_dump(mode="json")

    def names(tree: object, place: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return {place}
        return {place} | {n for k, v in tree.items() for n in names(v, f"{place}.{k}")}

    assert names(shipped) == names(defaults)
    given = Config.model_validate(shipped).model_dump(mode="json")
    assert given == defaults


def test_every_key_of_the_shipped_config_has_a_comment() -> None:
    """A key is explained on its own line or on the lines above it."""
    bare = []
    above = ""
    for number, line in enumerate(CONFIG.read_text().splitlines(), 1):
        key = re.match(r"^ *(?:- )?([\w.-]+):", line)
        if key and "#" not in line and not above.startswith("#"):
            bare.append(f"{number}: {line}")
        above = line.strip()
    assert bare == []


def test_misspelt_key_is_met_with_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError, match=r"f: unknown key 'huber_detla' in inner; did you mean 'h"
    ):
        parse({"inner": {"huber_detla": 1}}, Outer, source="f")
    with pytest.raises(ConfigError, match=r"unknown key 'drws' in many\.x; did you mean 'draws'"):
        parse({"many": {"x": {"drws": 1}}}, Outer, source="f")


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"inner": {"draws": "few", "zzz": 1}, "other": 2}, Outer, source="f")
    text = str(caught.value)
    assert len(text.splitlines()) == 3
    assert "inner.draws" in text
    assert "'few'" in text


def test_yaml_1e18_is_read_as_a_number() -> None:
    content = yaml.safe_load("inner: {huber_delta: 1e18}")
    assert isinstance(content["inner"]["huber_delta"], str)
    assert parse(content, Outer, source="f").inner.huber_delta == 1e18


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "\x00"])
def test_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        read_yaml(path, Outer)


def test_settings_come_as_json_or_as_a_section_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("inner: {draws: 7}\n")
    assert settings_from('{"draws": 7}', "inner", Inner) == settings_from(str(path), "inner", Inner)
    with pytest.raises(ConfigError, match="not valid JSON"):
        settings_from('{"draws": ', "inner", Inner)
    with pytest.raises(ConfigError, match="cannot be read"):
        settings_from(str(tmp_path / "absent.yaml"), "inner", Inner)


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().draws = 3  # type: ignore[misc]

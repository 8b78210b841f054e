from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel, Field

from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.config.config_yaml import Config
from isoflop.config.reading import Inline, Section, parse, read_yaml, settings_from, yaml_content
from isoflop.config.sidecar import SweepFile
from isoflop.config.write import config_schema, config_text, key_text
from isoflop.errors import ConfigError
from isoflop.files import json_text
from tests.conftest import ROOT

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
    assert SCHEMA.read_text() == json_text(config_schema()), "run: isoflop write-schema"


def keys(model: type[BaseModel], place: str = "") -> list[tuple[str, str]]:
    """List every key of config.yaml by dotted name, with its text."""
    found: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        value = field.get_default()
        where = f"{place}.{name}".lstrip(".")
        found.append((where, key_text(model, name, value)))
        if isinstance(value, BaseModel) and not isinstance(value, Inline):
            found += keys(type(value), where)
    return found


def test_shipped_config_is_what_the_models_generate() -> None:
    assert CONFIG.read_text() == config_text(), "run: isoflop write-config --defaults"


def test_generated_config_reads_back_as_the_models_without_their_help() -> None:
    """Strict: a float that YAML takes for a string would be coerced otherwise."""
    text = config_text()
    assert yaml.safe_load(text) == Config().model_dump(mode="json")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("value", [0.0, 1e14, 5.76e23, 1e-3, 1e-4, 123456.0, 1e6, 2.5e-300, 0.1])
def test_floats_of_any_size_are_floats_in_yaml(value: float) -> None:
    values = Config.model_validate({"report": {"budgets": [value]}})
    read = yaml.safe_load(config_text(values))["report"]["budgets"]
    assert read == [value]
    assert isinstance(read[0], float)


def test_every_key_has_one_text_that_says_something_by_itself() -> None:
    texts = dict(keys(Config))
    sections = [
        text for key, text in texts.items() if key.startswith("approaches.") and key.count(".") == 1
    ]
    assert len(set(sections)) == len(sections)
    assert [key for key, text in texts.items() if not text] == []
    assert [
        key for key, text in texts.items() if re.match(r"(?i)(as|see) (above|in|\w+\.\w+)\b", text)
    ] == []


def test_a_key_is_written_under_its_docstring() -> None:
    class Probe(Section):
        """A section of its own."""

        tolerance: float = 1e8
        """How far; unit: m."""

    class Whole(Section):
        inner: Probe = Probe()

    assert key_text(Whole, "inner", Probe()) == "A section of its own."
    assert key_text(Probe, "tolerance", 1e8) == "How far; unit: m."
    assert "\n# How raw logs are read.\ningest:\n" in config_text()
    assert "\n  # Shared by all approaches.\n  bootstrap:\n    # Refits per" in config_text()


def test_write_config_keeps_what_the_file_sets(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# mine\napproaches: {parametric: {drop_highest: 3}}\n")
    call = CliRunner().invoke
    stale = call(main, ["write-config", "--out", str(path), "--check"])
    assert stale.exit_code == 1
    assert "isoflop write-config" in stale.output
    assert path.read_text().startswith("# mine")
    assert call(main, ["write-config", "--out", str(path)]).exit_code == 0
    assert read_yaml(path, Config).approaches.parametric.drop_highest == 3
    assert call(main, ["write-config", "--out", str(path), "--check"]).exit_code == 0
    assert call(main, ["write-config", "--out", str(path), "--defaults"]).exit_code == 0
    assert path.read_text() == CONFIG.read_text()


def test_misspelt_key_is_met_with_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError, match=r"f: unknown key 'huber_detla' in inner; did you mean 'h"
    ):
        parse({"inner": {"huber_detla": 1}}, Outer, name="f")
    with pytest.raises(ConfigError, match=r"unknown key 'drws' in many\.x; did you mean 'draws'"):
        parse({"many": {"x": {"drws": 1}}}, Outer, name="f")


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"inner": {"draws": "few", "zzz": 1}, "other": 2}, Outer, name="f")
    text = str(caught.value)
    assert len(text.splitlines()) == 3
    assert "inner.draws" in text
    assert "'few'" in text


def test_yaml_1e18_is_read_as_a_number() -> None:
    content = yaml.safe_load("inner: {huber_delta: 1e18}")
    assert isinstance(content["inner"]["huber_delta"], str)
    assert parse(content, Outer, name="f").inner.huber_delta == 1e18


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


@pytest.mark.parametrize("window", [2, "wide", 5.5])
def test_a_key_of_several_types_is_named_by_its_name_alone(window: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"profiles": {"window": window}}, ApproachesSettings, name="f")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("f: profiles.window: Input should be ") for line in lines)
    assert "'rule'" in lines[0]


@pytest.mark.parametrize(
    ("text", "message", "mended"),
    [
        ("authors: Ada", 'authors: give a list, as in `authors: ["Ada"]`', 'authors: ["Ada"]'),
        ("authors:", "authors: Input should be a valid tuple; give it a value, or leave", ""),
        ("authors: ['']", "authors.0: is blank; write it, or leave it out", "authors: []"),
        ("authors: [Ada, ' ']", "authors.1: is blank", "authors: [Ada]"),
        ("title:", "title: Input should be a valid string; give it a value", "title: t"),
        ("exclude: a", 'exclude: give a list, as in `exclude: ["a"]`', "exclude: []"),
    ],
)
def test_a_value_of_another_kind_is_told_of_with_its_cure(
    text: str, message: str, mended: str, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.yaml"
    title = "" if text.startswith("title") else "title: t\n"
    path.write_text(f"{title}{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_yaml(path, SweepFile)
    assert str(refused.value).startswith(f"{path}: {message}")
    assert ("leave the key out" in str(refused.value)) == (text == "authors:")
    path.write_text(f"{title}{mended}\n", encoding="utf-8")
    read_yaml(path, SweepFile)


@pytest.mark.parametrize(
    "date",
    ["0001-01-01", "9999-12-31", "1979-12-31", "2101-01-01", "0", "20261126.5", "true", "tomorrow",
     "2026-11-26 10:00:00", "2026-11-26T10:00:00Z", "'2026-11-26 10:00'", "[2026-11-26]", "''"],
)  # fmt: skip
def test_a_day_that_no_report_has_is_refused_in_one_message(date: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(f"title: t\ndate: {date}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_yaml(path, SweepFile)
    words = (
        f"{path}: date: give a day of the years 1980 to 2100, such as 2026-11-26, without a time; "
    )
    assert str(refused.value).startswith(words)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("date", ["2026-11-26", "'2026-11-26'", "1980-01-01", "2100-12-31"])
def test_a_day_is_read_as_yaml_has_it_or_as_text(date: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(f"title: t\ndate: {date}\n", encoding="utf-8")
    assert str(read_yaml(path, SweepFile).date) == date.strip("'")
    path.write_text("title: t\ndate:\n", encoding="utf-8")
    assert read_yaml(path, SweepFile).date is None


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().draws = 3  # type: ignore[misc]


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("text", ["🙂", "a\\🙂\\", r"\ud83d\ude42", "扩展", "\u202e"])
def test_a_yaml_file_may_be_json(monkeypatch: pytest.MonkeyPatch, loader: str, text: str) -> None:
    """Whichever of YAML's two readers a machine has; JSON writes an emoji as two escapes."""
    monkeypatch.setattr("isoflop.config.reading._LOADER", getattr(yaml, loader, yaml.SafeLoader))
    assert yaml_content(json.dumps({"title": text})) == {"title": text}


@pytest.mark.parametrize("digits", [100, 4000, 5000])
def test_a_value_is_shown_in_short(tmp_path: Path, digits: int) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(f"title: t\nfacts: {{seed: 1{'0' * (digits - 1)}}}\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, SweepFile)
    said = str(caught.value).removeprefix(str(path))
    assert len(said) < 200
    assert "facts.seed: " in said or "a number of more than 4,300 digits" in said


def test_the_settings_that_make_a_build_quick_are_settings() -> None:
    page = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(approaches:.*?)```", page, re.DOTALL)
    settings = ApproachesSettings.model_validate(yaml.safe_load(block)["approaches"])
    assert settings.bootstrap.interval == "percentile"
    assert settings.mixture.simulations == 0

"""`settings:` of a sweep.yaml lies over config.yaml, checked alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.config.by_sweep import SweepSettings, laid_over, own_values, settings_by_sweep
from isoflop.config.config_yaml import Config
from isoflop.config.reading import read_yaml, settings_from
from isoflop.config.sidecar import SweepFile
from isoflop.errors import ConfigError
from isoflop.sources import sources

WHERE = "data/raw/toy/sweep.yaml"
CONFIG = Config.model_validate(
    {"approaches": {"bootstrap": {"draws": 60, "seed": 3}}, "report": {"budgets": [1e15]}}
).model_dump(mode="json")


def over(own: dict[str, Any]) -> SweepSettings:
    return settings_by_sweep(CONFIG, own, name=WHERE)


def test_a_key_changes_and_its_neighbours_stay() -> None:
    settings = over({"approaches": {"bootstrap": {"draws": 9}}, "losses": {"loss": "train"}})
    assert settings.approaches.bootstrap.draws == 9
    assert settings.approaches.bootstrap.seed == 3
    assert settings.losses.loss == "train"
    assert settings.report.budgets == (1e15,)


def test_a_list_replaces_the_list() -> None:
    assert over({"report": {"budgets": [1e20, 1e21]}}).report.budgets == (1e20, 1e21)


def test_without_settings_a_sweep_has_those_of_all() -> None:
    assert over({}).model_dump(mode="json") == {
        name: CONFIG[name] for name in ("losses", "approaches", "report")
    }


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            {"approaches": {"parametric": {"drop_highset": 1}}},
            "unknown key 'drop_highset' in settings.approaches.parametric; "
            "did you mean 'drop_highest'?",
        ),
        ({"lossses": {}}, "unknown key 'lossses' in settings; did you mean 'losses'?"),
        (
            {"figures": {"contours": 5}},
            "unknown key 'figures' in settings; known keys: approaches, losses, report",
        ),
        (
            {"approaches": {"parametric": {"drop_highest": "few"}}},
            "settings.approaches.parametric.drop_highest: Input should be a valid integer",
        ),
        ({"approaches": None}, "settings.approaches: Input should be a valid dictionary"),
        ({"report": 3}, "settings.report: Input should be a valid dictionary"),
    ],
)
def test_a_slip_is_named_with_file_and_key(own: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        over(own)
    assert f"{WHERE}: {words}" in str(caught.value)


def test_all_slips_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        over({"losses": {"loss": "eval", "smooth": 1}, "approaches": {"kaplan": {"min_sizes": 1}}})
    assert len(str(caught.value).splitlines()) == 2


def test_own_values_are_the_checked_ones_by_dotted_key() -> None:
    content = yaml.safe_load(
        "report: {budgets: [1e18]}\napproaches: {parametric: {huber_delta: 1e-4, points: all}}\n"
    )
    # YAML 1.1 takes 1e18 for a word
    assert content["report"]["budgets"] == ["1e18"]
    assert own_values(over(content), content) == {
        "report.budgets": [1e18],
        "approaches.parametric.huber_delta": 1e-4,
        "approaches.parametric.points": "all",
    }


def test_show_settings_prints_what_the_rules_pass(tmp_path: Path) -> None:
    config, sidecar = tmp_path / "config.yaml", tmp_path / "sweep.yaml"
    config.write_text("approaches: {bootstrap: {draws: 60}}\n")
    sidecar.write_text("title: T\nsettings: {approaches: {parametric: {drop_highest: 2}}}\n")
    call = ["show-settings", "approaches", "--config", str(config), "--sidecar", str(sidecar)]
    outcome = CliRunner().invoke(main, call)
    settings = settings_from(outcome.output, "approaches", ApproachesSettings)
    assert (settings.bootstrap.draws, settings.parametric.drop_highest) == (60, 2)
    sidecar.write_text("title: T\nsettings: {approaches: {parametrc: {}}}\n")
    outcome = CliRunner().invoke(main, call)
    assert outcome.exit_code == 1
    assert f"{sidecar}: unknown key 'parametrc' in settings.approaches" in outcome.output


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_laying_over_twice_is_laying_over_once(base: dict[str, Any], own: dict[str, Any]) -> None:
    once = laid_over(base, own)
    assert laid_over(once, own) == once
    assert laid_over(base, {}) == base
    assert {*once} == {*base, *own}


def test_side_car_takes_settings_and_reading_logs_does_not_depend_on_their_models(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("title: T\nsettings: {losses: {loss: train}}\n")
    assert read_yaml(path, SweepFile).settings == {"losses": {"loss": "train"}}
    read = sources(Path("src/isoflop"), "ingest")
    assert not any(name.endswith(("by_sweep.py", "config/approaches.py")) for name in read)

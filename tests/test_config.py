"""Settings: presets, overrides and files; whatever is unknown or of the wrong type fails with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinema import config as configs
from kinema.card import Card, load_card, save_card
from kinema.config import Config
from kinema.errors import InputError


@pytest.mark.parametrize("name", list(configs.PRESETS))
def test_a_preset_survives_its_file(name: str, tmp_path: Path) -> None:
    config = configs.preset(name)
    configs.save(config, tmp_path / "config.json")
    assert configs.load(tmp_path / "config.json") == config
    assert config.name == name


@pytest.mark.parametrize("name", list(configs.PRESETS))
def test_widths_divide_into_heads(name: str) -> None:
    config = configs.preset(name)
    assert config.model.width % (2 * config.model.heads) == 0
    assert config.text.width % config.text.heads == 0


def test_there_are_few_settings() -> None:
    tree = configs.to_dict(Config())
    assert sum(len(keys) if isinstance(keys, dict) else 1 for keys in tree.values()) <= 120


def test_override_changes_only_what_it_names() -> None:
    changed = configs.override(
        configs.nano(), ["train_model.steps=7", "train_model.bf16=false", 'worlds.families=["fall"]', "worlds.fps=24"]
    )
    assert (changed.train_model.steps, changed.train_model.bf16) == (7, False)
    assert (changed.worlds.families, changed.worlds.fps) == (("fall",), 24.0)
    assert changed.codec == configs.nano().codec


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("train_model.stepz=7", "train_model.steps"),
        ("train_model.steps=many", "must be int, not 'many'"),
        ("train_model.steps=1.5", "must be int"),
        ("train_model.steps=true", "must be int"),
        ("train_model.bf16=1", "must be bool"),
        ("train_model.steps", "section.key=value"),
        ("train_model=1", "no setting"),
        ("worlds.families=3", "must be a list"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(setting: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        configs.override(configs.nano(), [setting])
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match="nano"):
        configs.preset("nanno")


def test_an_unknown_key_in_a_file_fails(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"modell": {}}')
    with pytest.raises(InputError, match="model"):
        configs.load(path)


def test_a_card_survives_its_file(tmp_path: Path) -> None:
    card = Card("nano", 64, 96, 33, 12.0, training={"clips": 3, "hours": 1.5}, scores={"adherence": {"color": 0.5}})
    save_card(card, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == card
    assert card.seconds == pytest.approx(2.75)
    assert "96x64" in card.text() and "hours: 1.5" in card.text()

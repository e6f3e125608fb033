"""Folders of weights: found by name or path, loaded strictly, and damage is told in one line with the file's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from kinema.errors import InputError, KinemaError
from kinema.sample import weights
from kinema.sample.pipeline import load
from kinema.sample.weights import FILES, WeightsFolder


@pytest.fixture
def copy(weights_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(weights_folder, tmp_path / "copy"))


def test_every_tensor_is_loaded(weights_folder: Path) -> None:
    loaded = WeightsFolder.find(weights_folder).model().state_dict()
    stored = load_file(weights_folder / "model.safetensors")
    assert loaded.keys() == stored.keys()
    assert all((loaded[name] == stored[name].float()).all() for name in stored)
    assert not any(tensor.requires_grad for tensor in loaded.values())


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_told(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(KinemaError, match=name) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_garbage_is_told(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"\xff\x00garbage" * 40)
    with pytest.raises(KinemaError, match=name):
        load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_told(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        load(copy)


@pytest.mark.parametrize("name", ["codec.safetensors", "model.safetensors"])
@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_tensors_that_do_not_fit_are_told(copy: Path, name: str, change: str) -> None:
    tensors = load_file(copy / name)
    first = next(key for key, tensor in tensors.items() if tensor.ndim >= 2)
    if change == "missing":
        del tensors[first]
    elif change == "extra":
        tensors["unheard_of"] = tensors[first].clone()
    else:
        tensors[first] = tensors[first][:-1].contiguous()
    save_file(tensors, copy / name)
    with pytest.raises(KinemaError, match=name):
        load(copy)


def test_a_card_with_unknown_keys_is_told(copy: Path) -> None:
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"hieght": 3}))
    with pytest.raises(KinemaError, match="height"):
        WeightsFolder.find(copy).card()


def test_built_in_names(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "BUILT_IN", copy.parent)
    assert WeightsFolder.find("copy").path == copy
    with pytest.raises(InputError, match="copy"):
        WeightsFolder.find("nowhere")
    (copy / "card.json").unlink()
    with pytest.raises(KinemaError, match="install kinema again"):
        WeightsFolder.find("copy")


def test_a_codec_alone_is_found_by_those_who_need_no_model(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "BUILT_IN", copy.parent)
    copy.rename(copy.with_name("codec"))
    for name in FILES[2:]:
        (copy.with_name("codec") / name).unlink()
    folder = WeightsFolder.find_codec("codec")
    assert folder.codec().config == folder.config().codec
    with pytest.raises(InputError, match="codec is a codec alone"):
        WeightsFolder.find("codec")
    with pytest.raises(InputError, match="no weights 'kodec'"):
        WeightsFolder.find_codec("kodec")
    (tmp_path / "codec.safetensors").touch()
    with pytest.raises(InputError, match="no config.json beside"):
        WeightsFolder.find_codec(tmp_path)

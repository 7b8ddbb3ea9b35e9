"""A job's spec from files, flags and settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from isthmus.cli.exits import UsageFault
from isthmus.cli.spec import merge, parse, place_hyperparameters, read_spec, settings


def test_yaml_and_json_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: tiny\nist: {policy: random}\nlearning_rate: 1e-3\nseed: 7\n")
    (tmp_path / "b.json").write_text(
        '{"model": "tiny", "ist": {"policy": "random"}, "learning_rate": 1e-3, "seed": 7}'
    )
    expected = {"model": "tiny", "ist": {"policy": "random"}, "learning_rate": 0.001, "seed": 7}
    assert read_spec(str(tmp_path / "a.yaml")) == read_spec(str(tmp_path / "b.json")) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("1.5e2", 150.0), ("3", 3), (".5", 0.5), ("2024-01-31", "2024-01-31"), ("null", None)],
)
def test_plain_values(text: str, value: object) -> None:
    found = parse(text, "x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: [", "line 1"),
        ("a: 1\na: 2", "line 2: 'a' comes twice"),
        ("- a", "is a list"),
        ("", "is empty"),
        ("1: a", "mapping"),
        ("x: .nan", "JSON"),
        ("x: !!python/object:os.system {}", "could not determine"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(UsageFault, match=reason) as fault:
        read_spec(str(path))
    assert "job.yaml" in str(fault.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="cannot be read"):
        read_spec(str(tmp_path / "none.yaml"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageFault, match="cannot be read"):
        read_spec(str(tmp_path / "binary"))


def test_mappings_merge_and_the_rest_is_replaced() -> None:
    below = {"adapter": {"type": "lora", "rank": 4}, "ist": None, "seed": 1}
    above = {"adapter": {"rank": 8}, "ist": {"policy": "random"}, "seed": 2}
    assert merge(below, above) == {
        "adapter": {"type": "lora", "rank": 8},
        "ist": {"policy": "random"},
        "seed": 2,
    }
    assert below["seed"] == 1


def test_settings_are_paths_and_yaml_values() -> None:
    assert settings(["ist.policy=random", "ist.floor=1e-2", "suffix=a=b", "webhook=null"]) == {
        "ist": {"policy": "random", "floor": 0.01},
        "suffix": "a=b",
        "webhook": None,
    }
    for bad in ("policy", "=x", "a..b=1"):
        with pytest.raises(UsageFault, match="no KEY=VALUE"):
            settings([bad])


def test_hyperparameters_go_where_the_spec_has_them() -> None:
    assert place_hyperparameters({}, {"n_epochs": 2}) == {"hyperparameters": {"n_epochs": 2}}
    own = {"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 4}}}}
    assert place_hyperparameters(own, {"n_epochs": 2})["method"]["supervised"]["hyperparameters"] == {
        "batch_size": 4,
        "n_epochs": 2,
    }
    dpo = {"method": {"type": "dpo"}, "hyperparameters": {"n_epochs": 3}}
    assert place_hyperparameters(dpo, {"beta": 0.2}) == {
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 3, "beta": 0.2}}}
    }
    assert place_hyperparameters(dpo, {}) is dpo

"""Runs whose layers compute again for the backward pass: the same weights, and exact when resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ist_core.forecast import Forecast
from ist_core.ist import IstRecord
from ist_core.keeping import Keeping
from ist_core.planner import KeptLayers
from tests.train.runs import in_one, in_pieces, make_spec, weights_of

IST = {"probe_interval": 3, "warmup_steps": 2, "update_fraction": 0.5, "policy": "contiguous"}


@pytest.mark.parametrize(("recompute", "ist"), [("unselected", IST), ("all", None)], ids=["ist", "lora"])
def test_it_changes_no_weight(
    recompute: str, ist: dict[str, object] | None, tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=ist, max_steps=6)
    plain = in_one(spec, tmp_path / "plain")
    again = in_one(spec.model_copy(update={"recompute": recompute}), tmp_path / "again")
    assert again == plain
    assert weights_of(tmp_path / "again")


def test_it_is_chosen_by_the_memory_there_is(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, max_steps=6)
    plain = in_one(spec, tmp_path / "plain")
    auto = spec.model_copy(update={"recompute": "auto"})
    assert in_one(auto, tmp_path / "enough") == plain
    monkeypatch.setattr("ist_core.planner.devices.machine_memory", lambda: 1)
    little = in_one(auto, tmp_path / "little")
    assert [text for text in little.messages if text not in plain.messages] == [
        "To fit the memory, 4 of 4 layers, after the warm-up 4, compute again for the backward pass"
    ]
    assert (little.weights, little.records) == (plain.weights, plain.records)


def test_a_resumed_run_ends_with_the_same_weights(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    spec = make_spec(
        tiny_folder,
        chat_file,
        ist=IST,
        adapter={"rank": 4, "dropout": 0.2},
        recompute="unselected",
        max_steps=8,
    )
    assert in_pieces(spec, tmp_path / "pieces", [5]) == in_one(spec, tmp_path / "whole")


def test_no_more_layers_are_kept_than_are_selected(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_folder, chat_file, ist=IST, recompute="unselected", max_steps=8)
    seen = watched(monkeypatch)
    in_one(spec, tmp_path / "run")
    assert [depth - again for depth, again in seen] == [2] * 8
    assert {depth for depth, _ in seen[:2]} == {4}


def test_a_warm_up_and_the_steps_after_it_keep_what_each_has_room_for(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ist = {"policy": "settling", "update_fraction": 0.5, "warmup_steps": 3}
    spec = make_spec(tiny_folder, chat_file, ist=ist, recompute="none", max_steps=8)
    plain = in_one(spec, tmp_path / "plain")
    monkeypatch.setattr(Forecast, "kept", lambda *_: KeptLayers(warmup=1, later=2))
    seen = watched(monkeypatch)
    assert in_one(spec, tmp_path / "again") == plain
    assert seen == [(4, 3)] * 3 + [(2, 0)] * 5


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each step that follows, how many layers it goes back through, and how many compute again."""
    seen: list[tuple[int, int]] = []
    choose = Keeping.choose

    def watch(self: Keeping, record: IstRecord) -> None:
        choose(self, record)
        seen.append((record.backward_depth, len(self.again)))

    monkeypatch.setattr(Keeping, "choose", watch)
    return seen

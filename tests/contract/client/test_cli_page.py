"""The examples of docs/cli.md, run as they stand against a real API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.client.documents import blocks, run, worker
from tests.contract.client.test_documents import CONFIG, MODEL
from tests.contract.conftest import DATA, Service
from tests.contract.inference import answering
from tests.contract.worker import TOTAL
from tests.tiny_model import make_tiny_tokenizer

PAGE = Path("docs/cli.md")


@pytest.fixture(autouse=True)
def working(service: Service) -> Iterator[None]:
    """A worker, and a small model under the name that the page uses."""
    folder = service.settings.base_models_dir / MODEL
    folder.mkdir()
    make_tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    with worker(service), answering(service, "Send it back."):
        yield


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_page_of_the_command_line(service: Service, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(DATA)
    (tmp_path / "job.yaml").write_text(blocks(PAGE, "yaml"))
    program = "set -euo pipefail\n" + blocks(PAGE, "bash")
    said = run(["bash"], program, service=service, folder=tmp_path)
    for words in (
        "fits: ",
        f"succeeded at step {TOTAL}/{TOTAL}",
        f"[{TOTAL},0.05]",
        "exit code 2",
        "exact match 0.333 -> 0.667 (3 rows)",
        "Send it back.",
    ):
        assert words in said
    assert "  Say 2.  2!        Hm.   Um.    0 -> 0" in said
    assert (tmp_path / "copy.jsonl").read_bytes() == DATA
    assert (tmp_path / "tickets" / "adapter" / "adapter_config.json").is_file()
    assert (tmp_path / "gguf" / "tickets-Q8_0.gguf").read_bytes() == b"GGUF"
    assert (tmp_path / "loss.csv").read_text().startswith("step,time,loss,loss_low,loss_high\n")
    assert len((tmp_path / "importance.csv").read_text().splitlines()) == TOTAL + 1
    assert (tmp_path / "steps.parquet").read_bytes().startswith(b"PAR1")
    assert (tmp_path / "key").read_text().startswith("isk-")

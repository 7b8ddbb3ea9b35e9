"""The pages for clients, and the script in the README, run as they stand against a real API."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.client.documents import blocks, run, worker
from tests.contract.conftest import DATA, Service
from tests.contract.inference import answering
from tests.contract.worker import TOTAL
from tests.tiny_model import make_tiny_tokenizer

MODEL = "SmolLM2-135M-Instruct"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 400,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
PYTHON = [sys.executable, "-W", "error"]


@pytest.fixture(scope="module", autouse=True)
def working(service: Service) -> Iterator[None]:
    """A worker, and a small model under the name that the pages use."""
    folder = service.settings.base_models_dir / MODEL
    folder.mkdir()
    make_tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    with worker(service), answering(service, "Send it back."):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands are run: it has the data that they name."""
    (tmp_path / "train.jsonl").write_bytes(DATA)
    (tmp_path / "heldout.jsonl").write_bytes(DATA)
    (tmp_path / "examples" / "tickets").mkdir(parents=True)
    (tmp_path / "examples" / "tickets" / "train.jsonl").write_bytes(DATA)
    return tmp_path


def test_the_page_of_the_sdk(service: Service, folder: Path) -> None:
    said = run(PYTHON, blocks(Path("docs/sdk.md"), "python"), service=service, folder=folder)
    for words in (
        f"{TOTAL} 0.05",
        "12 chat",
        "cancelled",
        "checkpoint of step 10",
        "400 invalid_value adapter.rank",
        "succeeded manifest.json tickets-Q8_0.gguf",
        "exact_match 0.3333333333333333 0.6666666666666666",
        "2 Say 2. 2! Hm. Um.",
        "Send it back.  stop 3",
    ):
        assert words in said
    assert (folder / "tuned" / "report.json").is_file()
    assert (folder / "model.tar").is_file()
    assert (folder / "gguf" / "tickets-Q8_0.gguf").read_bytes() == b"GGUF"


def test_the_page_of_the_rest_api(service: Service, folder: Path) -> None:
    if shutil.which("jq") is None or shutil.which("curl") is None:
        pytest.skip("needs curl and jq")
    program = "set -euo pipefail\n" + blocks(Path("docs/rest.md"), "bash")
    said = run(["bash"], program, service=service, folder=folder)
    assert f",{TOTAL},0.05]" in said
    assert "report.json" in said
    assert '"content": "Send it back. "' in said
    assert '"total_tokens": 10' in said
    assert '{"row":2,"expected":"2!","base":"Hm.","tuned":"Um."}' in said
    (shown,) = json.loads(f"[{blocks(Path('docs/rest.md'), 'json')}]")
    assert json.dumps(shown, indent=2) in said
    assert (folder / "model.tar").stat().st_size > 0
    assert (folder / "model.gguf").read_bytes() == b"GGUF"


def test_the_script_in_the_readme(service: Service, folder: Path) -> None:
    example = Path("examples/sdk_quickstart.py").read_text()
    code = example.partition('"""\n\n')[2]
    assert len(code.splitlines()) <= 15
    assert f"```python\n{code}```" in Path("README.md").read_text()
    said = run(PYTHON, example, service=service, folder=folder)
    assert f"step {TOTAL}: loss 0.05, layers [1, 3]" in said
    assert (folder / "tuned" / "adapter" / "adapter_config.json").is_file()

"""The package: what it exports, what it needs and what it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import isthmus
import pytest

BLOCKED = """
import sys
import zipfile
from pathlib import Path
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def _run(code: str, *, without: tuple[str, ...]) -> str:
    """Run code in an interpreter in which some packages are not there; returns what it prints."""
    program = BLOCKED.format(blocked=without) + code
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_exported_is_there() -> None:
    for name in isthmus.__all__:
        assert getattr(isthmus, name).__name__ == name
    assert set(isthmus.__all__) <= set(dir(isthmus))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = isthmus.Nothing  # type: ignore[attr-defined]


def test_every_error_is_exported() -> None:
    from isthmus import errors

    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.IsthmusError)
    }
    assert found <= set(isthmus.__all__)


def test_a_parquet_file_without_its_reader_says_what_to_install() -> None:
    code = """
import io
from isthmus import MissingExtra
from isthmus.dataset import formats
try:
    formats.check(io.BytesIO(b"PAR1....PAR1"))
except MissingExtra as error:
    print(error)
"""
    said = "Parquet files need pyarrow to be read: pip install 'isthmus[parquet]'"
    assert _run(code, without=("pyarrow",)) == said


def test_data_files_are_checked_without_the_client() -> None:
    code = """
import io
from isthmus.dataset import formats
row = b'{"prompt": "a", "completion": "b"}'
print(formats.check(io.BytesIO(row)).rows)
"""
    assert _run(code, without=("httpx2", "httpx", "pydantic", "anyio", "pyarrow", "torch", "numpy")) == "1"


def test_the_client_needs_no_arrays_and_says_what_does() -> None:
    code = """
from isthmus import Isthmus, MissingExtra
from isthmus.types.series import Metrics
metrics = Metrics(job_id="ftjob-1", steps=[1], time=[0.0], series={"loss": [1.0]})
for convert in (metrics.to_numpy, metrics.to_pandas):
    try:
        convert()
    except MissingExtra as error:
        print(error)
"""
    assert _run(code, without=("numpy", "pandas", "pyarrow", "torch", "fastapi", "sqlalchemy")) == (
        "arrays need numpy: pip install 'isthmus[data]'\ndata frames need pandas: pip install 'isthmus[data]'"
    )


def test_the_wheel_holds_all_modules_and_says_that_it_is_typed(tmp_path: Path) -> None:
    source = tmp_path / "client"
    shutil.copytree("client", source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("isthmus-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to("client")) for path in Path("client/isthmus").rglob("*.py")}
    assert {*modules, "isthmus/py.typed"} <= held

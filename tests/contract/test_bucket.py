"""The service on a bucket of an S3 server: files, uploads in parts, deletion, and a bucket that is away."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from store.object_storage import open_objects
from store.settings import Settings
from tests.conftest import fresh_database
from tests.contract.conftest import DATA, KEY, Service, serving
from tests.contract.errors import check_error
from tests.contract.worker import Run
from tests.s3_server import ACCESS_KEY, SECRET_KEY, s3_server
from worker.janitor import Janitor
from worker.sweeper import Sweeper


@pytest.fixture(scope="module")
def bucket_service(
    postgres_url: str, migrated_template: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with (
        fresh_database(postgres_url, migrated_template) as database_url,
        s3_server() as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_dir=tmp_path_factory.mktemp("data"),
            objects_url=f"s3://{server.bucket}/isthmus",
            objects_endpoint=server.endpoint,
            hub=False,
            api_key=SecretStr(KEY),
            web_dir=tmp_path_factory.mktemp("web"),
        )
        with serving(settings) as running:
            yield running


def _keys(service: Service) -> list[str]:
    return list(open_objects(service.settings).list(""))


def test_files_live_in_the_bucket(bucket_service: Service) -> None:
    client = bucket_service.client
    stream = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a"] * 90, "completion": ["b"] * 90}), stream)
    file = client.files.create(file=("a.parquet", stream.getvalue()), purpose="fine-tune")
    assert _keys(bucket_service) == [f"files/{file.id}"]
    assert not bucket_service.settings.objects_dir.exists()
    assert client.files.content(file.id).read() == stream.getvalue()
    client.files.delete(file.id)
    assert _keys(bucket_service) == []


def test_large_uploads_in_parts_are_joined_in_the_bucket(bucket_service: Service) -> None:
    client = bucket_service.client
    data = (DATA + b"\n") * 15_000
    assert len(data) > 16 * 1024 * 1024  # so the file itself goes up in S3's parts
    done = client.uploads.upload_file_chunked(
        file=data,
        filename="a.jsonl",
        bytes=len(data),
        mime_type="text/jsonl",
        purpose="fine-tune",
        part_size=7 * 1024 * 1024,
    )
    assert done.file is not None
    assert client.files.content(done.file.id).read() == data
    assert _keys(bucket_service) == [f"files/{done.file.id}"]
    client.files.delete(done.file.id)


def test_the_janitor_tidies_the_bucket(bucket_service: Service) -> None:
    client = bucket_service.client
    upload = client.uploads.create(bytes=9, filename="a.jsonl", mime_type="text/jsonl", purpose="fine-tune")
    part = client.uploads.parts.create(upload.id, data=b"123456789")
    assert _keys(bucket_service) == [f"uploads/{upload.id}.{part.id}"]
    with bucket_service.database.session() as session:
        session.connection().exec_driver_sql("UPDATE uploads SET expires_at = now()")
    Janitor(bucket_service.database, open_objects(bucket_service.settings)).tick()
    assert _keys(bucket_service) == []


def test_models_come_out_of_the_bucket_as_archives_and_leave_it(bucket_service: Service) -> None:
    tiny = bucket_service.settings.base_models_dir / "tiny"
    tiny.mkdir(parents=True)
    (tiny / "config.json").write_text("{}")
    with bucket_service.client as client, bucket_service.http() as http:
        job_id = bucket_service.create_job()
        model = Run(bucket_service, job_id).succeed()
        whole = http.get(f"/v1/models/{model}/archive").content
        headers = {"Range": "bytes=100-3000"}
        assert http.get(f"/v1/models/{model}/archive", headers=headers).content == whole[100:3001]
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            names = sorted(name.partition("/")[2] for name in tar.getnames())
        assert names == ["SHA256SUMS", "adapter/adapter_config.json", "report.json"]
        assert client.models.delete(model).deleted
    assert not [key for key in _keys(bucket_service) if key.startswith("models/")]


def test_strays_in_the_bucket_go_after_a_day(bucket_service: Service) -> None:
    objects = open_objects(bucket_service.settings)
    named = set(_keys(bucket_service))
    objects.put("files/file-stray", io.BytesIO(b"x"))
    sweeper = Sweeper(bucket_service.database, objects)
    sweeper.sweep()
    with bucket_service.database.session() as session:
        session.connection().exec_driver_sql("UPDATE stray_objects SET seen_at = now() - interval '1 day'")
    sweeper.sweep()
    assert set(_keys(bucket_service)) == named


def test_a_bucket_that_is_away_is_told_and_leaves_nothing(
    postgres_url: str, migrated_template: str, bucket_service: Service
) -> None:
    gone = {"objects_url": "s3://another-bucket/x"}
    with (
        fresh_database(postgres_url, migrated_template) as database_url,
        serving(bucket_service.settings.model_copy(update={"database_url": database_url, **gone})) as service,
        service.http() as http,
    ):
        before = service.contents()
        answer = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", DATA)})
        check_error(answer, 503, code="storage_unavailable", param=None)
        assert service.contents() == before

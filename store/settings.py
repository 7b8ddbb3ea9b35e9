"""Settings of every process, from `ISTHMUS_*` environment variables: the same standalone and in Docker."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

TRAIN_TASK = "isthmus.train"
"""The name of the queue's task for jobs, whose argument is a job id: what the API sends and workers take."""
EXPORT_TASK = "isthmus.export"
"""That for exports of models, whose argument is an export's id."""


class Settings(BaseSettings):
    """`ISTHMUS_DATABASE_URL`, `ISTHMUS_REDIS_URL` and `ISTHMUS_DATA_DIR` have no default on purpose."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_", frozen=True)

    database_url: str
    """A SQLAlchemy URL; `postgresql://` is read as `postgresql+psycopg://`."""
    redis_url: str
    data_dir: Path
    """Root of object storage, the base-model cache and the trainers' scratch folders."""
    objects_url: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[^?#]*)?$")
    """`s3://bucket/prefix`, keys from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; None: a folder."""
    objects_endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """The address of an S3-compatible server; None: Amazon's."""
    objects_region: str | None = None
    """None: `AWS_REGION`, or us-east-1."""
    models_dir: Path | None = None
    """Folder of base models (sub-folders in transformers format, or .gguf files); None: data_dir/models."""
    hub: bool = True
    """Whether `org/name` model names may be looked up on the Hugging Face Hub (or its local cache), and
    exports pushed to it."""
    hub_endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """The Hub that exports are pushed to; None: `HF_ENDPOINT`, or huggingface.co."""
    api_key: SecretStr | None = None
    """The bootstrap key: all scopes in the project `default`; None: only the keys of the table are taken."""
    session_secret: SecretStr | None = None
    """What the dashboard's cookies are signed with; None: `data_dir/session_secret`, made at first."""
    requests_per_minute: int | None = Field(default=None, gt=0)
    """What each key may send, where its project says nothing else; None: as much as it likes."""
    web_dir: Path | None = None
    """The dashboard's build; None: web/dist beside the code."""
    queue: str = "isthmus"
    """Celery queue that wakes the workers of this database."""
    lease_seconds: float = Field(default=30.0, gt=0)
    """A running job whose lease is not renewed for so long is taken from its worker."""
    heartbeat_seconds: float = Field(default=2.0, gt=0)
    cancel_grace_seconds: float = Field(default=2.0, ge=0)
    """The trainer of a cancelled job gets so long to stop before SIGKILL."""
    stop_grace_seconds: float = Field(default=12.0, ge=0)
    """That of a paused job or a stopping worker, which saves a checkpoint first."""
    max_attempts: int = Field(default=3, ge=1)
    """The lost worker or trainer that fails its job; a job given back in order is not counted."""
    warm_trainers: bool = True
    """Whether a worker keeps libraries and the last base model in memory, for trainers to begin with."""
    warm_model_bytes: int = Field(default=4 * 1024**3, ge=0)
    """A base model whose weights take more is not kept."""
    scheduler_seconds: float = Field(default=2.0, gt=0)
    max_file_bytes: int = Field(default=512 * 1024 * 1024, gt=0)
    log_format: Literal["text", "json"] = "text"
    """json: one object a line, for machines."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    revision: str | None = None
    """The git commit of this code, where it runs without its repository."""
    chat_queue_limit: int = Field(default=64, ge=1)
    """So many chat requests may wait; the next is refused with 429."""
    chat_request_seconds: float = Field(default=300.0, gt=0)
    """A chat request that is not answered by then is given up."""
    chat_max_tokens: int = Field(default=1024, ge=1)
    """The longest answer, in tokens, to a chat request that names no limit (or less: the window's rest)."""
    chat_max_batch: int = Field(default=8, ge=1)
    """Answers that an inference process writes at once."""
    chat_max_adapters: int = Field(default=8, ge=1)
    """Adapters that it keeps in memory."""
    chat_adapter_cache_bytes: int = Field(default=2 * 1024**3, gt=0)
    """Downloaded adapters that it keeps under data_dir/cache/adapters."""
    chat_idle_minutes: float = Field(default=15.0, gt=0)
    """Unasked for so long it lets go of its base model."""
    chat_memory_bytes: int | None = Field(default=None, gt=0)
    """What it may hold, of the GPU or else of the machine; None: a third of that."""
    chat_threads: int | None = Field(default=None, ge=1)
    """Threads that it computes with on a CPU; None: half the cores."""
    chat_nice: int = Field(default=5, ge=0, le=19)
    """How much it yields to other processes for a CPU."""
    webhook_private: bool = False
    """Whether webhooks may lead to addresses that are not public, and be plain http."""
    api_workers: int = Field(default=1, ge=1, le=64)
    """Processes that the API serves from, on one port."""
    shutdown_seconds: int = Field(default=10, ge=1)
    """After SIGTERM the API gives the requests under way so long to end."""

    @property
    def objects_dir(self) -> Path:
        """Where object storage keeps its files."""
        return self.data_dir / "objects"

    @property
    def base_models_dir(self) -> Path:
        """The folder of base models, chosen or default."""
        return self.models_dir or self.data_dir / "models"

    @property
    def cache_dir(self) -> Path:
        """Where converted base models are kept."""
        return self.data_dir / "cache"


@lru_cache
def get_settings() -> Settings:
    """The process's settings, read once; tests call `get_settings.cache_clear()`."""
    return Settings()

"""The tables: projects, keys, files, jobs and what jobs leave behind (PostgreSQL 15 or later)."""

from store.tables.base import Base, State
from store.tables.exports import Export, ExportState
from store.tables.files import File, Upload, UploadPart
from store.tables.idempotency import IdempotencyKey
from store.tables.jobs import Job
from store.tables.results import Checkpoint, TunedModel
from store.tables.series import Event, StepRecord, StepRollup
from store.tables.strays import StrayObject
from store.tables.tenants import ApiKey, Project
from store.tables.webhooks import Webhook, WebhookDelivery
from store.tables.workers import Worker

__all__ = [
    "ApiKey",
    "Base",
    "Checkpoint",
    "Event",
    "Export",
    "ExportState",
    "File",
    "IdempotencyKey",
    "Job",
    "Project",
    "State",
    "StepRecord",
    "StepRollup",
    "StrayObject",
    "TunedModel",
    "Upload",
    "UploadPart",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]

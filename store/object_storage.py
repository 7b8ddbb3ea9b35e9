"""Which object storage the settings name: the one place where api and workers open it."""

from __future__ import annotations

from urllib.parse import urlsplit

from store.objects import LocalObjects, ObjectStore
from store.s3_objects import S3Objects
from store.settings import Settings


def open_objects(settings: Settings) -> ObjectStore:
    """The bucket of `ISTHMUS_OBJECTS_URL`; without one, the folder `objects` of the data folder."""
    if settings.objects_url is None:
        return LocalObjects(settings.objects_dir)
    url = urlsplit(settings.objects_url)
    return S3Objects(
        url.netloc,
        url.path.strip("/"),
        endpoint=settings.objects_endpoint,
        region=settings.objects_region,
    )

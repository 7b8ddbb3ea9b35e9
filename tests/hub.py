"""A stand-in for a Hub's HTTP: what `huggingface_hub` calls to make a repository and commit files to it."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

LFS_SUFFIXES = (".safetensors", ".gguf")


@dataclass
class Repository:
    """What was pushed."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class HubServer:
    """A Hub that takes one token, and whose answers a test may spoil."""

    token: str
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    refuse: Callable[[Request], int | None] = field(default=lambda _: None)
    """The status to refuse a request with; None: it is answered."""

    def app(self) -> Starlette:
        """Its routes; the Hub's own errors are JSON with `error`."""
        routes = [
            Route("/api/repos/create", self._guarded(self._create), methods=["POST"]),
            Route("/api/validate-yaml", self._guarded(self._validate), methods=["POST"]),
            Route("/api/models/{owner}/{name}", self._guarded(self._info)),
            Route(
                "/api/models/{owner}/{name}/preupload/{revision}",
                self._guarded(self._preupload),
                methods=["POST"],
            ),
            Route("/{owner}/{name}.git/info/lfs/objects/batch", self._guarded(self._batch), methods=["POST"]),
            Route("/lfs/{oid}", self._store, methods=["PUT"]),
            Route(
                "/api/models/{owner}/{name}/commit/{revision}", self._guarded(self._commit), methods=["POST"]
            ),
        ]
        return Starlette(routes=routes)

    def _guarded(self, answer: Callable[[Request], object]) -> Callable[..., object]:
        async def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return JSONResponse({"error": "Invalid credentials"}, 401)
            if (status := self.refuse(request)) is not None:
                return JSONResponse({"error": f"Refused with {status}"}, status)
            return await answer(request)  # type: ignore[misc, no-any-return]

        return guarded

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        repo_id = f"{body['organization']}/{body['name']}"
        url = {"url": f"{self.url}/{repo_id}"}
        if repo_id in self.repositories:
            return JSONResponse({"error": "You already created this model repo", **url}, 409)
        self.repositories[repo_id] = Repository(private=body.get("visibility") == "private")
        return JSONResponse(url)

    async def _validate(self, request: Request) -> Response:
        head = (await request.json())["content"].split("---")[1]
        known = isinstance(yaml.safe_load(head), dict)
        errors = [] if known else [{"message": "The metadata is no mapping"}]
        return JSONResponse({"errors": errors, "warnings": []}, 200 if known else 400)

    async def _info(self, request: Request) -> Response:
        repo_id = _repo_id(request)
        if repo_id not in self.repositories:
            return JSONResponse({"error": "Repository not found"}, 404)
        return JSONResponse({"id": repo_id, "siblings": []})

    async def _preupload(self, request: Request) -> Response:
        files = (await request.json())["files"]
        told = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in files
        ]
        return JSONResponse({"files": told})

    async def _batch(self, request: Request) -> Response:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}}
            for item in (await request.json())["objects"]
        ]
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def _store(self, request: Request) -> Response:
        body = await request.body()
        oid = request.path_params["oid"]
        if hashlib.sha256(body).hexdigest() != oid:
            return JSONResponse({"error": "Other bytes than were told of"}, 400)
        self.objects[oid] = body
        return Response(status_code=200)

    async def _commit(self, request: Request) -> Response:
        repository = self.repositories[_repo_id(request)]
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        for line in lines:
            if line["key"] == "file":
                repository.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                repository.files[line["value"]["path"]] = self.objects[line["value"]["oid"]]
        oid = hashlib.sha1(str(lines).encode(), usedforsecurity=False).hexdigest()
        repository.commits.append(oid)
        return JSONResponse(
            {"commitUrl": f"{self.url}/{_repo_id(request)}/commit/{oid}", "commitOid": oid, "success": True}
        )


@contextmanager
def hub_server(token: str) -> Iterator[HubServer]:
    """Serve a Hub from a thread until the block ends."""
    hub = HubServer(token)
    listener = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(hub.app(), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def _repo_id(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"

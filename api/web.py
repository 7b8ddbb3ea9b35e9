"""The dashboard's build, served where no route answers."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from api.errors import ApiError

DEFAULT_BUILD = Path(__file__).parents[1] / "web" / "dist"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HASHED = "public, max-age=31536000, immutable"
OWN_PREFIXES = ("/v1", "/session", "/health", "/openapi.json")


class Dashboard:
    """The pages: files of the build, and its index for every address that is one of the page's own."""

    def __init__(self, build: Path) -> None:
        self._build = build
        self._files = StaticFiles(directory=build, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that no route took."""
        if scope["type"] == "websocket":
            await WebSocketClose(4404)(scope, receive, send)
            return
        path: str = scope["path"]
        own = any(path == prefix or path.startswith(f"{prefix}/") for prefix in OWN_PREFIXES)
        if own or scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(404)
        response = await self._page(path, scope)
        response.headers["content-security-policy"] = POLICY
        await response(scope, receive, send)

    async def _page(self, path: str, scope: Scope) -> Response:
        if not (self._build / "index.html").is_file():
            raise ApiError(404, "The dashboard is not built here; run `make web`", code="dashboard_not_built")
        is_file = bool(PurePosixPath(path).suffix)
        name = path.lstrip("/") if is_file else "index.html"
        response = await self._files.get_response(name, scope)
        # Only these have a hash of their content in their names; all else is asked for again each time.
        response.headers["cache-control"] = HASHED if path.startswith("/assets/") else "no-cache"
        return response

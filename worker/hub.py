"""Pushes a folder to a repository of a Hub, with words for what can go wrong."""

from __future__ import annotations

import http
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from ist_core.errors import EngineError

LONGEST = 300
"""Of what a Hub says, so many characters are told."""


class PushError(EngineError):
    """A Hub that does not take the files."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, param="destination")
        self.code = code


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A model repository of a Hub, and the token to write with."""

    repo_id: str
    private: bool
    token: str = field(repr=False)
    endpoint: str | None = None
    """None: `HF_ENDPOINT`, or huggingface.co."""

    def push(self, folder: Path, *, message: str, progress: Callable[[str], None]) -> str:
        """Make the repository if it is not there, send the folder as one commit; returns the commit's URL.

        What breaks off leaves no commit. Raises PushError.
        """
        api = HfApi(endpoint=self.endpoint, token=self.token)
        with self._explained():
            progress(f"Opening {self.repo_id}")
            api.create_repo(self.repo_id, private=self.private, exist_ok=True, repo_type="model")
            progress(f"Sending the files to {self.repo_id}")
            commit = api.upload_folder(
                repo_id=self.repo_id, folder_path=folder, commit_message=message, repo_type="model"
            )
        return str(commit.commit_url)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, RuntimeError, ValueError) as error:
            raise self._reason(error) from error

    def _reason(self, error: Exception) -> PushError:
        # An upload runs in threads, whose errors come wrapped.
        causes = [error, *_causes(error)]
        answered = next((one for one in causes if isinstance(one, HfHubHTTPError)), None)
        if answered is not None:
            return self._refused(answered)
        broken = next(
            (one for one in causes if isinstance(one, httpx2.HTTPError | OfflineModeIsEnabled)), None
        )
        if broken is not None:
            reason = f"{type(broken).__name__}: {_short(str(broken))}"
            text = f"The Hub could not be reached, or broke off ({reason}); {self.repo_id} has no new commit"
            return PushError("hub_unreachable", f"{text}: try again later")
        text = f"The push to {self.repo_id} failed ({_short(str(error))}); it has no new commit"
        return PushError("hub_failed", f"{text}: try again, or look into the worker's log")

    def _refused(self, error: HfHubHTTPError) -> PushError:
        status = error.response.status_code
        told = _short(error.server_message or str(error))
        match status:
            case http.HTTPStatus.UNAUTHORIZED:
                code, advice = "hub_unauthorized", "the token is wrong or has expired; give another"
            case http.HTTPStatus.FORBIDDEN:
                code, advice = (
                    "hub_forbidden",
                    f"the token may not write to {self.repo_id}; give one that may",
                )
            case http.HTTPStatus.CONFLICT | http.HTTPStatus.PRECONDITION_FAILED:
                code, advice = "hub_conflict", f"{self.repo_id} was changed at the same moment; push again"
            case _ if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                code, advice = "hub_failed", "try again later"
            case _:
                code, advice = "hub_refused", f"check {self.repo_id}, and what the Hub says"
        return PushError(code, f"The Hub refused the push with {status} ({told}): {advice}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__) is not None:
        yield cause
        error = cause


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"

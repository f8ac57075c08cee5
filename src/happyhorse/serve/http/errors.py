"""What a client did wrong, or what we cannot do now: one error, spoken in the dialect of the path it came by."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from happyhorse.errors import explain
from happyhorse.serve.blobs import Unavailable
from happyhorse.serve.jobs.records import NoJobError, RefusedError

STORAGE = (DBAPIError, Unavailable, OSError)
FULL = ("No space left on device", "disk is full", "could not extend file", "Disk quota exceeded")
logger = logging.getLogger("happyhorse.http")


class ApiError(Exception):
    """An answer that is not what was hoped for: HTTP `status`, a `code` of one word, the field (`param`) at fault, and
    `retry` seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        retry: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry, self.headers = status, code, param, retry, headers


def bad(param: str | None, message: str, code: str = "invalid_value") -> ApiError:
    """A field that cannot be used as it is."""
    return ApiError(400, code, message, param)


class OpenAIDetail(BaseModel):
    """What is wrong, for a person (`message`) and for a program."""

    message: str
    type: str
    code: str | None
    param: str | None


class OpenAIError(BaseModel):
    """The body of every error under /v1."""

    error: OpenAIDetail


class DashScopeError(BaseModel):
    """The body of every error under /api/v1."""

    request_id: str
    code: str
    message: str


class ArkDetail(BaseModel):
    """What is wrong, for a person (`message`) and for a program."""

    code: str
    message: str
    param: str
    type: str


class ArkError(BaseModel):
    """The body of every error under /api/v3."""

    error: ArkDetail


_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_DASHSCOPE_CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    413: "RequestTooLarge",
    429: "Throttling.RateQuota",
    503: "ServiceUnavailable",
}
_ARK_CODES = {
    400: ("InvalidParameter", "BadRequest"),
    401: ("AuthenticationError", "Unauthorized"),
    403: ("AccessDenied", "Forbidden"),
    404: ("NotFound", "NotFound"),
    405: ("MethodNotAllowed", "BadRequest"),
    409: ("Conflict", "Conflict"),
    413: ("RequestTooLarge", "BadRequest"),
    429: ("RateLimitExceeded", "TooManyRequests"),
    503: ("ServiceUnavailable", "ServiceUnavailable"),
}


def dialect(path: str) -> str:
    """The dialect that is spoken under a path."""
    return "ark" if path.startswith("/api/v3") else "dashscope" if path.startswith("/api/") else "openai"


def render(path: str, error: ApiError) -> JSONResponse:
    """An error as an answer, in the dialect of the path."""
    message, spoken = str(error), dialect(path)
    if spoken == "dashscope":
        code = (
            "ModelNotFound"
            if error.code == "model_not_found"
            else _DASHSCOPE_CODES.get(error.status, "InternalError")
        )
        named = f"{error.param}: {message}" if error.param and error.param not in message else message
        content: dict[str, Any] = {"request_id": str(uuid.uuid4()), "code": code, "message": named}
    elif spoken == "ark":
        code, kind = _ARK_CODES.get(error.status, ("InternalServiceError", "InternalServerError"))
        if error.code in ("model_not_found", "missing_parameter"):
            code = {
                "model_not_found": "InvalidEndpointOrModel.NotFound",
                "missing_parameter": "MissingParameter",
            }[error.code]
        content = {"error": {"code": code, "message": message, "param": error.param or "", "type": kind}}
    else:
        kind = _OPENAI_TYPES.get(
            error.status, "server_error" if error.status >= 500 else "invalid_request_error"
        )
        content = {"error": {"message": message, "type": kind, "code": error.code, "param": error.param}}
    headers = dict(error.headers or {})
    if error.retry is not None:
        headers["retry-after"] = str(max(1, round(error.retry)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(content, error.status, headers)


def understand(error: Exception) -> ApiError:
    """Any exception as an `ApiError`; what is not known is a fault of ours, and says nothing about its inside."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RefusedError):
        return ApiError(
            409 if error.code == "idempotency_conflict" else 429, error.code, str(error), retry=error.retry
        )
    if isinstance(error, NoJobError):
        return ApiError(
            404,
            "not_found",
            f"there is no video {str(error)[:80]!r}; it may have expired, or be another key's",
        )
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
        return bad(".".join(where) or None, first["msg"])
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        return ApiError(error.status_code, code, str(error.detail), headers=error.headers)
    if isinstance(error, STORAGE):
        logger.error("storage: %s", explain(error)[:300])
        return ApiError(503, "storage_unavailable", _storage(error), retry=5)
    return ApiError(
        500, "server_error", "a fault in the server; it is in its log, under the id in x-request-id"
    )


def _storage(error: Exception) -> str:
    """What is wrong with a store, for a client: no names of hosts or folders."""
    if any(words in str(error) for words in FULL):
        return "the disk of the server is full; nothing that was made is lost; try again when there is room"
    what = "database" if isinstance(error, DBAPIError) else "store of clips"
    return f"the server cannot reach its {what} now; nothing that was made is lost; try again soon"


def install(app: FastAPI) -> None:
    """Answer every exception in the dialect of its path."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return render(request.url.path, understand(error))

    for kind in (ApiError, RefusedError, NoJobError, RequestValidationError, HTTPException, *STORAGE):
        app.add_exception_handler(kind, answer)


_WHY = {
    400: "A field is wrong; `param` says which.",
    401: "The API key is missing or unknown.",
    403: "The API key may not do this.",
    404: "There is no such video, task or model.",
    409: "The request contradicts the state of things.",
    413: "The request is too large.",
    415: "The body is of no type that is understood.",
    416: "The range lies outside of the file.",
    429: "Too many requests, or no room in the queue; see Retry-After.",
    503: "The server cannot reach its storage, or is stopping; try again.",
}


def documented(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: its error statuses with the body that they have."""
    return {
        status: {"model": model, "description": _WHY[status]}
        for status in sorted({*statuses, 400, 401, 403, 429, 503})
    }

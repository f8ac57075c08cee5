"""Around every request: an id, a bound on the body, a line in the log, a count; the last answer to what went wrong."""

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from happyhorse.serve.http.errors import ApiError, render, understand
from happyhorse.serve.http.metrics import REQUESTS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # any other word is counted as one
logger = logging.getLogger("happyhorse.http")


class _TooLargeError(Exception):
    """The body has more bytes than are let in."""


class Guard:
    """ASGI middleware; `limit` is the most bytes of a body, `check` looks at headers and raises ApiError."""

    def __init__(
        self, app: ASGIApp, limit: int, check: Callable[[Headers], None] = lambda headers: None
    ) -> None:
        self.app, self.limit, self.check = app, limit, check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, name, told = time.monotonic(), secrets.token_hex(8), {"status": 0}
        request = Request(scope)
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise _TooLargeError
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", name.encode())]
            await send(message)

        length = request.headers.get("content-length", "")
        large = ApiError(413, "request_too_large", f"a request may have {self.limit // 2**20} MB")
        try:
            self.check(request.headers)
            if length.isdecimal() and (len(length) > 18 or int(length) > self.limit):
                raise large
            await self.app(scope, bounded, noted)
        except ApiError as error:
            if not told["status"]:
                await render(scope["path"], error)(scope, receive, noted)
        except _TooLargeError:
            if not told["status"]:
                await render(scope["path"], large)(scope, receive, noted)
        except Exception as error:
            logger.exception("a fault", extra={"request": name})
            if not told["status"]:
                await render(scope["path"], understand(error))(scope, receive, noted)
        finally:
            route: Any = scope.get("route")
            path = getattr(route, "path", "other")
            method = scope["method"] if path != "other" and scope["method"] in METHODS else "other"
            REQUESTS.labels(method, path, str(told["status"])).observe(time.monotonic() - began)
            line = {"request": name, "method": scope["method"], "path": scope["path"], **told}
            logger.info("answered", extra=line | {"seconds": round(time.monotonic() - began, 4)})

"""Around every request: an id, a bound on the body, a line in the log, a count; the last answer to what went wrong."""

import logging
import secrets
import time
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from happyhorse.serve.http.errors import ApiError, render, understand
from happyhorse.serve.http.metrics import REQUESTS

logger = logging.getLogger("happyhorse.http")


class _TooLargeError(Exception):
    """The body has more bytes than are let in."""


class Guard:
    """ASGI middleware; `limit` is the most bytes of a body."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

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
            if length.isdecimal() and int(length) > self.limit:
                await render(scope["path"], large)(scope, receive, noted)
            else:
                await self.app(scope, bounded, noted)
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
            REQUESTS.labels(
                scope["method"] if path != "other" else "other", path, str(told["status"])
            ).observe(time.monotonic() - began)
            line = {"request": name, "method": scope["method"], "path": scope["path"], **told}
            logger.info("answered", extra=line | {"seconds": round(time.monotonic() - began, 4)})

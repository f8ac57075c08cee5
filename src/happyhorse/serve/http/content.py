"""Bytes of clips: with ranges for players, as a redirect where the store has addresses, and by signed address.

An address that is signed needs no key: it can be put into a page or given to a downloader. It names one blob and ends
at a time.
"""

import hashlib
import hmac
import re
import time
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from happyhorse.serve.blobs import TYPES
from happyhorse.serve.http.errors import ApiError
from happyhorse.serve.jobs.records import Job
from happyhorse.serve.service import Service

VARIANTS = {
    "video": "video",
    "thumbnail": "thumbnail",
    "spritesheet": "spritesheet",
    "preview": "preview",
    "last_frame": "last_frame",
}
"""What can be fetched of a job, with the name of its blob."""
LASTS = 3600.0  # seconds that a signed address is good for, at the least
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def blob_of(job: Job, variant: str) -> str:
    """The blob of a variant of a job. Raises ApiError 400 where there is no such variant, 404 where it is not there."""
    if variant not in VARIANTS:
        raise ApiError(400, "invalid_value", f"variant must be one of {', '.join(VARIANTS)}", "variant")
    name = job.blobs.get(VARIANTS[variant])
    if name is None and variant == "preview" and job.status == "completed":
        name = job.blobs.get("video")  # the clip itself is better than its draft
    if name is None:
        why = "has no draft yet" if variant == "preview" else f"is {job.status}"
        raise ApiError(
            404, "not_ready" if not job.is_over else "not_found", f"{job.id} {why}; it has no {variant}"
        )
    return name


async def answer(service: Service, request: Request, blob: str, direct: bool = True) -> Response:
    """A blob, or the part of it that a Range header asks for; with `direct`, a redirect to the store where it has
    addresses. Raises ApiError 404 or 416.
    """
    if direct and (address := await run_in_threadpool(service.blobs.address, blob, LASTS)) is not None:
        return RedirectResponse(address, 302, headers={"cache-control": "no-store"})
    try:
        size = await run_in_threadpool(service.blobs.size, blob)
    except FileNotFoundError:
        raise ApiError(404, "not_found", "the file is gone; the clip may have expired") from None
    tag = f'"{hashlib.sha256(blob.encode()).hexdigest()[:32]}"'  # a blob of a finished clip never changes
    suffix = blob[blob.rfind(".") :]
    headers = {
        "accept-ranges": "bytes",
        "etag": tag,
        "cache-control": "private, max-age=3600",
        "x-content-type-options": "nosniff",
        "content-disposition": f'inline; filename="{blob.split("/")[1]}{suffix}"',
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    whole = request.headers.get("if-range") not in (None, tag)
    start, end = (0, size) if whole else _part(request.headers.get("range"), size)
    if (start, end) != (0, size):
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    status, kind = 206 if "content-range" in headers else 200, TYPES[suffix]
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    return StreamingResponse(service.blobs.stream(blob, start, end), status, headers, kind)


def _part(header: str | None, size: int) -> tuple[int, int]:
    """First byte, and the one after the last, that a Range header asks for; everything where it is not understood."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[1] == match[2] == "":
        return 0, size
    if match[1] == "":
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if start >= end:
        raise ApiError(
            416,
            "invalid_range",
            f"the file has {size} bytes",
            "range",
            headers={"content-range": f"bytes */{size}"},
        )
    return start, end


def signed(service: Service, base: str, blob: str, until: float | None = None) -> str:
    """An address of a blob under `base` that needs no key until a time (None: LASTS seconds from now)."""
    ends = int(max(until or 0.0, time.time() + LASTS))
    return f"{base}/files/{quote(blob)}?until={ends}&signature={_sign(service, blob, ends)}"


def check(service: Service, blob: str, until: int, signature: str) -> None:
    """Raise ApiError 403 for an address that was not signed here, or that has ended."""
    if not hmac.compare_digest(_sign(service, blob, until).encode(), signature.encode()):
        raise ApiError(403, "invalid_signature", "this address was changed, or is of another server")
    if until < time.time():
        raise ApiError(403, "expired", "this address has ended; ask for the video again")


def _sign(service: Service, blob: str, until: int) -> str:
    return hmac.new(service.secret, f"{blob}\0{until}".encode(), hashlib.sha256).hexdigest()

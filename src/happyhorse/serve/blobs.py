"""Files of a service by name: in a folder, or in an object store that speaks S3, Google or Azure (obstore).

A blob appears whole or not at all, in a folder too (it is written beside and renamed).
"""

import datetime
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from happyhorse.serve.logs import first_line
from happyhorse.serve.settings import Settings

CHUNK = 256 * 1024  # bytes of a piece of an answer
TYPES = {
    ".mp4": "video/mp4",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".wav": "audio/wav",
}
SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
Unavailable = BaseError
"""What is raised when the store cannot be reached or is full; a missing blob is FileNotFoundError."""


class Blobs:
    """The blobs of a service, by names such as "jobs/video_1/clip.mp4"."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for an address that is none."""
        scheme = (settings.blobs or "").partition("://")[0]
        self.is_local = not settings.blobs or scheme == "file"
        try:
            if self.is_local and settings.blobs:
                self._store: Any = from_url(settings.blobs, mkdir=True, automatic_cleanup=True)
            elif settings.blobs:
                if scheme not in SCHEMES:
                    raise ValueError("no store that all processes reach and that signs addresses")
                self._store = from_url(settings.blobs)
            else:
                self._store = LocalStore(settings.data / "blobs", mkdir=True, automatic_cleanup=True)
        except (BaseError, ValueError, OSError) as error:
            raise ValueError(
                f"{settings.blobs or settings.data} is no place for clips ({first_line(error)}); give a URL such as "
                "s3://bucket/folder or file:///folder in HAPPYHORSE_BLOBS, or leave it unset for the data folder"
            ) from None

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a blob, in place of one of the same name."""
        suffix = Path(name).suffix
        # what a browser is told when it comes to the store by itself
        if not self.is_local and suffix in TYPES:
            obstore.put(self._store, name, content, attributes={"Content-Type": TYPES[suffix]})
        else:
            obstore.put(self._store, name, content)

    def get(self, name: str) -> bytes:
        """All of a blob. Raises FileNotFoundError."""
        return bytes(obstore.get(self._store, name).bytes())

    def size(self, name: str) -> int:
        """Bytes of a blob. Raises FileNotFoundError."""
        return obstore.head(self._store, name)["size"]

    async def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces. Raises FileNotFoundError at once."""
        if start == end:
            return
        answer = await obstore.get_async(self._store, name, options={"range": (start, end)})
        async for piece in answer.stream(min_chunk_size=CHUNK):
            yield bytes(piece)

    def list(self, prefix: str) -> dict[str, datetime.datetime]:
        """Names that begin with a folder ("jobs/"), with the times at which they were written."""
        found = obstore.list(self._store, prefix)
        return {entry["path"]: entry["last_modified"] for page in found for entry in page}

    def delete(self, names: Iterable[str]) -> None:
        """Remove blobs; those that are not there are no fault."""
        for name in names:
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                continue

    def address(self, name: str, seconds: float) -> str | None:
        """A URL under which anyone can read a blob for so long; None in a folder, which has none."""
        if self.is_local:
            return None
        return obstore.sign(self._store, "GET", name, datetime.timedelta(seconds=seconds))

    def check(self) -> None:
        """Write and remove a small blob. Raises `Unavailable` or OSError where that is not possible."""
        name = "check/written"
        self.put(name, b"1")
        self.delete([name])

"""What clients give besides words: a file of a form, a data URL, or, where that is allowed, the address of a picture.

Its size is bounded while it is read, its kind is told by its first bytes (names and types that clients send are
ignored), and it is decoded elsewhere (`sandbox`).
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from happyhorse.serve.http import fetch, sandbox
from happyhorse.serve.http.errors import ApiError, bad
from happyhorse.serve.http.sandbox import SUFFIX, Kind
from happyhorse.serve.settings import Settings

PIECE = 2**20  # bytes
_DATA = re.compile(r"data:[\w.+/-]*(?:;[\w.=-]+)*;base64,", re.ASCII)
_WANTED: dict[Kind, str] = {
    "picture": "a PNG, JPEG or WebP picture",
    "sound": "a WAV, MP3, FLAC, OGG or M4A sound",
    "video": "an MP4, MOV, WebM or MKV video",
}


def sniff(head: bytes) -> set[Kind]:
    """What a file can be, by its first 16 bytes."""
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (head[:4], head[8:12]) == (
        b"RIFF",
        b"WEBP",
    ):
        return {"picture"}
    if head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        return {"video", "sound"}
    if (head[:4], head[8:12]) == (b"RIFF", b"WAVE") or head.startswith((b"fLaC", b"OggS", b"ID3")):
        return {"sound"}
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # MPEG audio, layer III
        return {"sound"}
    return set()


class Uploads:
    """Takes files in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def take(self, value: Any, kind: Kind, param: str, folder: Path) -> Path:
        """What a client gave as `param`, as a clean file in `folder`. Blocks while it is decoded.

        `value` is an `UploadFile`, or a text that is a data URL or an address. Raises ApiError 400, or 503 while too
        many wait.
        """
        limit = self._settings.picture_bytes if kind == "picture" else self._settings.media_bytes
        number = len(list(folder.iterdir()))
        source, target = folder / f"raw-{number}", folder / f"clean-{number}{SUFFIX[kind]}"
        try:
            if isinstance(value, UploadFile):
                _copy(value, source, limit)
            elif isinstance(value, str) and value[:5].lower() == "data:":
                source.write_bytes(_decode(value, limit))
            elif isinstance(value, str):
                source.write_bytes(fetch.fetch(value, self._settings.fetch_hosts, limit))
            else:
                raise ValueError(f"must be {_WANTED[kind]}: a file, a data URL or an address")
            with open(source, "rb") as file:
                head = file.read(16)
            if kind not in sniff(head):
                raise ValueError("is empty" if not head else f"is not {_WANTED[kind]}")
            sandbox.convert(kind, source, target)
        except ValueError as error:
            raise bad(param, f"{param}: {error}", "invalid_file") from None
        except sandbox.BusyError:
            raise ApiError(
                503, "busy", "many files are being decoded now; try again soon", param, retry=5
            ) from None
        finally:
            source.unlink(missing_ok=True)
        return target


def _copy(upload: UploadFile, target: Path, limit: int) -> None:
    size = 0
    upload.file.seek(0)
    with open(target, "wb") as file:
        while piece := upload.file.read(PIECE):
            size += len(piece)
            if size > limit:
                raise ValueError(f"has more than {limit // 2**20} MB")
            file.write(piece)


def _decode(url: str, limit: int) -> bytes:
    match = _DATA.match(url[:200])
    if match is None:
        raise ValueError("is a data URL without ;base64,")
    if len(url) - match.end() > limit * 4 // 3 + 4:
        raise ValueError(f"has more than {limit // 2**20} MB")
    try:
        return base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is a data URL whose base64 is damaged") from None

"""Files that appear whole or not at all: written under a hidden name in the same folder, renamed at the end.

Ctrl-C, a full disk or a crash leave nothing, or the file that was there before, under the final name.
"""

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(hidden)` with an empty hidden file in the folder of `path`, then rename that to `path`.

    Raises OSError, naming the folder, when it is missing or cannot be written, and what `write` raises.
    """
    hidden = hidden_beside(path)
    mode = hidden.stat().st_mode
    try:
        write(hidden)
        hidden.chmod(mode)  # safetensors puts another file in its place, which nobody but the owner can read
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)


def hidden_beside(path: Path) -> Path:
    """Make an empty hidden file with a new name in the folder of `path`, with the permissions that the umask leaves.

    Raises OSError, naming the folder, when it is missing or cannot be written.
    """
    stem = path.name.encode()[:200].decode(errors="ignore")  # names are limited in bytes
    hidden = path.with_name(f".{stem}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        # such as /proc: nothing can be made there
        refused = error.errno == errno.ENOENT and path.parent.is_dir()
        number = errno.EACCES if refused else error.errno
        raise OSError(number, os.strerror(number or errno.EIO), str(path.parent)) from None
    return hidden

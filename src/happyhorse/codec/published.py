"""What all parts of the 15B by others need: the optional packages that read them, and one sentence when that fails."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def extra(what: str, folder: str | Path) -> Iterator[None]:
    """Import and read inside: a missing package, or a folder that cannot be read, becomes a ValueError with the remedy.

    `what` names the part in the sentence; `folder` is where its weights are.
    """
    if not Path(folder).is_dir():
        raise ValueError(
            f"{what} is missing: there is no folder {folder}; get it with: happyhorse pull happyhorse-15b"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of those packages, about those packages
            yield
    except ImportError as error:
        raise ValueError(
            f"{what} needs the package {error.name or error}; install it with: pip install 'happyhorse[15b]'"
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{what} in {folder} cannot be read ({reason}); pull it again") from error

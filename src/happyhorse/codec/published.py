"""What all parts of the 15B by others need: the optional packages that read them, and one sentence when that fails."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

# torchao, which transformers and diffusers import where it is installed, and what they say about its kernels and
# registrations: nothing here uses them.
CHATTY = ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer")


@contextmanager
def hushed() -> Iterator[None]:
    """Without what optional packages say, while they are imported, about what is used of them by nobody."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of those packages, about those packages
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def extra(what: str, folder: str | Path, file: str = "") -> Iterator[None]:
    """Import and read inside: a missing package, or a folder that cannot be read, becomes a ValueError with the remedy.

    `what` names the part in the sentence; `folder` is where its weights are, `file` the one of them that is meant.
    """
    if not Path(folder).is_dir():
        raise ValueError(
            f"{what} is missing: there is no folder {folder}; get it with: happyhorse pull happyhorse-15b"
        )
    try:
        with hushed():
            yield
    except ImportError as error:
        raise ValueError(
            f"{what} needs the package {error.name or error}; install it with: pip install 'happyhorse[15b]'"
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        place = Path(folder) / file if file else folder
        raise ValueError(f"{what} in {place} cannot be read ({_reason(error)}); pull it again") from error


def _reason(error: Exception) -> str:
    """What went wrong, in a few words; torch's own would advise to run what is in a strange pickle."""
    if isinstance(error, UnpicklingError):
        return "it is damaged, or holds more than weights"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return " ".join(str(error).split()).partition(". ")[0][:200]

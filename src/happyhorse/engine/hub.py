"""The Hugging Face Hub: what repositories hold, files from them, and what goes wrong, in one sentence each."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def listing(repository: str, revision: str, endpoint: str | None = None) -> tuple[str, dict[str, int]]:
    """The commit that `revision` of a repository is, and the bytes of each file in it by name.

    `endpoint` is a server in place of the Hub. Raises `ValueError` where it cannot be had, with the remedy.
    """
    with _sentences(repository):
        from huggingface_hub import HfApi

        info = HfApi(endpoint).model_info(repository, revision=revision, files_metadata=True)
    return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or ()}


def download(repository: str, name: str, revision: str, root: Path, endpoint: str | None = None) -> None:
    """Bring a file of a repository to `root/name`, where it appears whole or not at all; raises as `listing` does."""
    with _sentences(repository):
        from huggingface_hub import hf_hub_download

        hf_hub_download(
            repository, name, revision=revision, local_dir=root, endpoint=endpoint, force_download=True
        )


@contextmanager
def _sentences(repository: str) -> Iterator[None]:
    try:
        from huggingface_hub import errors
    except ImportError:
        raise ValueError(
            'downloads need huggingface_hub; run: pip install "happyhorse[15b]", or give the weights with --from'
        ) from None
    try:
        yield
    except errors.GatedRepoError:
        raise ValueError(
            f"{repository} is open to those who accept its licence: do so at https://huggingface.co/{repository}, "
            "then set HF_TOKEN to a token of yours and pull again"
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise ValueError(
            f"{repository} is not as expected ({_first(error)}); give a copy of it with --from"
        ) from None
    except errors.HfHubHTTPError as error:
        raise ValueError(f"the Hub refused {repository} ({_first(error)}); pull again to go on") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise ValueError(_lost(error)) from None
    except Exception as error:  # of the HTTP library beneath, which is another one in each version
        if "httpx" in type(error).__module__ or "requests" in type(error).__module__:
            raise ValueError(_lost(error)) from None
        raise


def _lost(error: Exception) -> str:
    return f"the connection to the Hub failed ({_first(error)}); pull again to go on, or give the weights with --from"


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

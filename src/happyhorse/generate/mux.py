"""USE, sixth stage: frames and sound become a file, encoded while frames are still being decoded."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from happyhorse.generate.provenance import signer
from happyhorse.media import Writer
from happyhorse.values import Clip, ClipShape

COMMENT = "AI-generated with happyhorse"


def mux(
    path: Path,
    shape: ClipShape,
    audio: Float32[np.ndarray, "N ..."],
    chunks: Iterable[UInt8[np.ndarray, "f H W 3"]],
    finish: Callable[[Path], None] | None,
) -> Path:
    """Write `chunks` of frames, uint8 [f, H, W, 3], and `audio` [N] or [N, 2] to `path` (.mp4 or .webm).

    A second thread encodes each chunk while the next one is being decoded.

    `finish` gets the whole file, still under a hidden name, to sign it; then it appears under its own. Raises
    ValueError for another suffix and OSError when the place cannot be written.
    """
    with Writer(
        path,
        width=shape.video.width,
        height=shape.video.height,
        fps=shape.fps,
        rate=shape.audio.rate,
        channels=audio.ndim,
        metadata={"comment": COMMENT},
        finish=finish,
    ) as writer:
        writer.sound(audio)
        with ThreadPoolExecutor(1) as encoder:
            encoded: Future[None] | None = None
            for chunk in chunks:
                if encoded:
                    encoded.result()  # at most one chunk waits
                encoded = encoder.submit(writer.frames, chunk)
            if encoded:
                encoded.result()
    return path


def save(clip: Clip, path: Path) -> Path:
    """Write and sign a clip that is already whole; see `Clip.save`."""
    return mux(path, clip.shape, clip.audio, [clip.video], signer(clip.request, path))

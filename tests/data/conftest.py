"""Small clip files whose frames and sound are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from happyhorse import media
from happyhorse.values import Clip

Make = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> Make:
    """Write a clip whose frame k is a grey of 8 + 5 k beside a white edge, and a tone; returns its path."""

    def make(
        name: str,
        *,
        frames: int = 9,
        width: int = 64,
        height: int = 32,
        loud: float = 0.5,
        fps: int = 25,
        caption: str | None = "a grey wall, a humming sound",
        shade: int = 8,
    ) -> Path:
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        video = np.empty((frames, height, width, 3), np.uint8)
        video[:] = (shade + 5 * np.arange(frames))[:, None, None, None]
        video[:, :, : width // 8] = 255
        audio = loud * np.sin(np.arange(frames * 16_000 // fps) * 0.2).astype(np.float32)
        media.write(Clip(video=video, audio=audio.astype(np.float32), fps=fps), path)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption)
        return path

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"

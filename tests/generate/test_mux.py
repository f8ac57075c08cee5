"""Frames are encoded while later ones are decoded; a mistake on either side leaves no file."""

import threading

import numpy as np
import pytest

from happyhorse import media
from happyhorse.generate.mux import mux
from happyhorse.shapes import AudioShape, ClipShape, VideoShape

SHAPE = ClipShape(VideoShape(10, 64, 96), AudioShape(13, 10 * 1764, 44_100, 2), 25)
SOUND = np.stack([np.sin(np.arange(17_640) * f) for f in (0.05, 0.2)], 1).astype(np.float32) * 0.3


def chunks(count=5):
    for i in range(count):
        yield np.full((2, 64, 96, 3), 40 * i, np.uint8)


def test_the_next_chunk_is_decoded_while_one_is_encoded(tmp_path, monkeypatch):
    asked, original = threading.Event(), media.Writer.frames
    waited = []

    def frames(self, video):
        # would end in a time-out if the encoder ran before the next chunk is asked for
        waited.append(asked.wait(20))
        original(self, video)

    def slow():
        for i, chunk in enumerate(chunks()):
            if i == 1:
                asked.set()
            yield chunk

    monkeypatch.setattr(media.Writer, "frames", frames)
    mux(tmp_path / "x.mp4", SHAPE, SOUND, slow(), None)
    assert waited == [True] * 5
    assert [int(f.mean() / 40 + 0.5) for f in media.read(tmp_path / "x.mp4").video[::2]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_stereo_at_44_kHz_stays_stereo(tmp_path, suffix):  # noqa: N802
    import av

    path = mux(tmp_path / f"x.{suffix}", SHAPE, SOUND, chunks(), None)
    with av.open(str(path)) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)
        rate = container.streams.audio[0].rate
    assert rate == (44_100 if suffix == "mp4" else 48_000) and len(heard) == 2
    heard = heard[:, : round(0.4 * rate)]
    peaks = np.abs(np.fft.rfft(heard * np.hanning(heard.shape[1]))).argmax(1) * rate / heard.shape[1]
    assert peaks == pytest.approx([44_100 * f / 2 / np.pi for f in (0.05, 0.2)], abs=5)


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_a_failure_on_either_side_leaves_nothing(tmp_path, monkeypatch, side):
    def broken():
        yield from chunks(3)
        if side == "decoder":
            raise RuntimeError("decoder")
        yield from chunks(2)

    if side == "encoder":
        original, calls = media.Writer.frames, []

        def frames(self, video):
            calls.append(1)
            if len(calls) == 3:
                raise RuntimeError("encoder")
            original(self, video)

        monkeypatch.setattr(media.Writer, "frames", frames)
    with pytest.raises(RuntimeError, match=side):
        mux(tmp_path / "x.mp4", SHAPE, SOUND, broken(), None)
    assert not list(tmp_path.iterdir())

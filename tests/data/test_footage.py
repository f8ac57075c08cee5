"""Reading clips out of files: the same frames and samples as `media.read`, cut while they are decoded."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from happyhorse import media
from happyhorse.data.buckets import Bucket, crop
from happyhorse.data.footage import UnusableError, probe, read


def test_an_uncut_clip_is_what_media_reads(make_clip) -> None:
    path = make_clip("a.mp4", frames=21)
    whole = media.read(path)
    video, audio = read(path, Bucket(64, 32, 21), (0, 0, 64, 32))
    assert np.array_equal(video, whole.video) and np.array_equal(audio, whole.audio)
    video, audio = read(path, Bucket(64, 32, 9), (0, 0, 64, 32))
    assert np.array_equal(video, whole.video[:9]) and np.array_equal(audio, whole.audio[: 9 * 640])


@pytest.mark.parametrize("fps", [10, 24, 30, 50])
def test_other_frame_rates_are_brought_to_25(make_clip, fps: int) -> None:
    path = make_clip("a.mp4", frames=fps, fps=fps, shade=0)
    assert probe(path, 100).usable == 25
    video, _ = read(path, Bucket(64, 32, 25), (0, 0, 64, 32))
    assert np.array_equal(video, media.read(path).video)
    shown = np.floor(np.arange(25) * fps / 25 + 1e-6)  # the picture that is on at k/25 s
    assert np.abs(video[:, 16, 40, 0] - np.minimum(255, 5 * shown)).max() <= 3


def test_the_crop_is_what_is_seen(tmp_path: Path) -> None:
    """A picture of columns: column x of the result comes from left + x * scale."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (100, 256, 3))
    Image.fromarray(ramp.copy()).save(tmp_path / "a.png")
    bucket = Bucket(64, 32, 1)
    assert crop(256, 100, bucket) == (28, 0, 200, 100)
    video, audio = read(tmp_path / "a.png", bucket, (28, 0, 200, 100))
    assert video.shape == (1, 32, 64, 3) and audio.shape == (640,) and not audio.any()
    expected = 28 + (np.arange(64) + 0.5) * 200 / 64 - 0.5
    assert np.abs(video[0, 16, 2:-2, 0] - expected[2:-2]).max() <= 1
    with pytest.raises(UnusableError, match="outside of its picture"):
        read(tmp_path / "a.png", bucket, (100, 0, 200, 100))


def test_a_probe_says_what_there_is(make_clip, tmp_path: Path) -> None:
    held = probe(make_clip("a.mp4", frames=50, loud=0.5), 9)
    assert (held.width, held.height, held.usable, held.frames) == (64, 32, 9, 50)
    assert held.has_audio and held.peak == pytest.approx(0.5, abs=0.05)
    silent = probe(make_clip("b.mp4", loud=0.0), 100)
    assert silent.peak is not None and not silent.has_audio
    frames = [Image.fromarray(np.full((20, 30, 3), 10 * i, np.uint8)) for i in range(10)]
    frames[0].save(tmp_path / "c.gif", save_all=True, append_images=frames[1:], duration=80)
    moving = probe(tmp_path / "c.gif", 100)
    assert (moving.width, moving.height, moving.usable, moving.peak) == (30, 20, 20, None)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for _ in range(5):
            picture = np.zeros((64, 64, 3), np.uint8)
            picture[:, 32:] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    held = probe(path, 10)
    assert (held.width, held.height) == (128, 64) and held.peak is None
    video, audio = read(path, Bucket(64, 32, 5), (32, 16, 64, 32))  # the middle, half of it dark
    assert video[2, :, :28].max() < 40 and video[2, :, 36:].min() > 215 and not audio.any()


def test_what_cannot_be_read(make_clip, tmp_path: Path) -> None:
    path = make_clip("a.mp4")
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:900])
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("cut.mp4", "text.mp4", "text.png", "none.mp4"):
        with pytest.raises(UnusableError) as caught:
            probe(tmp_path / name, 10)
        assert caught.value.cause == ("missing" if name == "none.mp4" else "unreadable")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnusableError, match="no video stream"):
        probe(tmp_path / "sound.mp4", 10)
    with pytest.raises(UnusableError, match="9 frames where 13"):
        read(path, Bucket(64, 32, 13), (0, 0, 64, 32))

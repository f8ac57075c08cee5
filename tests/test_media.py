"""Files: sound and picture start together and last equally long, colours are BT.709, nothing half-written."""

import errno
import io
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from happyhorse import media
from happyhorse.values import Clip

SUFFIXES = [".mp4", ".webm"]


def flash_and_click(event=1.0, frames=75, size=(64, 96), fps=25, rate=16_000):
    """A white flash of two frames and a 4 kHz click that begins, both at `event` s, over quiet noise."""
    noise = np.random.default_rng(1)
    video = np.full((frames, *size, 3), 20, np.uint8)
    first = round(event * fps)
    video[first : first + 2] = 235
    audio = (1e-4 * noise.standard_normal(frames * rate // fps)).astype(np.float32)
    n = np.arange(160)
    click = 0.8 * np.exp(-n / 30) * np.sin(2 * np.pi * n / 8)
    audio[round(event * rate) :][:160] += click.astype(np.float32)
    return Clip(video=video, audio=audio, fps=fps, rate=rate)


def lag(original, decoded):
    """Samples by which `decoded` is late, to a fraction, by the peak of the cross-correlation."""
    n = 2 * len(original)
    spectrum = np.fft.rfft(decoded, n) * np.conj(np.fft.rfft(original, n))
    correlation = np.fft.irfft(np.pad(spectrum, (0, 7 * (n // 2))), 8 * n)
    peak = int(correlation.argmax())
    return (peak if peak < 4 * n else peak - 8 * n) / 8


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("event", [0.0, 0.4, 2.92])
def test_flash_and_click_stay_together(tmp_path, suffix, event):
    clip = flash_and_click(event)
    back = media.read(media.write(clip, tmp_path / f"x{suffix}"))
    bright = back.video.mean((1, 2, 3)) > 128
    assert list(np.flatnonzero(bright)) == [i for i in (round(event * 25), round(event * 25) + 1) if i < 75]
    assert abs(lag(clip.audio, back.audio)) / 16 < 0.1  # ms


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("frames", [1, 11, 75])
def test_sound_and_picture_keep_their_equal_length(tmp_path, suffix, frames):
    noise = np.random.default_rng(2)
    clip = Clip(
        video=noise.integers(0, 255, (frames, 64, 64, 3), np.uint8),
        audio=noise.uniform(-0.5, 0.5, frames * 640).astype(np.float32),
    )
    path = media.write(clip, tmp_path / f"x{suffix}")
    back = media.read(path)
    assert len(back.video) == frames and len(back.audio) == frames * 640
    with av.open(str(path)) as container:
        assert abs(container.duration / 1e6 - frames / 25) <= (0.0 if suffix == ".mp4" else 0.021)
        for stream in container.streams:
            if stream.duration:
                assert float(stream.duration * stream.time_base) == pytest.approx(frames / 25, abs=1e-4)


def boxes(data, start=0, end=None):
    """Names and spans of the boxes of an ISO media file, an independent ten-line parser."""
    position, found = start, []
    while position < (end or len(data)):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        found.append((name.decode(), position, position + size))
        position += size
    return found


def test_mp4_can_play_before_it_is_loaded_and_keeps_its_edit_lists(tmp_path):
    data = media.write(flash_and_click(), tmp_path / "x.mp4").read_bytes()
    names = [name for name, _, _ in boxes(data)]
    assert names.index("moov") < names.index("mdat")
    assert "moof" not in names
    assert data.count(b"elst") == 2


def test_colours_are_bt709_limited_range_and_tagged(tmp_path):
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [90, 160, 30], [250, 200, 10]]
    )
    for rgb in colours:
        video = np.broadcast_to(rgb.astype(np.uint8), (3, 64, 64, 3)).copy()
        path = media.write(Clip(video=video, audio=np.zeros(1920, np.float32)), tmp_path / "x.mp4")
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            planes = frame.to_ndarray()
        tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
        assert tags == (1, 1, 1, 1)
        r, g, b = rgb / 255  # Recommendation ITU-R BT.709, items 3.2 and 3.4
        luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
        expected = [16 + 219 * luma, 128 + 224 * (b - luma) / 1.8556, 128 + 224 * (r - luma) / 1.5748]
        measured = [planes[32, 32], planes[64 + 8, 16], planes[64 + 24, 16]]
        assert np.abs(np.array(measured, float) - expected).max() <= 1.5
        assert np.abs(media.read(path).video[1].astype(int) - rgb).max() <= 4


def test_frames_may_arrive_in_pieces(tmp_path):
    clip = flash_and_click()
    with media.Writer(tmp_path / "x.mp4", width=96, height=64, fps=25, rate=16_000) as writer:
        for start in range(0, 75, 7):
            writer.frames(clip.video[start : start + 7])
            writer.sound(clip.audio[start * 640 : (start + 7) * 640])
            assert not (tmp_path / "x.mp4").exists()
    whole = media.read(media.write(clip, tmp_path / "y.mp4"))
    pieces = media.read(tmp_path / "x.mp4")
    assert np.array_equal(whole.video, pieces.video)
    assert np.abs(whole.audio - pieces.audio).max() < 1e-6


def test_an_interrupt_leaves_nothing_and_keeps_what_was_there(tmp_path):
    clip, path = flash_and_click(), tmp_path / "x.mp4"
    path.write_bytes(b"before")
    for interruption in (KeyboardInterrupt, RuntimeError):
        with (
            pytest.raises(interruption),
            media.Writer(path, width=96, height=64, fps=25, rate=16_000) as writer,
        ):
            writer.frames(clip.video[:30])
            raise interruption
    assert os.listdir(tmp_path) == ["x.mp4"] and path.read_bytes() == b"before"


def test_a_failing_finish_leaves_nothing(tmp_path):
    def fail(whole: Path) -> None:
        assert av.open(str(whole)).duration == 3_000_000
        raise OSError(errno.ENOSPC, "no space")

    clip = flash_and_click()
    with (
        pytest.raises(OSError, match="no space"),
        media.Writer(tmp_path / "x.mp4", width=96, height=64, fps=25, rate=16_000, finish=fail) as writer,
    ):
        writer.sound(clip.audio)
        writer.frames(clip.video)
    assert not os.listdir(tmp_path)


def test_the_file_has_usual_permissions(tmp_path):
    before = os.umask(0o022)
    try:
        path = media.write(flash_and_click(), tmp_path / "x.mp4")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_sound_that_is_not_as_long_as_the_picture_is_refused(tmp_path):
    with (
        pytest.raises(AssertionError, match="sound is"),
        media.Writer(tmp_path / "x.mp4", width=96, height=64, fps=25, rate=16_000) as writer,
    ):
        writer.frames(flash_and_click().video)
        writer.sound(np.zeros(47_000, np.float32))
    assert not os.listdir(tmp_path)


def test_other_suffix_and_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"name it \*\.mp4 or \*\.webm"):
        media.write(flash_and_click(), tmp_path / "x.gif")
    with pytest.raises(FileNotFoundError):
        media.write(flash_and_click(), tmp_path / "none" / "x.mp4")


FULL = """
import resource, sys, numpy as np
from happyhorse import media
from happyhorse.values import Clip
noise = np.random.default_rng(0)
clip = Clip(video=noise.integers(0, 255, (50, 128, 128, 3), np.uint8), audio=np.zeros(32000, np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    media.write(clip, sys.argv[1])
except OSError as error:
    sys.exit(f"refused {error.errno}")
"""


@pytest.mark.parametrize("limit", [0, 20_000, 300_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, limit):
    # a limit on file size fails writes as a full disk does
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "x.mp4"), str(limit)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 1 and "refused" in done.stderr, done.stderr
    assert not os.listdir(tmp_path)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


# ----------------------------------------------------------------------------------------------------------
# Reading


def test_other_frame_rates_come_to_the_grid(tmp_path):
    ramp = np.arange(60, dtype=np.uint8) * 4
    video = np.broadcast_to(ramp[:, None, None, None], (60, 64, 64, 3)).copy()
    audio = np.sin(np.arange(96_000) * 2 * np.pi * 440 / 48_000).astype(np.float32) / 2
    path = media.write(Clip(video=video, audio=audio, fps=30, rate=48_000), tmp_path / "x.mp4")
    back = media.read(path, fps=25, rate=16_000)
    assert len(back.video) == 50 and len(back.audio) == 32_000
    shown = back.video[:, 32, 32, 0].astype(float) / 4
    assert np.abs(shown - np.floor(np.arange(50) * 30 / 25 + 1e-6)).max() <= 0.5
    peak = np.fft.rfft(back.audio[1000:17_000]).__abs__().argmax()
    assert peak == 440


def test_a_part_of_a_file_keeps_its_sync(tmp_path):
    clip = flash_and_click(event=2.0)
    path = media.write(clip, tmp_path / "x.mp4")
    back = media.read(path, start=1.4, seconds=1.0)
    assert len(back.video) == 25 and len(back.audio) == 16_000
    assert int(back.video.mean((1, 2, 3)).argmax()) in (15, 16)
    assert abs(lag(clip.audio[22_400:38_400], back.audio)) < 1.6


def test_sound_that_starts_later_than_the_picture_is_heard_later(tmp_path):
    clip, path = flash_and_click(), tmp_path / "x.mov"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt, video.bit_rate = 96, 64, "yuv420p", 1_000_000
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for i, picture in enumerate(clip.video):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        samples = (clip.audio[8000:] * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 8000
        container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    back = media.read(path)
    assert int(back.video.mean((1, 2, 3)).argmax()) in (25, 26)
    assert abs(lag(clip.audio, back.audio)) < 1.6
    assert not back.audio[:7900].any()


def test_a_file_without_sound_is_silent_and_rotation_is_honoured(tmp_path):
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:20, :20] = 255  # top left
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    at = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:at] + clockwise + data[at + 36 :])
    back = media.read(path)
    assert back.video.shape == (5, 96, 64, 3)
    assert back.video[2, 10, 54].min() > 200 and back.video[2, 10, 10].max() < 50  # now top right
    assert len(back.audio) == 3200 and not back.audio.any()


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video at all" * 100)
    (tmp_path / "b.mp4").write_bytes(b"")
    (tmp_path / "c.m3u8").write_text("#EXTM3U\n#EXTINF:3,\n/etc/passwd\n")
    whole = media.write(flash_and_click(), tmp_path / "x.mp4").read_bytes()
    (tmp_path / "d.mp4").write_bytes(whole[: len(whole) // 10])
    with av.open(str(tmp_path / "e.wav"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
    for name in "a.mp4", "b.mp4", "c.m3u8", "d.mp4", "e.wav", "missing.mp4", ".":
        with pytest.raises(ValueError, match=r"check the path|convert it|holds no"):
            media.read(tmp_path / name)


def test_pictures_are_upright_and_opaque(tmp_path):
    image = Image.new("RGB", (40, 20), (10, 20, 30))
    image.paste((200, 0, 0), (0, 0, 10, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # turn clockwise to view
    image.save(tmp_path / "turned.png", exif=exif)
    picture = media.read_picture(tmp_path / "turned.png")
    assert picture.shape == (40, 20, 3)
    assert tuple(picture[2, 15]) == (200, 0, 0) and tuple(picture[30, 5]) == (10, 20, 30)

    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    clear.save(tmp_path / "clear.png")
    assert np.abs(media.read_picture(tmp_path / "clear.png")[4, 4].astype(int) - [255, 127, 127]).max() <= 1

    Image.fromarray(np.full((8, 8), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert abs(int(media.read_picture(tmp_path / "deep.png")[0, 0, 0]) - 128) <= 1
    for mode in "L", "P", "CMYK", "1", "LA":
        suffix = "tif" if mode in ("CMYK", "LA") else "png"
        Image.new(mode, (8, 8)).save(tmp_path / f"{mode}.{suffix}")
        assert media.read_picture(tmp_path / f"{mode}.{suffix}").shape == (8, 8, 3)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing of the kind")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "PNG")
    (tmp_path / "b.png").write_bytes(whole.getvalue()[:4000])
    Image.new("1", (8000, 8000)).save(tmp_path / "c.png")
    (tmp_path / "d.png").mkdir()
    for name, message in {
        "a.png": "not a picture.*give a PNG",
        "b.png": "truncated",
        "c.png": "smaller than 40 million",
        "d.png": "not a picture",
        "e.png": "no such picture",
    }.items():
        with pytest.raises(ValueError, match=message):
            media.read_picture(tmp_path / name)

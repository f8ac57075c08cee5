"""A given sound: to the bit, as long as the clip, and what is worth a word about it."""

from fractions import Fraction

import av
import numpy as np
import pytest

from happyhorse import media
from happyhorse.generate.sound import hear
from happyhorse.given import Sound
from happyhorse.values import PONY, Clip

SHAPE = PONY.shape(1)
NOISE = (np.random.default_rng(0).standard_normal(48_000) * 0.1).astype(np.float32)


def wav(path, samples, rate, layout="mono"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.atleast_2d(samples.T.ravel()), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_sound_keeps_its_samples_and_its_rate(tmp_path):
    for rate in (16_000, 22_050, 44_100, 48_000):
        given = Sound(NOISE[:rate], rate)
        heard, notes = hear(given, SHAPE)
        assert np.array_equal(heard.samples, given.samples) and heard.rate == rate and notes == ()
        filed, notes = hear(wav(tmp_path / "x.wav", given.samples, rate), SHAPE)
        assert np.array_equal(filed.samples, given.samples) and filed.rate == rate and notes == ()


def test_unusual_rates_are_raised():
    for rate, kept in ((8_000, 16_000), (11_025, 16_000), (30_000, 32_000), (96_000, 48_000)):
        heard, _ = hear(Sound(np.resize(NOISE, rate), rate), SHAPE)
        assert heard.rate == kept and len(heard.samples) == kept


def test_it_is_cut_or_followed_by_silence():
    heard, notes = hear(Sound(NOISE, 16_000), SHAPE)
    assert np.array_equal(heard.samples, NOISE[:16_000]) and "its first 1 s are used" in notes[0]
    heard, notes = hear(Sound(NOISE[:8_000], 16_000), SHAPE)
    assert np.array_equal(heard.samples[:8_000], NOISE[:8_000]) and not heard.samples[8_000:].any()
    assert "lasts 0.5 s; what follows in the clip is silent" in notes[0]


def test_channels_are_mixed_and_a_video_will_do(tmp_path):
    left = NOISE[:16_000]
    heard, _ = hear(wav(tmp_path / "x.wav", np.stack([left, -left]), 16_000, "stereo"), SHAPE)
    assert np.abs(heard.samples).max() < 1e-3
    video = media.write(Clip(video=np.zeros((25, 64, 64, 3), np.uint8), audio=left), tmp_path / "x.mp4")
    assert np.corrcoef(hear(video, SHAPE)[0].samples, left)[0, 1] > 0.5


def test_silent_and_clipped_sounds_are_told():
    assert "silent, and so will the clip be" in hear(Sound(np.zeros(16_000, np.float32), 16_000), SHAPE)[1][0]
    loud = np.clip(NOISE[:16_000] * 20, -1, 1)
    heard, notes = hear(Sound(loud, 16_000), SHAPE)
    assert "clipped at full scale" in notes[0] and np.array_equal(heard.samples, loud)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"RIFFnothing", "not a sound that can be read")]
)
def test_what_is_no_sound_is_refused(tmp_path, content, message):
    if content:
        (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        hear(tmp_path / "x.wav", SHAPE)


def test_a_silent_film_holds_no_sound(tmp_path):
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for packet in [*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(ValueError, match="holds no sound; give a sound file"):
        hear(tmp_path / "x.mp4", SHAPE)

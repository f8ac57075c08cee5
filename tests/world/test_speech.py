import sys
import time

import numpy as np
import pytest

from happyhorse.world import espeak, kana, speech, voices, words
from happyhorse.world.scene import RATE

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")


@needs_espeak
@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_the_timeline_has_one_sound_for_each_symbol(language):
    rng = np.random.default_rng(1)
    for index in range(12):
        text = words.sentence(rng, language)
        person = list(voices.TIMBRES)[index % 4]
        said = speech.synthesise(text, language, voices.draw(rng, person, language))
        assert tuple(sound.symbol for sound in said.phonemes) == speech.phonemes(text, language), text
        edges = [edge for sound in said.phonemes for edge in (sound.start, sound.end)]
        assert edges == sorted(edges) and edges[0] >= 0
        assert abs(edges[-1] / RATE - said.seconds) < 0.002
        assert all(s.start <= r <= s.end for s, r in zip(said.phonemes, said.releases, strict=True))
        assert 0.2 < np.abs(said.wave).max() <= 0.9 + 1e-3


@needs_espeak
def test_the_same_words_always_sound_the_same():
    for voice in (speech.Voice("f5", 150, 60, 70), speech.Voice("m1")):
        first = speech.synthesise("she sells purple shells", "en", voice).wave
        speech.synthesise("bonjour", "fr", speech.Voice("m1"))
        time.sleep(1.1)  # espeak seeds its noise with the second of the clock
        assert np.array_equal(first, speech.synthesise("she sells purple shells", "en", voice).wave)


@needs_espeak
@pytest.mark.parametrize(
    ("text", "language"), [("my papa and a happy baby", "en"), ("le papa de Pépin", "fr")]
)
def test_a_stop_is_silent_until_its_release(text, language):
    said = speech.synthesise(text, language)
    loud = np.sqrt((said.wave**2).mean())
    stops = 0
    for sound, release in zip(said.phonemes, said.releases, strict=True):
        if speech.split(sound.symbol)[1] == "p":
            stops += 1
            assert release - sound.start > 0.02 * RATE
            closed = said.wave[sound.start + 40 : release - 40]
            assert np.sqrt((closed**2).mean()) < 0.1 * loud
            burst = said.wave[release : release + 320]
            assert np.abs(burst).max() > 5 * np.abs(closed).max()
    assert stops >= 2


@needs_espeak
def test_voices_move_pitch_and_pace():
    def pitch(wave):
        power = np.abs(np.fft.rfft(wave, 1 << 17)) ** 2
        lag = np.fft.irfft(power)[RATE // 420 : RATE // 60]
        return RATE / (RATE // 420 + int(np.argmax(lag)))

    text = "our mama moved away"
    man = speech.synthesise(text, "en", speech.Voice("m1", 150, 30))
    girl = speech.synthesise(text, "en", speech.Voice("f2", 150, 88))
    assert pitch(girl.wave) > 1.8 * pitch(man.wave)
    slow = speech.synthesise(text, "en", speech.Voice("m1", 110, 30))
    assert slow.seconds > 1.2 * man.seconds


@needs_espeak
def test_tones_and_stress_are_told_apart():
    assert [speech.split(s)[2] for s in speech.phonemes("妈 麻 马 骂", "zh") if speech.split(s)[2]] == [
        "˥",
        "˧˥",
        "˨˩˦",
        "˥˩",
    ]
    assert len({speech.phonemes(text, "yue") for text in "詩史試時市事"}) == 6
    assert speech.phonemes("import", "en") != speech.phonemes("important", "en")[:6]
    assert any(symbol.startswith("ˈ") for symbol in speech.phonemes("banana", "en"))


@needs_espeak
def test_a_clause_break_is_a_pause():
    assert speech.phonemes("yes, please", "en").count(speech.PAUSE) == 1
    said = speech.synthesise("yes, please", "en")
    (pause,) = [sound for sound in said.phonemes if sound.symbol == speech.PAUSE]
    middle = said.wave[pause.start + 400 : pause.end - 400]
    assert len(middle) > 0.05 * RATE and np.abs(middle).max() < 0.01


@needs_espeak
def test_known_misreadings_are_mended():
    assert "ʃ" not in "".join(speech.phonemes("一头熊", "zh"))  # once "one head, k shong two"
    assert speech.phonemes("ほん は", "ja") == speech.phonemes("ほん わ", "ja")
    assert [speech.split(s)[1] for s in speech.phonemes("りょこう", "ja")] == ["ɽ", "i", "j", "o̞", "k", "o̞ː"]
    assert speech.split(speech.phonemes("물을 주세요", "ko")[4])[1] == "ɫ"  # not glued to the next sound


def test_kana_is_spelled_as_spoken():
    assert kana.reading("わたし は とうきょう へ いきます。") == "わたし わ とーきょー え いきます。"
    assert kana.reading("せんせい") == "せんせー"
    assert kana.reading("おもう") == "おもう"
    assert kana.reading("ラーメン") == "ラーメン"


def test_kanji_without_a_dictionary_say_what_to_install(monkeypatch):
    kana._tagger.cache_clear()
    monkeypatch.setitem(sys.modules, "fugashi", None)
    with pytest.raises(ValueError, match="happyhorse"):
        kana.reading("今日")


def test_absent_espeak_says_what_to_install(monkeypatch):
    monkeypatch.setattr(espeak, "_engine", espeak._Engine())
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ValueError, match=r'pip install "happyhorse\[speech\]"'):
        espeak.transcribe("hello", "en-us", ipa=True)


@needs_espeak
def test_durations_belong_to_the_symbols():
    lengths = speech.durations("good morning", "en")
    assert len(lengths) == len(speech.phonemes("good morning", "en"))
    assert 0.5 < sum(lengths) < 1.2 and min(lengths) > 0.005


@needs_espeak
def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match="choose one of"):
        speech.phonemes("hola", "es")
    with pytest.raises(ValueError, match="at least one word"):
        speech.synthesise("...", "en")
    with pytest.raises(ValueError, match="no voice"):
        speech.synthesise("hello", "en", speech.Voice("nobody"))


@pytest.mark.parametrize(("source", "target"), [(22_050, 16_000), (22_050, 48_000), (16_000, 44_100)])
def test_resampling_keeps_a_sine(source, target):
    def tone(rate):
        t = np.arange(round(rate * 0.5)) / rate
        return np.sin(2 * np.pi * 440 * t) * np.hanning(len(t))

    out = speech.resample(tone(source), source, target)
    assert out.dtype == np.float32 and len(out) == round(len(tone(source)) * target / source)
    assert np.abs(out - tone(target)[: len(out)]).max() < 2e-3


def test_resampling_keeps_out_what_the_target_cannot_hold():
    t = np.arange(22_050) / 22_050
    out = speech.resample(np.sin(2 * np.pi * 9_500 * t), 22_050, 16_000)
    assert np.abs(out[800:-800]).max() < 1e-3


@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_a_timbre_is_held_out_for_every_language(language):
    for person, names in voices.TIMBRES.items():
        training, held = voices.timbres(person, language), voices.timbres(person, language, heldout=True)
        assert len(held) == 1 and held[0] not in training and set(training) | set(held) == set(names)
        rng = np.random.default_rng(0)
        assert all(voices.draw(rng, person, language).variant in training for _ in range(20))

"""espeak-ng through ctypes: text -> sound with a phoneme event list, and text -> phonemes without sound.

espeak-ng is GPL, so it is an optional extra that the user installs (`pip install "happyhorse[speech]"`, which
brings the package espeakng-loader with espeak-ng 1.52); nothing of it is part of this package and nothing is
imported before the first call.

Two facts shape this file. The library keeps its state in globals, so one lock guards it. And part of that state
(flutter phase, glottal phase, noise) survives re-initialisation, so the same text sounds slightly different
every time; a fresh image of the library for every utterance costs half a millisecond and makes the sound a
function of its arguments.
"""

import ctypes
import importlib.util
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NATIVE = 22_050
CLAUSE = "\n"
MISSING = 'speaking needs espeak-ng, which is not installed: pip install "happyhorse[speech]"'

_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEMES_IN_IPA, _DONT_EXIT = 2, 1, 2, 0x8000
_UTF8, _POSITION_CHARACTER = 1, 1
_EVENT_END, _EVENT_PHONEME = 5, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_SEPARATOR = "\x01"
_LONGEST_PATH = 150


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Sound:
    """What espeak spoke.

    wave: int16 [n] at NATIVE Hz; events: (name, sample) where a sound starts: its IPA name (cut off after 8
    bytes), empty for a pause, CLAUSE for the end of a clause.
    """

    wave: np.ndarray
    events: tuple[tuple[str, int], ...]


class _Engine:
    """The loaded library, its callback (which must stay referenced) and what the callback has gathered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.library: Any = None
        self.chunks: list[np.ndarray] = []
        self.events: list[tuple[str, int]] = []
        self.callback = _Callback(self._gather)

    def _gather(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self.events.append((name, event.sample))
            elif event.type == _EVENT_END:
                self.events.append((CLAUSE, event.sample))
            index += 1
        return 0

    def unload(self) -> None:
        if self.library is not None:
            self.library.espeak_Terminate()
            import _ctypes

            close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary  # type: ignore[attr-defined]
            close(self.library._handle)
            self.library = None

    def load(self) -> Any:
        if self.library is None:
            loader = _loader()
            data = str(loader.get_data_path())
            if len(data.encode()) > _LONGEST_PATH:
                raise ValueError(
                    f"espeak-ng cannot read its data from a path longer than {_LONGEST_PATH} bytes ({data}): "
                    "install happyhorse in a virtual environment with a shorter path"
                )
            library = ctypes.CDLL(str(loader.get_library_path()))
            options = _PHONEME_EVENTS | _PHONEMES_IN_IPA | _DONT_EXIT
            if library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), options) != NATIVE:
                raise ValueError(
                    f"espeak-ng did not start from {data}: pip install --force-reinstall espeakng-loader"
                )
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # which it has just taken from the clock
            library.espeak_SetSynthCallback(self.callback)
            library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            library.espeak_TextToPhonemes.argtypes = [
                ctypes.POINTER(ctypes.c_char_p),
                ctypes.c_int,
                ctypes.c_int,
            ]
            self.library = library
        return self.library

    def choose(self, voice: str) -> None:
        """Sets the voice; espeak itself ignores a variant ("+f2") that it does not have."""
        _, _, variant = voice.partition("+")
        known = not variant or (Path(_loader().get_data_path()) / "voices" / "!v" / variant).is_file()
        if not known or self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")


_engine = _Engine()
if hasattr(os, "register_at_fork"):  # a fork while another thread speaks would leave the child a locked lock
    os.register_at_fork(after_in_child=lambda: setattr(_engine, "lock", threading.Lock()))


def _loader() -> Any:
    try:
        import espeakng_loader
    except ImportError as error:
        raise ValueError(MISSING) from error
    return espeakng_loader


def available() -> bool:
    """Whether espeak-ng is installed; costs no import."""
    return importlib.util.find_spec("espeakng_loader") is not None


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50, intonation: int = 50) -> Sound:
    """Speak text with an espeak voice such as "en-us+f2": the same arguments always give the same samples.

    rate: words per minute, 80..450; pitch and intonation (pitch range): 0..99. About 2 to 6 ms.
    Raises ValueError when espeak-ng is not installed or has no such voice.
    """
    data = text.encode()
    with _engine.lock:
        _engine.unload()
        library = _engine.load()
        _engine.choose(voice)
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, intonation)):
            library.espeak_SetParameter(parameter, int(value), 0)
        _engine.chunks, _engine.events = [], []
        library.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
        chunks, events = _engine.chunks, tuple(_engine.events)
        _engine.chunks, _engine.events = [], []
    return Sound(np.concatenate(chunks) if chunks else np.zeros(0, np.int16), events)


def transcribe(text: str, voice: str, ipa: bool) -> list[list[str]]:
    """The phonemes of text, one list per clause, in IPA or in espeak's ASCII names; about 0.1 ms.

    Pauses and language switches ("(en)") stay in the lists. Raises ValueError as `speak` does.
    """
    mode = (2 if ipa else 0) | ord(_SEPARATOR) << 8
    clauses = []
    with _engine.lock:
        library = _engine.load()
        _engine.choose(voice)
        rest = ctypes.c_char_p(text.encode())
        while rest.value:
            clause = library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode).decode("utf-8", "ignore")
            clauses.append(clause.replace(" ", _SEPARATOR).split(_SEPARATOR))
    return [[name for name in clause if name] for clause in clauses]

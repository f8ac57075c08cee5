"""English heard by an outsider: pocketsphinx, an optional extra that was made long before this repository.

Its language model does not suit espeak's voices, so it is asked an easier question: which line of a closed set was
said, and when was each word of a known line. Sound is dithered first: digital silence makes it fail.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float32

from happyhorse.codec.mel import RATE
from happyhorse.eval.recogniser import Sound

DITHER = 1e-3  # of full scale
FRAMES = 100  # of its own a second
MISSING = 'hearing English with pocketsphinx needs an extra: pip install "happyhorse[asr]"'


def available() -> bool:
    """Whether pocketsphinx is installed; costs no import."""
    return find_spec("pocketsphinx") is not None


def which(wave: Float32[np.ndarray, " N"], lines: Sequence[str]) -> str | None:
    """Which of `lines` in English a wave [N] at 16 kHz says, as `plain` writes it; None where it hears none.

    Lines with words that are not in its dictionary are never heard. Raises ValueError without pocketsphinx.
    """
    decoder = _decoder()
    known = sorted({plain(line) for line in lines if _known(decoder, line)})
    if not known:
        return None
    rules = " | ".join(f"( {line} )" for line in known)
    decoder.add_jsgf_string("lines", f"#JSGF V1.0; grammar lines; public <line> = {rules};")
    decoder.activate_search("lines")
    _listen(decoder, wave)
    heard = decoder.hyp()
    return heard.hypstr if heard else None


def words(wave: Float32[np.ndarray, " N"], line: str) -> tuple[Sound, ...]:
    """When each word of an English `line` is said in a wave [N] at 16 kHz (forced alignment); none where it is lost.

    Raises ValueError without pocketsphinx.
    """
    decoder = _decoder()
    if not _known(decoder, line):
        return ()
    decoder.set_align_text(plain(line))
    try:
        _listen(decoder, wave)
    except RuntimeError:  # no path through the words
        return ()
    parts = [part for part in decoder.seg() or () if not part.word.startswith(("<", "("))]
    return tuple(
        Sound(re.sub(r"\(\d+\)$", "", part.word), part.start_frame / FRAMES, (part.end_frame + 1) / FRAMES)
        for part in parts
    )


def _decoder() -> Any:
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as error:
        raise ValueError(MISSING) from error
    hmm, words = get_model_path("en-us/en-us"), get_model_path("en-us/cmudict-en-us.dict")
    return Decoder(hmm=hmm, dict=words, lm=None, samprate=RATE, loglevel="FATAL")


def _listen(decoder: Any, wave: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, DITHER, len(wave))
    samples = np.clip((wave + noise) * 32767, -32768, 32767).astype(np.int16)
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()


def plain(line: str) -> str:
    """An English line as pocketsphinx writes it: words in lower case, without marks."""
    return " ".join(re.findall(r"[a-z']+", line.lower()))


def _known(decoder: Any, line: str) -> bool:
    return bool(plain(line)) and all(decoder.lookup_word(word) for word in plain(line).split())

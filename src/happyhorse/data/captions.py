"""Captions that lie beside clips, in `clip.txt` or in rows of a table; and what is doubtful about them."""

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyhorse.codec.text import MAX_WORDS, split_spoken, unseen, words

TABLES = tuple(f"{name}.{kind}" for name in ("captions", "metadata") for kind in ("jsonl", "json", "csv"))
FILE_KEYS = (
    "file",
    "file_name",
    "filename",
    "path",
    "video",
    "image",
    "media_path",
    "video_path",
    "image_path",
)
CAPTION_KEYS = ("caption", "captions", "text", "prompt")
_HEARD = (  # English words for what is heard, without their endings
    "sound|nois|audio|audibl|loud|quiet|silent|silence|hear|heard|music|melod|song|sing|sang|tune|note|tone|voic|say|said|speak|"
    "spoke|spoken|speech|talk|whisper|shout|scream|cry|cri|laugh|echo|ring|rang|bell|chim|click|tick|tock|knock|thud|thump|bang|"
    "crash|clang|clink|clatter|clop|rattl|tap|rumbl|roar|bark|meow|chirp|hum|buzz|hiss|whistl|rustl|splash|drip|plop|"
    "patter|crackl|drum|beat|footstep|hoofbeat|creak|squeak|howl|growl|purr|thunder|clap|applause|applaud|boom|jingl|whir|swish|"
    "whoosh|sizzl|murmur"
)
_ENDINGS = "e|y|s|es|ed|er|ing|ly|ies|ic|al|[a-z]ing|[a-z]ed"
SOUND = re.compile(rf"(?:{_HEARD})(?:{_ENDINGS})?|.*[声聲音听聽聞说說話话].*|.*(?:소리|음악|말).*")


@dataclass(frozen=True)
class Found:
    """Captions of a clip that can be used, and for those that cannot, or where there are none, what to do."""

    captions: tuple[str, ...]
    faults: tuple[str, ...]


def tables(folder: Path) -> dict[str, list[str]]:
    """Captions by file, both as in the captions and metadata files anywhere in `folder`; paths are relative to it.

    Raises ValueError, naming file and row, where such a file cannot be read or a row names no file or no caption.
    """
    found: dict[str, list[str]] = {}
    for table in sorted(path for path in folder.rglob("*") if path.name.lower() in TABLES):
        place = table.parent.relative_to(folder)
        if any(part.startswith(".") for part in place.parts):
            continue
        for number, row in enumerate(_rows(table), 1):
            name = next((row[key] for key in FILE_KEYS if row.get(key)), None)
            given = next((row[key] for key in CAPTION_KEYS if row.get(key) is not None), None)
            several: list[Any] = given if isinstance(given, list) else [given]
            if not isinstance(name, str) or not all(isinstance(caption, str) for caption in several):
                raise ValueError(
                    f"{table}, row {number}: a row needs a file ({', '.join(FILE_KEYS[:3])} ...) and a caption or a "
                    f"list of them ({', '.join(CAPTION_KEYS)})"
                )
            parts = Path(name.replace("\\", "/")).parts
            found.setdefault((place / Path(*parts)).as_posix(), []).extend(several)
    return found


def _rows(table: Path) -> Iterator[Mapping[str, Any]]:
    """Rows as mappings; a JSON file holds a list of rows, or an object of captions by file."""
    text = _text(table)
    try:
        if table.suffix.lower() == ".csv":
            values: Any = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        elif table.suffix.lower() == ".json":
            values = json.loads(text)
        else:
            values = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{table} is not valid {table.suffix[1:].upper()}: {error}") from None
    if isinstance(values, dict):
        values = [{"file": name, "caption": caption} for name, caption in values.items()]
    for row in values if isinstance(values, list) else [values]:
        yield row if isinstance(row, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8; save it as UTF-8") from None


def beside(clip: Path) -> Path | None:
    """The text file that belongs to a clip: `clip.txt` or `clip.mp4.txt`."""
    both = (clip.with_suffix(".txt"), clip.with_name(clip.name + ".txt"))
    return next((path for path in both if path.is_file()), None)


def find(clip: Path, name: str, rows: Mapping[str, Sequence[str]]) -> Found:
    """The captions of a clip: its text file as one, then its `rows` by `name` in the folder, each wording once."""
    raw, faults = list(rows.get(name, ())), []
    sidecar = beside(clip)
    if sidecar:
        try:
            raw.insert(0, _text(sidecar))
        except ValueError as error:
            faults.append(str(error))
    if not raw and not faults:
        return Found(
            (), (f"write its caption to {clip.with_suffix('.txt').name} or to a row of captions.jsonl",)
        )
    captions = list(dict.fromkeys(" ".join(caption.split()) for caption in raw))
    faults += [wrong for caption in captions if (wrong := fault(caption))]
    return Found(tuple(caption for caption in captions if not fault(caption)), tuple(faults))


def fault(caption: str) -> str | None:
    """Why a caption cannot be used, in a sentence; None where it can."""
    if not caption:
        return "its caption is empty"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in caption):
        return "its caption is not text: it holds control characters"
    try:
        split_spoken(caption)
    except ValueError:
        return f"a quotation mark is not closed in its caption: {_short(caption)}"
    return None


def _short(caption: str, length: int = 60) -> str:
    return caption if len(caption) <= length else caption[: length - 3] + "..."


def speaks_of_sound(caption: str) -> bool:
    """Whether a caption says what is heard: spoken words in quotes, or a word for a sound (English; a few more)."""
    return any(word == "<line>" or SOUND.fullmatch(word) for word in words(split_spoken(caption)[0]))


@dataclass(frozen=True)
class Lint:
    """What is doubtful in a set of captions: how many clips, and which words the model has never seen, with counts.

    `long`: more words than are read; `soundless`: sound in the clip, none in any caption; `spoken`: words in quotes;
    `single`: one wording only; `alien`: clips with unseen words.
    """

    clips: int
    long: int
    soundless: int
    spoken: int
    single: int
    alien: int
    unseen: Mapping[str, int]

    def remarks(self) -> list[str]:
        """A sentence for each thing that occurs."""
        commonest = ", ".join(f"{word} ({count})" for word, count in list(self.unseen.items())[:12])
        more = ", ..." if len(self.unseen) > 12 else ""
        said = (
            (
                self.long,
                f"have a caption of more than {MAX_WORDS} words and marks, of which no more are read",
            ),
            (
                self.soundless,
                "have sound, but no caption says what is heard: without it nobody can ask for it",
            ),
            (
                self.spoken,
                "have words in quotes: when each is spoken is not known, so they are not learnt as speech",
            ),
            (
                self.single,
                "have one wording only: with several, a model understands more",
            ),
            (
                self.alien,
                f"have words that the model has never seen, {len(self.unseen)} in all: {commonest}{more}",
            ),
        )
        return [f"{count} of {self.clips} clips {what}" for count, what in said if count]


def lint(clips: Iterable[tuple[Sequence[str], bool]], vocabulary: Collection[str] | None = None) -> Lint:
    """Look over clips, given as (captions, whether there is sound); without a `vocabulary` no word is unseen."""
    clips = list(clips)
    known = frozenset(vocabulary or ())
    alien = [
        {word for caption in captions for word in unseen(caption, known)} if vocabulary else set()
        for captions, _ in clips
    ]
    counts = Counter(word for found in alien for word in found)
    return Lint(
        clips=len(clips),
        long=sum(any(len(words(split_spoken(c)[0])) > MAX_WORDS for c in captions) for captions, _ in clips),
        soundless=sum(sound and not any(map(speaks_of_sound, captions)) for captions, sound in clips),
        spoken=sum(any(split_spoken(c)[1] for c in captions) for captions, _ in clips),
        single=sum(len(captions) == 1 for captions, _ in clips),
        alien=sum(map(bool, alien)),
        unseen=dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
    )

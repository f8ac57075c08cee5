"""USE, first stage: what is given besides the prompt is read, and laid on the clock and into the size of the clip.

Four kinds of clip, one form. The *whole* is what will be in the file; the *part* is what the denoiser makes, with what
it goes by: all of a clip from a prompt; in a clip that goes on, its new end and the last second before it; in a
retake, the span and what lies on both sides. The part always begins as clips do, since the codec holds the first
frame of a clip alone in its first latent frame, and four frames in every later one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from happyhorse.generate.fit import fit_clip, fit_picture
from happyhorse.generate.sound import hear
from happyhorse.values import Clip, ClipShape, Format, Request, decoded_frames, latent_frames

OVERLAP = 6
"""Latent frames (21 frames, 0.84 s) that at least go before what is made, where the clip to go on from has as many."""


@dataclass(frozen=True, eq=False)
class Material:
    """What one clip is made of, before anything is encoded.

    whole: shape of the clip in the file, with the rate of its sound; part: shape of what the denoiser makes, whose rows
    and columns may stand over those of the whole; begin:
    frame of the whole at which the part begins; new: frames of the whole that are made, the others are those of
    `video`; video: uint8 [f, H, W, 3], the given clip in the size of the whole and on its clock; audio: float32 [n] at
    whole.audio.rate, the given sound on that clock; stills: fitted pictures by latent frame of the part; frames [T] and
    steps [S]: which latents of the part hold what is given in `video` and `audio`; room: from and to which second of
    the part lines may be spoken; notes: what the person who asked should know, one sentence each. Beside all that:
    references: fitted pictures of a subject; source: the clip that an edit starts from, fitted, on the clock.
    """

    whole: ClipShape
    part: ClipShape
    frames: Bool[np.ndarray, " T"]
    steps: Bool[np.ndarray, " S"]
    new: range
    room: tuple[float, float]
    begin: int = 0
    video: UInt8[np.ndarray, "f H W 3"] | None = None
    audio: Float32[np.ndarray, " n"] | None = None
    stills: Mapping[int, UInt8[np.ndarray, "H W 3"]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    references: tuple[UInt8[np.ndarray, "H W 3"], ...] = ()
    source: Clip | None = None


def gather(request: Request, format: Format, window: int | None = None) -> Material:
    """Read the pictures, the sound or the clip of a request; `window` latent frames are made at a time (None: all).

    Raises ValueError, with a remedy, for what cannot be read, and for times outside of the clip.
    """
    material = _laid_out(request, format, window)
    if not request.references:
        return material
    video, notes, pictures = material.part.video, list(material.notes), []
    for number, reference in enumerate(request.references, 1):
        name = f"reference {number}" if len(request.references) > 1 else "the reference"
        picture, remarks = fit_picture(reference, name, video.width, video.height)
        pictures.append(picture)
        notes += remarks
    return replace(material, references=tuple(pictures), notes=tuple(notes))


def _laid_out(request: Request, format: Format, window: int | None) -> Material:
    """All but the references."""
    if request.edit is not None:
        return _edit(request, format)
    if request.retake is not None:
        return _retake(request, format, window)
    if request.extend is not None:
        return _extension(request, format, window)
    if request.video is not None:
        return _soundless(request, format)
    shape = format.shape(request.seconds, request.width, request.height, driven=request.audio is not None)
    part = format.coded(shape)
    plain = Material(shape, part, *_nothing(part), range(shape.video.frames), (0.0, shape.seconds))
    stills, notes = _stills(request, part, 0)
    if request.audio is None:
        return replace(plain, stills=stills, notes=notes)
    sound, remarks = hear(request.audio, shape)
    in_file = replace(shape.audio, samples=len(sound.samples), rate=sound.rate, channels=1)
    return replace(
        plain,
        whole=replace(shape, audio=in_file),
        audio=sound.samples,
        steps=~plain.steps,
        stills=stills,
        notes=notes + remarks,
    )


def _edit(request: Request, format: Format) -> Material:
    """A clip is made of another one, which stands beside it; of that the picture or the sound is kept where asked."""
    assert request.edit is not None
    source, notes = fit_clip(request.edit, "the clip to edit", format, request.width, request.height)
    shape = format.holding(len(source.video), request.width, request.height)
    frames, steps = _nothing(shape)
    picture, sound = request.keep == "picture", request.keep == "sound"
    return Material(
        shape,
        shape,
        ~frames if picture else frames,
        ~steps if sound else steps,
        range(0 if picture else len(source.video)),
        (0.0, shape.seconds),
        video=source.video if picture else None,
        audio=source.audio if sound else None,
        notes=tuple(notes),
        source=source,
    )


def _soundless(request: Request, format: Format) -> Material:
    """All of the picture is given, none of the sound."""
    assert request.video is not None
    source, notes = fit_clip(request.video, "the video", format, request.width, request.height)
    frames = min(len(source.video), max(1, round(request.seconds * format.fps)))
    shape = format.holding(frames, request.width, request.height)
    if np.abs(source.audio).max(initial=0) > 1e-3:
        notes.append("the sound of the video is replaced")
    known, steps = _nothing(shape)
    return Material(
        shape,
        shape,
        ~known,
        steps,
        range(0),
        (0.0, shape.seconds),
        video=source.video[:frames],
        notes=tuple(notes),
    )


def _extension(request: Request, format: Format, window: int | None) -> Material:
    """The end of a clip is given, and what follows is made: `request.seconds` of it.

    What is given of it lasts OVERLAP latent frames, or more, where the window then still holds all that is new.
    """
    assert request.extend is not None
    source, notes = fit_clip(request.extend, "the clip to go on from", format, request.width, request.height)
    have, more = len(source.video), max(1, round(request.seconds * format.fps))
    longest = format.lengths[1]
    if have + more > longest * format.fps:
        raise ValueError(
            f"with {request.seconds:g} s more the clip would last {(have + more) / format.fps:.3g} s, and "
            f"{format.name} makes up to {longest:g} s; ask for less --seconds, or go on from its last part only"
        )
    wanted = OVERLAP if window is None else max(OVERLAP, min(window - -(-more // 4), window * 3 // 4))
    before = min(wanted, (have - 1) // 4 + 1)
    given = decoded_frames(before)
    part = format.holding(given + more, request.width, request.height)
    frames, steps = _nothing(part)
    frames[:before], steps[:given] = True, True
    stills, remarks = _stills(request, part, given)
    return Material(
        whole=format.holding(have + more, request.width, request.height),
        part=part,
        frames=frames,
        steps=steps,
        new=range(have, have + more),
        room=(given / format.fps, (given + more) / format.fps),
        begin=have - given,
        video=source.video,
        audio=source.audio,
        stills=stills,
        notes=(*notes, *remarks),
    )


def _retake(request: Request, format: Format, window: int | None) -> Material:
    """A span of a clip is made anew, up to three frames longer where whole latent frames ask for it."""
    assert request.retake is not None and request.span is not None
    source, notes = fit_clip(request.retake, "the clip to retake", format, request.width, request.height)
    have = len(source.video)
    first, last = (round(time * format.fps) for time in request.span)
    last = max(last, first + 1)
    if last > have:
        raise ValueError(
            f"the span from {request.span[0]:g} to {request.span[1]:g} s is not inside the clip, which lasts "
            f"{have / format.fps:g} s; give one that ends by then"
        )
    if first == 0 and last == have:
        raise ValueError(
            "the span is the whole clip, of which nothing would be kept; leave out the clip and the span"
        )
    most_before = (first + 3) // 4  # latent frames
    inside = -(-(last - first) // 4) if most_before else latent_frames(last)
    end = first + 4 * inside if most_before else decoded_frames(inside)
    most_after = max(0, have - end) // 4
    spare = most_before + most_after if window is None else max(window - inside, 2 * OVERLAP)
    before = min(most_before, max(spare // 2, spare - most_after))
    after = min(most_after, spare - before)
    begin = first + 3 - 4 * before if before else 0
    part = format.holding(decoded_frames(before + inside + after), request.width, request.height)
    made = slice(before, before + inside)
    heard = slice(max(0, 4 * made.start - 3), 4 * made.stop - 3)
    frames, steps = _nothing(part)
    frames, steps = ~frames, ~steps
    frames[made], steps[heard] = False, False
    new = range(first, min(end, have))
    if new.stop > last:
        notes.append(
            f"the span was made to end at {new.stop / format.fps:g} s: four frames are made at a time"
        )
    return Material(
        whole=format.holding(have, request.width, request.height),
        part=part,
        frames=frames,
        steps=steps,
        new=new,
        room=((new.start - begin) / format.fps, (new.stop - begin) / format.fps),
        begin=begin,
        video=source.video,
        audio=source.audio,
        notes=tuple(notes),
    )


def _nothing(shape: ClipShape) -> tuple[Bool[np.ndarray, " T"], Bool[np.ndarray, " S"]]:
    return np.zeros(shape.video.latent[0], bool), np.zeros(shape.audio.steps, bool)


def _stills(
    request: Request, part: ClipShape, start: int
) -> tuple[dict[int, UInt8[np.ndarray, "H W 3"]], tuple[str, ...]]:
    """Fitted pictures by latent frame of the part, whose frame `start` is 0 s; and notes."""
    frames = part.video.frames
    asked = [("the first frame", 0, request.first_frame)]
    for time, picture in request.key_frames:
        asked.append((f"the key frame at {time:g} s", start + round(time * part.fps), picture))
        if asked[-1][1] >= frames:
            raise ValueError(
                f"the key frame at {time:g} s is not inside the clip of {(frames - start) / part.fps:g} s; "
                f"ask for more --seconds, or for an earlier time"
            )
    asked.append(("the last frame", frames - 1, request.last_frame))
    stills, names, notes = {}, {}, []
    for name, frame, picture in asked:
        if picture is None:
            continue
        index = latent_frames(frame + 1) - 1
        if index in stills:
            raise ValueError(
                f"{names[index]} and {name} fall together, as four frames are made at a time; leave out one of them, "
                f"or move it by 0.16 s"
            )
        stills[index], remarks = fit_picture(picture, name, part.video.width, part.video.height)
        names[index] = name
        notes += remarks
    return stills, tuple(notes)

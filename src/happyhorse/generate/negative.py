"""What guidance leads the base weights of the 15B away from: a list of defects in place of an empty prompt.

The weights were trained to be guided against faults of the picture, of the sound and of the speech, all three; leaving
out the latter two is heard and seen. The wording here is our own. To follow the original to the bit, put its text
(1,719 characters, SHA-256 4515a21f8d125d12e5a42b23e65bb09f46ea9817567f1834ad556e8cd1852c4b) into
`negative_prompt.txt` in the folder of the model.
"""

from pathlib import Path

FILE = "negative_prompt.txt"

PICTURE = (
    "blurry picture, out of focus, low resolution, heavy compression, noise and grain, flicker, ghosting, "
    "double edges, washed-out or garish colours, over-exposed, under-exposed, static frame, jumps and cuts, "
    "warped perspective, melting or morphing objects, distorted face, asymmetric eyes, bad teeth, "
    "extra or fused fingers, malformed limbs, duplicated people, plastic skin, subtitles, captions, "
    "watermark, logo, border"
)
SOUND = (
    "poor recording, muffled or boxy sound, thin sound, hiss, hum, buzz, crackle, clicks and pops, clipping, "
    "distortion, harsh treble, booming bass, wind on the microphone, heavy echo, metallic reverberation, "
    "phase problems, drop-outs, stutter, sudden changes of loudness, music or effects that cover the voice, "
    "sounds that come too early or too late, sounds that belong to nothing in the picture, silence "
    "where something should be heard"
)
SPEECH = (
    "mumbled or slurred words, unintelligible speech, invented language, wrong words, words left out or repeated, "
    "stammering, robotic or synthetic voice, flat intonation, wrong emotion, exaggerated acting, unnatural pauses, "
    "speech that is too fast or too slow, several voices at once, a voice that changes its age or sex, wrong accent, "
    "whispering or shouting without reason, heavy breathing, lip smacking, lips that do not follow the words, a mouth "
    "that moves in silence, a voice without a moving mouth"
)


def negative_prompt(folder: str | Path) -> str:
    """The text for the model in `folder`: that of its `negative_prompt.txt`, or else the one of this module."""
    path = Path(folder) / FILE
    if path.is_file():
        return path.read_text(encoding="utf-8").strip("\n")
    return ", ".join((PICTURE, SOUND, SPEECH))

"""What stands beside training clips, out of their records: pictures of a subject, or the sources of edits."""

from typing import Any

from happyhorse.generate.denoiser import Beside


def cut_source(record: dict[str, Any], start: int, frames: int) -> dict[str, Any]:
    """A record whose "before", if it has one, is cut to a window of `frames` latent frames, as `cut` does it."""
    if "before" not in record:
        return record
    video, audio = record["before"]
    sound = audio[4 * start : 4 * (start + frames - 1) + 1]
    return record | {"before": (video[:, start : start + frames], sound)}


def stand_beside(records: list[dict[str, Any]], pictures: int) -> Beside | None:
    """What stands beside the clips of a step, by their records: `pictures` of a subject each, or what edits start from.

    None where there is nothing of the kind.
    """
    each = []
    for record in records:
        if "before" in record:
            video, audio = (part[None].float() for part in record["before"])
            each.append(Beside(video=video, audio=audio))
        elif "references" in record and pictures:
            each.append(Beside(record["references"][None, :pictures].float()))
    return Beside.stacked(each) if each else None

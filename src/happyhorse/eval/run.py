"""What to measure: clips that a model makes of held-out scenes, the renders themselves, or renders through
the codec.

The last two are the floor: no model can do better than the world it learnt, nor than the codec that shows it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from happyhorse import media
from happyhorse.data.shards import cache_dir
from happyhorse.data.source import seed_of
from happyhorse.eval import judge as judges
from happyhorse.eval.asks import prompt
from happyhorse.eval.clips import Clip
from happyhorse.generate.load import PACKAGED, Model
from happyhorse.generate.pipeline import make
from happyhorse.world.scene import RATE, Scene, hear, render, sample

Progress = Callable[[str, int, int], None]


def scenes(count: int, seconds: float, families: Sequence[str] | None = None) -> Iterator[tuple[Scene, str]]:
    """`count` held-out scenes, families in turn, each with a prompt in a held-out wording (else in a known
    one).

    Scenes of which no caption names the colours to look for are passed over.
    """
    from happyhorse.world.scene import available

    names = tuple(families or available())
    found = 0
    for index in range(20 * count):
        scene = sample(seed_of("heldout", index), seconds, [names[found % len(names)]])
        words = prompt(scene, heldout=True) or prompt(scene)
        if words is not None:
            yield scene, words
            found += 1
            if found == count:
                return
    raise ValueError(f"only {found} of {count} scenes have a usable prompt; ask for other families")


def generated(
    model: Model,
    count: int,
    folder: Path,
    families: Sequence[str] | None = None,
    progress: Progress = lambda what, done, total: None,
    **asked: float | int | str | None,
) -> Iterator[Clip]:
    """Clips that `model` makes of held-out prompts, seed i for clip i, also written to `folder/clips`.

    `asked` are further fields of a request: steps, guidance, sampler. Yields (scene, uint8 [F, H, W, 3],
    float32 [N]).
    """
    seconds = model.request("anything").seconds
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    lines = []
    for index, (scene, words) in enumerate(scenes(count, seconds, families)):
        making = make(model.request(words, seed=index, **asked), model)
        video = np.concatenate(list(making.frames))
        name = f"{index:04d}-{scene.family}.mp4"
        shape = making.shape
        with media.Writer(
            folder / "clips" / name,
            width=shape.video.width,
            height=shape.video.height,
            fps=shape.fps,
            rate=RATE,
        ) as writer:
            writer.frames(video)
            writer.sound(making.audio)
        lines.append(f"{name}\t{words}\n")
        (folder / "clips" / "prompts.tsv").write_text("".join(lines), encoding="utf-8")
        progress("clips", index + 1, count)
        yield scene, video, making.audio


def rendered(
    model: Model, count: int, through_codec: bool, families: Sequence[str] | None = None
) -> Iterator[Clip]:
    """The same held-out scenes as the world renders them, or after encoding and decoding by the model's codec."""
    request = model.request("anything")
    shape = model.format.shape(request.seconds, request.width, request.height)
    frames, samples = shape.video.decoded_frames, shape.audio.steps * RATE // shape.fps
    for scene, _ in scenes(count, frames / shape.fps, families):
        video = render(scene, request.width, request.height, shape.fps, frames)
        audio = hear(scene, RATE, samples)
        if through_codec:
            with torch.inference_mode():
                pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
                decoded = model.codec.video.decode(model.codec.video.encode(pixels))[0].clamp(-1, 1)
                video = ((decoded + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()
                audio = model.codec.audio.decode(model.codec.audio.encode(torch.from_numpy(audio)[None]))[
                    0
                ].numpy()
        yield scene, video[: shape.video.frames], audio[: shape.audio.samples]


def find_judge(
    train: Callable[[], judges.Judge], announce: Callable[[], None] = lambda: None
) -> judges.Judge:
    """The judge that comes with the package, else the cached one, else, after `announce`, a new one from `train`."""
    places = (PACKAGED / "judge.safetensors", cache_dir() / "judge.safetensors")
    for path in places:
        if path.is_file():
            return judges.load(path)
    announce()
    judge = train()
    places[1].parent.mkdir(parents=True, exist_ok=True)
    judges.save(judge, places[1])
    return judge

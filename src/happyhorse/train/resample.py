"""Latents of renders that a model has made anew from noise on them: its own faults on a picture that is known.

A clip's picture is noised to some level and denoised from there with its sound and its caption given (Meng et al. 2021,
arXiv 2108.01073). What comes out is a clip of the model, and still the same scene as the render. The decoder learns to
show such clips as the scene was; super-resolution sees them enlarged, as it does any other.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from happyhorse import checkpoint, config
from happyhorse.codec import load_codec
from happyhorse.codec.enlarge import enlarge
from happyhorse.codec.text import Phone, split_spoken, tokenize
from happyhorse.data.shards import CLIPS, Shards, cache_dir
from happyhorse.files import write_atomic
from happyhorse.flow import path, samplers, schedules
from happyhorse.generate.denoiser import Denoiser, load_denoiser, pad_tokens
from happyhorse.precision import mixed
from happyhorse.train.flow import LATENT_FPS
from happyhorse.train.parallel import moved, where
from happyhorse.train.windows import read

LOW, HIGH = 0.3, 0.8  # levels from which clips are made anew
STEPS = 6
BATCH = 16


def make(
    base: Path,
    codec: Path | None,
    small: Shards,
    autocast: bool,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str = "cpu",
    student: Path | None = None,
) -> Shards:
    """The clips of `small`, latents, made anew by the denoiser `base`, or by its `student`, on `device`.

    With a `codec` they are enlarged through it. They are kept, and made only where they do not exist;
    `progress(done, total)` counts clips.
    """
    files = base, student, codec  # the codec's hash is of its decoder, too
    made_by = [
        *(checkpoint.sha256(file) if file else None for file in files),
        *small.names,
        LOW,
        HIGH,
        STEPS,
    ]
    folder = cache_dir() / f"anew-{config.fingerprint(made_by)}"
    folder.mkdir(parents=True, exist_ok=True)
    model, facts = load_denoiser(base, student)
    model = model.to(device)
    grid = schedules.shifted(facts["defaults"]["steps"], facts["shifts"]["video"]) if student else None
    pictures = load_codec(str(codec)).video.to(device) if codec else None
    clips, kind = len(small), torch.device(device).type
    for number, first in enumerate(range(0, clips, CLIPS)):
        file = folder / f"{number:05d}.safetensors"
        some = list(range(first, min(first + CLIPS, clips)))
        if not file.with_suffix(".jsonl").exists():
            batches = [some[i : i + BATCH] for i in range(0, len(some), BATCH)]
            anew = [clip[None] for batch in batches for clip in _anew(model, small, batch, autocast, grid)]
            if pictures is not None:
                with mixed(kind, autocast):
                    anew = [enlarge(pictures, clip) for clip in anew]
            video = torch.cat([clip.bfloat16().cpu() for clip in anew]).contiguous()
            tensors = {"video": video, "audio": torch.stack([small[i][1] for i in some])}
            lines = "".join(json.dumps(small.records[i]) + "\n" for i in some)
            write_atomic(file, lambda hidden, tensors=tensors: save_file(tensors, hidden))
            write_atomic(
                file.with_suffix(".jsonl"),
                lambda hidden, lines=lines: hidden.write_text(lines, encoding="utf-8"),
            )
        if progress:
            progress(min(first + CLIPS, clips), clips)
    return Shards(folder, clips)


def _anew(
    model: Denoiser, small: Shards, clips: list[int], autocast: bool, grid: Tensor | None = None
) -> Tensor:
    """Video latents [B, C, T, Y, X] of some clips, from a level of their own batch, where the model computes.

    The level is one of `grid`, the levels of a student, who goes on from there as it would in a clip; without, any.
    """
    generator = torch.Generator().manual_seed(clips[0])
    video, audio, records = read(small, clips)
    settings = model.text.config
    texts = [
        tokenize(
            split_spoken(record["captions"][0])[0],
            [Phone(*p) for p in record["phones"]],
            settings,
            LATENT_FPS,
        )
        for record in records
    ]
    ids, times = pad_tokens(texts, settings.features)
    none, all_given = torch.zeros(len(clips), video.shape[2]).bool(), torch.ones(audio.shape[:2]).bool()
    draw = float(torch.rand((), generator=generator))
    if grid is None:
        levels = torch.linspace(LOW + (HIGH - LOW) * draw, 0, STEPS + 1)
    else:
        starts = ((grid >= LOW) & (grid <= HIGH)).nonzero().flatten()
        levels = grid[int(starts[int(draw * len(starts))]) :]
    noisy = path.interpolate(video, torch.randn(video.shape, generator=generator), float(levels[0]))
    here = where(model)
    noisy, audio, ids, times, none, all_given = moved((noisy, audio, ids, times, none, all_given), here)

    def velocity(state: dict[str, Tensor], sigma: dict[str, float]) -> dict[str, Tensor]:
        out = model(state["video"], state["audio"], ids, times, none, all_given)
        return dict(zip(("video", "audio"), out, strict=True))

    with torch.no_grad(), mixed(here.type, autocast):
        made = samplers.euler(
            velocity, {"video": noisy, "audio": audio}, {"video": levels, "audio": torch.zeros_like(levels)}
        )
    return made["video"].float()

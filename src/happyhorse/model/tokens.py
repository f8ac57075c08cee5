"""Latents to tokens, tokens to velocities, and where each token sits in time and space.

A sequence is `[video | audio | text]` without separators (15B spec section 3.1). A video token is a patch of
1 x 2 x 2 latent positions in the 15B and a single one in the pony (decision 0021), an audio token one latent step, a
text token one embedding of the text encoder.
Positions of all three are measured in latent video frames, so that sound, picture and words share one clock.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

PATCH = 2
"""Latent rows and latent columns per video token of the 15B."""

SOURCE = -256.0
"""Latent frames by which a clip to edit lies before the clip that is made of it: earlier than any word of a caption."""

REFERENCES = -512.0
"""Time of the first reference picture in latent frames; the next ones follow it, as frames do."""

CoordStyle = Literal["v1", "v2", "clock"]


@dataclass(frozen=True)
class Grid:
    """Video tokens of one clip: `frames` latent frames of `rows` x `columns` patches."""

    frames: int
    rows: int
    columns: int

    @classmethod
    def of(cls, frames: int, latent_rows: int, latent_columns: int, patch: int = PATCH) -> "Grid":
        """The grid of a latent [C, frames, latent_rows, latent_columns].

        Raises `ValueError` on a side that is not of whole patches.
        """
        if latent_rows % patch or latent_columns % patch:
            raise ValueError(
                f"a latent of {latent_rows} x {latent_columns} cannot be cut into {patch} x {patch} patches; "
                f"choose a picture size whose sides are multiples of {16 * patch} pixels"
            )
        return cls(frames, latent_rows // patch, latent_columns // patch)

    @property
    def frame_tokens(self) -> int:
        """Tokens per latent frame."""
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        """Tokens of the whole clip, Lv."""
        return self.frames * self.frame_tokens


def patchify(latent: Float[Tensor, "B C T Y X"], patch: int = PATCH) -> Float[Tensor, "B Lv Cv"]:
    """Cut a video latent into tokens: raster order, features channel-*slowest*, of the 15B index `4 c + 2 dy + dx`.

    The velocity uses another order, see `unpatchify`: the asymmetry is part of the published weights (15B spec
    section 3.2).
    """
    Grid.of(*latent.shape[2:], patch=patch)
    return rearrange(latent, "b c t (r p) (s q) -> b (t r s) (c p q)", p=patch, q=patch)


def unpatchify(
    velocity: Float[Tensor, "B Lv Cv"], grid: Grid, patch: int = PATCH
) -> Float[Tensor, "B C T Y X"]:
    """Assemble video velocities into a latent.

    Features are channel-*fastest*, of the 15B index `(2 dy + dx) C + c`.
    """
    return rearrange(
        velocity,
        "b (t r s) (p q c) -> b c t (r p) (s q)",
        t=grid.frames,
        r=grid.rows,
        s=grid.columns,
        p=patch,
        q=patch,
    )


def coordinates(
    grid: Grid,
    audio_steps: int,
    text: int | Float[Tensor, " Lt"] | Float[Tensor, "B Lt"],
    style: CoordStyle,
    *,
    device: torch.device | str | None = None,
    references: int = 0,
    source: bool = False,
) -> Float[Tensor, "B L 9"]:
    """Position, grid size and reference size of each token: rows (t, y, x, T, Hs, Ws, Tr, Hr, Wr), fp32.

    The network scales a position by (reference - 1) / (size - 1) on each axis (15B spec sections 2.5 and 3.3).
    Video positions are patch indices; audio step i lands on i ((S-1)//4) / (S-1), about a quarter of a latent
    frame apart.

    - "v2" (15B base and distilled): `text` is the number of tokens; all land on time 0, a single one on -1.
    - "v1" (15B super-resolution): `text` is the number of tokens, spread evenly over times 0..1.
    - "clock" (pony): `text` holds the time of every token in latent frames, [Lt] or one row per sample [B, Lt];
      words of the caption sit before the clip (see `before`), spoken phonemes at the moment they are heard.

    What stands beside a clip (decision 0019) has tokens right after its own: `references` pictures and then the frames
    of a `source` clip after the video, the sound of that after the audio. They have the places that they would have in
    the clip, and times of their own: pictures from REFERENCES on, everything of the source SOURCE earlier than what it
    belongs to. Only on the "clock".

    They are made on `device` (None: where the times of the text are, or the default device).
    The first axis is 1, or B when `text` has one row per sample. Raises `ValueError` where a style cannot place
    the tokens.
    """
    if device is None and isinstance(text, Tensor):
        device = text.device
    size = (grid.frames, grid.rows, grid.columns)
    axes = (torch.arange(n, dtype=torch.float32, device=device) for n in size)
    places = torch.stack([a.flatten() for a in torch.meshgrid(*axes, indexing="ij")], -1)
    video = torch.cat([places, places.new_tensor(size + size).expand(grid.tokens, 6)], -1)

    audio_times = torch.arange(audio_steps, dtype=torch.float32, device=device)
    audio_reference = grid.frames if style == "v1" else (audio_steps - 1) // 4 + 1
    audio = _on_time_axis(audio_times, audio_steps, audio_reference)
    if references or source:
        if style != "clock":
            raise ValueError(
                f'style "{style}" has no place beside the clip; references and sources need "clock"'
            )
        video, audio = _with_beside(grid, video, audio, references, source)

    if style == "clock":
        if isinstance(text, int):
            raise ValueError(
                'style "clock" needs the time of each text token; pass a tensor of latent frames'
            )
        words = _on_time_axis(text.to(device, torch.float32), 1, 1)  # size = reference = 1: the scale is 1
    elif not isinstance(text, int):
        raise ValueError(f'style "{style}" places the text itself; pass the number of text tokens')
    elif style == "v2":
        words = _on_time_axis(before(text, device=device), text, 1)
    elif style == "v1":
        words = _on_time_axis(torch.arange(text, dtype=torch.float32, device=device), text, 2)
    else:
        raise ValueError(f'coordinate style {style!r} is unknown; use "v1", "v2" or "clock"')
    words = words if words.ndim == 3 else words.unsqueeze(0)  # [B or 1, Lt, 9]
    fixed = torch.cat([video, audio]).expand(len(words), -1, -1)
    return torch.cat([fixed, words], 1)


def before(count: int, *, device: torch.device | str | None = None) -> Float[Tensor, " Lt"]:
    """Times -count..-1: tokens in reading order, the last one right before the clip begins."""
    return torch.arange(-count, 0, dtype=torch.float32, device=device)


def _with_beside(
    grid: Grid,
    video: Float[Tensor, "Lv 9"],
    audio: Float[Tensor, "La 9"],
    references: int,
    source: bool,
) -> tuple[Float[Tensor, "Lb 9"], Float[Tensor, "Lc 9"]]:
    """The rows of a clip, and after them those of what stands beside it."""
    pictures = [_at(video[: grid.frame_tokens], REFERENCES + number) for number in range(references)]
    if not source:
        return torch.cat([video, *pictures]), audio
    # as the network scales it, before it is shifted
    scale = (audio[:, 6] - 1) / (audio[:, 3] - 1).clamp_min(1)
    heard = _on_time_axis(torch.where(audio[:, 6] == audio[:, 3], 1.0, scale) * audio[:, 0] + SOURCE, 1, 1)
    return torch.cat([video, *pictures, _at(video, SOURCE)]), torch.cat([audio, heard])


def _at(rows: Float[Tensor, "L 9"], shift: float) -> Float[Tensor, "L 9"]:
    """Rows at other times; video times are not scaled, so that a shift is one in latent frames."""
    return torch.cat([rows[:, :1] + shift, rows[:, 1:]], 1)


def _on_time_axis(times: Float[Tensor, "*B N"], size: int, reference: int) -> Float[Tensor, "*B N 9"]:
    """Rows of tokens that have a time and no place: y = x = 0 on a grid (size, 1, 1)."""
    if size == 1 and reference != 1:
        raise ValueError(
            f"one token cannot be spread over {reference} latent frames; give at least two, or use coordinate "
            'style "v2"'
        )
    row = times.new_tensor((0, 0, size, 1, 1, reference, 1, 1)).expand(*times.shape, 8)
    return torch.cat([times.unsqueeze(-1), row], -1)

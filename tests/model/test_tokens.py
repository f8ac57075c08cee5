"""Orders of tokens and features, and positions on the shared clock, against numbers written out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from happyhorse.model.tokens import Grid, before, coordinates, patchify, unpatchify

sizes = st.integers(1, 4)


def test_features_going_in_are_channel_slowest():
    latent = torch.zeros(1, 48, 3, 4, 6)
    latent[0, 7, 2, 3, 4] = 1.0  # channel 7, frame 2, patch row 1 (dy = 1), patch column 2 (dx = 0)
    where = patchify(latent)[0].nonzero().tolist()
    assert where == [[2 * 6 + 1 * 3 + 2, 7 * 4 + 2 * 1 + 0]]


def test_features_coming_out_are_channel_fastest():
    tokens = torch.zeros(1, 18, 192)
    tokens[0, 2 * 6 + 1 * 3 + 2, (2 * 1 + 0) * 48 + 7] = 1.0
    where = unpatchify(tokens, Grid(3, 2, 3))[0].nonzero().tolist()
    assert where == [[7, 2, 3, 4]]


@given(sizes, sizes, sizes, sizes, sizes, st.integers(1, 3))
def test_the_round_trip_needs_the_features_turned(batch, channels, frames, rows, columns, patch):
    latent = torch.arange(batch * channels * frames * rows * columns * patch**2, dtype=torch.float32)
    latent = latent.view(batch, channels, frames, patch * rows, patch * columns)
    grid = Grid.of(frames, patch * rows, patch * columns, patch)
    tokens = patchify(latent, patch)
    assert tokens.shape == (batch, grid.tokens, patch**2 * channels)
    turned = tokens.unflatten(-1, (channels, patch**2)).transpose(-1, -2).flatten(-2)
    assert torch.equal(unpatchify(turned, grid, patch), latent)
    if channels > 1 and patch > 1:
        assert not torch.equal(unpatchify(tokens, grid, patch), latent)


def test_odd_latents_are_refused():
    with pytest.raises(ValueError, match="multiples of 32 pixels"):
        patchify(torch.zeros(1, 48, 2, 7, 14))
    with pytest.raises(ValueError, match="multiples of 48 pixels"):
        patchify(torch.zeros(1, 48, 2, 6, 14), 3)


def test_a_grid_counts_tokens():
    assert Grid.of(20, 8, 14).tokens == 560
    grid = Grid.of(20, 8, 14, 1)
    assert (grid.frame_tokens, grid.tokens) == (112, 2240)


def times(coords: torch.Tensor) -> torch.Tensor:
    """Scaled time of each token, in latent frames."""
    position, size, reference = coords[..., 0], coords[..., 3], coords[..., 6]
    return torch.where(size == reference, position, position * (reference - 1) / (size - 1))


def test_video_rows_are_raster_and_unscaled():
    coords = coordinates(Grid(2, 3, 4), 0, 0, "v2")
    assert coords.shape == (1, 24, 9) and coords.dtype == torch.float32
    assert coords[0, 0].tolist() == [0, 0, 0, 2, 3, 4, 2, 3, 4]
    assert coords[0, 1].tolist() == [0, 0, 1, 2, 3, 4, 2, 3, 4]
    assert coords[0, 4].tolist() == [0, 1, 0, 2, 3, 4, 2, 3, 4]
    assert coords[0, 23].tolist() == [1, 2, 3, 2, 3, 4, 2, 3, 4]


def test_sound_and_picture_share_the_clock():
    """Seventy-seven sound steps span the twenty latent frames of the picture, four to a frame."""
    coords = coordinates(Grid(20, 4, 7), 77, 0, "v2")[0, 560:]
    assert coords[5].tolist() == [5, 0, 0, 77, 1, 1, 20, 1, 1]
    torch.testing.assert_close(times(coords), torch.arange(77) / 4)


def test_sound_is_the_same_in_both_published_styles_for_whole_clips():
    one, two = (coordinates(Grid(26, 2, 2), 101, 0, style) for style in ("v1", "v2"))
    assert torch.equal(one, two)


def test_sound_follows_the_picture_in_v1_and_itself_in_v2():
    one, two = (coordinates(Grid(4, 1, 1), 9, 0, style)[0, -1] for style in ("v1", "v2"))
    assert one[6] == 4 and two[6] == 3
    assert times(one) == 3 and times(two) == 2


def test_text_styles():
    grid = Grid(2, 1, 1)
    assert coordinates(grid, 0, 4, "v1")[0, 2].tolist() == [0, 0, 0, 4, 1, 1, 2, 1, 1]
    torch.testing.assert_close(times(coordinates(grid, 0, 4, "v1")[0, 2:]), torch.arange(4) / 3)
    assert coordinates(grid, 0, 4, "v2")[0, 2].tolist() == [-4, 0, 0, 4, 1, 1, 1, 1, 1]
    assert times(coordinates(grid, 0, 4, "v2")[0, 2:]).abs().sum() == 0  # all words at the start
    assert times(coordinates(grid, 0, 1, "v2")[0, 2:]).tolist() == [-1]  # except a word alone


def test_words_on_the_clock():
    said = torch.tensor([-2.0, -1.0, 0.5, 7.25])
    coords = coordinates(Grid(2, 1, 1), 3, said, "clock")
    assert coords.shape == (1, 9, 9)
    assert times(coords[0, 5:]).tolist() == said.tolist()
    assert torch.equal(coords[0, :5], coordinates(Grid(2, 1, 1), 3, 0, "v2")[0])


def test_each_sample_has_its_own_words():
    said = torch.stack([before(3), torch.tensor([-1.0, 4.0, 5.5])])
    coords = coordinates(Grid(2, 1, 2), 2, said, "clock")
    assert coords.shape == (2, 9, 9)
    assert torch.equal(coords[0, :6], coords[1, :6])
    assert coords[:, 6:, 0].tolist() == [[-3, -2, -1], [-1, 4, 5.5]]


@pytest.mark.parametrize(
    ("steps", "text", "style", "message"),
    [
        (4, 5, "clock", "time of each text token"),
        (4, torch.zeros(5), "v2", "number of text tokens"),
        (4, 1, "v1", "spread over 2 latent frames"),
        (1, 0, "v1", "spread over 3 latent frames"),
    ],
)
def test_what_cannot_be_placed(steps, text, style, message):
    with pytest.raises(ValueError, match=message):
        coordinates(Grid(3, 1, 1), steps, text, style)


def test_an_unknown_style():
    with pytest.raises((ValueError, TypeCheckError)):
        coordinates(Grid(3, 1, 1), 4, 5, "v3")


def test_what_stands_beside_a_clip_has_times_of_its_own():
    grid, words = Grid(3, 2, 2), torch.tensor([-2.0, -1.0])
    alone = coordinates(grid, 9, words, "clock")
    both = coordinates(grid, 9, words, "clock", references=2, source=True)
    video, first, second, source, audio, heard, text = both[0].split([12, 4, 4, 12, 9, 9, 2])
    assert torch.equal(torch.cat([video, audio, text]), alone[0]), "the clip's own tokens stay where they are"
    for number, picture in enumerate((first, second)):
        assert torch.equal(picture[:, 1:], video[:4, 1:]) and (picture[:, 0] == -512 + number).all()
    assert torch.equal(source[:, 1:], video[:, 1:]) and torch.equal(source[:, 0], video[:, 0] - 256)
    scale = (audio[:, 6] - 1) / (audio[:, 3] - 1)  # as the network does it
    assert torch.allclose(heard[:, 0], audio[:, 0] * scale - 256) and torch.equal(heard[:, 3], heard[:, 6])
    assert float(source[:, 0].max()) < -96, "no word of a caption is that early"


def test_one_step_of_sound_beside_a_clip_of_one_frame():
    rows = coordinates(Grid(1, 1, 1), 1, torch.zeros(0), "clock", source=True)[0]
    assert rows[:, 0].tolist() == [0, -256, 0, -256] and rows.isfinite().all()


@pytest.mark.parametrize("style", ["v1", "v2"])
def test_only_the_clock_has_a_place_beside_the_clip(style):
    with pytest.raises(ValueError, match='need "clock"'):
        coordinates(Grid(1, 2, 2), 5, 3, style, references=1)

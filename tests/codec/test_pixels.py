"""Frames and video: the same pictures, all 256 levels."""

import torch

from happyhorse.codec.pixels import as_frames, as_video


def test_every_level_comes_back_and_the_ends_are_black_and_white():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8, 1).repeat(2, 1, 1, 1, 3)
    frames[..., 1] = 255 - frames[..., 1]
    video = as_video(frames)
    assert video.shape == (2, 3, 4, 8, 8) and video.min() == -1 and video.max() == 1
    assert torch.equal(as_frames(video), frames)
    assert torch.equal(as_frames(video[0]), frames[0])


def test_what_lies_outside_is_cut_and_halves_of_precision_are_frames_too():
    video = torch.tensor([-3.0, -1.0, 0.0, 3.0]).reshape(1, 4, 1, 1).expand(3, 4, 1, 1)
    assert as_frames(video.bfloat16())[:, 0, 0, 0].tolist() == [0, 0, 128, 255]

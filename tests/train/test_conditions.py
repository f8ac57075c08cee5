"""What is given in training clips."""

import pytest
import torch

from happyhorse.train.conditions import ConditionConfig, draw_given

NONE = {"first": 0.0, "last": 0.0, "both": 0.0, "keys": 0.0, "prefix": 0.0, "span": 0.0}


def draw(**shares: float) -> tuple[torch.Tensor, torch.Tensor]:
    return draw_given(400, 10, ConditionConfig(**(NONE | shares)), torch.Generator().manual_seed(0))


def test_shares_are_kept():
    video, audio = draw(first=0.3)
    assert float(video[:, 0].float().mean()) == pytest.approx(0.3, abs=0.07)
    assert not video[:, 1:].any() and not audio.any()
    assert not draw()[0].any()


def test_kinds_give_what_they_say():
    assert draw(last=1.0)[0].sum(1).eq(1).all() and draw(last=1.0)[0][:, -1].all()
    both = draw(both=1.0)[0]
    assert both[:, [0, -1]].all() and both.sum(1).eq(2).all()
    keys = draw(keys=1.0)[0].sum(1)
    assert int(keys.min()) >= 1 and int(keys.max()) <= 3


def test_prefix_and_span_give_sound_of_the_same_frames():
    for kind in ("prefix", "span"):
        video, audio = draw(**{kind: 1.0})
        assert audio.shape == (400, 37)
        assert torch.equal(audio[:, 0], video[:, 0])
        assert torch.equal(audio[:, 1:].reshape(400, 9, 4).all(-1), video[:, 1:])
        assert torch.equal(audio[:, 1:].reshape(400, 9, 4).any(-1), video[:, 1:])
        assert not video.all(1).any(), "something must be left to make"
    prefix = draw(prefix=1.0)[0].float()
    assert (prefix.diff(dim=1) <= 0).all()


def test_shares_beyond_one_are_refused():
    with pytest.raises(ValueError, match="at most 1"):
        ConditionConfig(first=0.9, last=0.2)
    with pytest.raises(ValueError, match="shares of the steps"):
        ConditionConfig(references=0.7, edit=0.4)


def test_steps_show_something_beside_their_clips_by_the_shares():
    config, generator = ConditionConfig(references=0.3, edit=0.5), torch.Generator().manual_seed(0)
    drawn = [config.beside(generator) for _ in range(600)]
    kinds = [kind for kind, _ in drawn]
    assert kinds.count("references") / 600 == pytest.approx(0.3, abs=0.06)
    assert kinds.count("edit") / 600 == pytest.approx(0.5, abs=0.06)
    pictures = [count for kind, count in drawn if kind == "references"]
    assert set(pictures) == {1, 2, 3} and min(map(pictures.count, (1, 2, 3))) > len(pictures) / 5
    assert config.learnt == ["references", "edit"] and ConditionConfig().learnt == []
    assert {ConditionConfig().beside(generator) for _ in range(50)} == {(None, 0)}
    assert (
        config.only(["edit"]) == ConditionConfig(edit=0.5) and config.only(["edit", "references"]) == config
    )

"""Plans: sizes in closed form, the policies that are chosen, and what is said where nothing fits."""

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.codec.turbo import TurboConfig, TurboDecoder
from happyhorse.engine import plan as plans
from happyhorse.engine.device import GB, known, of_memory
from happyhorse.engine.job import job
from happyhorse.engine.plan import ask, plan, under, weight_bytes
from happyhorse.engine.strips import in_strips
from happyhorse.engine.work import _Counter, measure
from happyhorse.flow import samplers, schedules
from happyhorse.model.presets import HORSE_15B
from happyhorse.values import Request

NOWHERE = Path("nothing is installed here")
HOST = 128 * GB


def request(size=(1920, 1080), seconds=5.0, **changes):
    asked = {"steps": 8, "guidance": 1.0, "audio_guidance": 1.0, "model": "happyhorse-15b"}
    return Request(prompt="x", width=size[0], height=size[1], seconds=seconds, **asked | changes)


def planned(device, weights="bf16", **changes):
    return ask(request(**changes), NOWHERE, "distill", device, weights)


def test_bytes_of_the_network_in_closed_form():
    """15B spec section 2.9: which of its numbers are matrices of the blocks."""
    matrices = sum(
        (3 if i in HORSE_15B.mm_layers else 1)
        * 5120
        * (7208 + 5120 + (2 if i < 4 else 3) * HORSE_15B.mlp_width(i))
        for i in range(40)
    )
    rest = 15_299_419_136 + 16 - matrices  # and the rotary bands
    assert weight_bytes(HORSE_15B, "bf16", 0) == (2 * matrices + 4 * rest, 0)
    assert weight_bytes(HORSE_15B, "fp8", 0) == (matrices + 4 * rest, 0)
    largest = 2 * 3 * 5120 * (7208 + 5120 + 2 * 20480)  # of the layers that visit
    device, host = weight_bytes(HORSE_15B, "bf16", 40)
    assert 2 * largest < device < 2 * largest + 0.2 * GB and host > 2 * matrices


def test_bytes_of_the_text_encoder():
    assert job(request(), NOWHERE, "distill").text_numbers == pytest.approx(9.24e9, rel=1e-3)


def test_numbers_of_the_small_decoder():
    with torch.device("meta"):
        assert sum(p.numel() for p in TurboDecoder(TurboConfig()).parameters()) == pytest.approx(
            plans.TURBO, rel=1e-3
        )


@pytest.mark.slow
def test_constants_of_the_codecs():
    from diffusers import AutoencoderKLWan, AutoencoderOobleck

    shape = {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
    }
    shape |= {
        "temperal_downsample": [False, True, True],
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
    }
    with torch.device("meta"):
        wan = AutoencoderKLWan(**shape, patch_size=2, scale_factor_spatial=16).bfloat16()
        sound, picture = AutoencoderOobleck(), torch.empty(1, 3, 1, 512, 896, dtype=torch.bfloat16)
        latent, latents = torch.empty(1, 48, 1, 32, 56, dtype=torch.bfloat16), torch.empty(1, 64, 126)
    assert sum(p.numel() for p in wan.parameters()) == plans.WAN
    assert sum(p.numel() for p in sound.parameters()) == plans.OOBLECK
    past = [None] * sum(type(module).__name__ == "WanCausalConv3d" for module in wan.decoder.modules())
    frames = [True, False, False]
    cases = [
        (plans.WAN_ENCODE, 512 * 896, 1, lambda: wan.encode(picture)),
        (
            plans.WAN_DECODE,
            512 * 896,
            9,
            lambda: [wan.decoder(latent, past, [0], first_chunk=f) for f in frames],
        ),
        (plans.OOBLECK_DECODE, 126, 1, lambda: sound.decode(latents)),
    ]
    for constant, count, repeats, run in cases:
        found = measure(run)
        assert found.matrices == pytest.approx(constant.matrices * count * repeats, rel=0.02)
        assert found.moved == pytest.approx(constant.moved * count * repeats, rel=0.02)
        assert found.held == pytest.approx(constant.held * count, rel=0.02)


def test_the_targets():
    """1080p, 5 s: within 80 GB by swapping, or all at once in fp8; within 24 GB with layers that visit."""
    swapped, at_once = planned(known("h100", HOST)), planned(known("h100", HOST), "fp8")
    assert swapped.refusal is None and swapped.policy.swap and swapped.policy.streamed == (0, 0)
    assert at_once.refusal is None and not at_once.policy.swap and at_once.peak < 80 * GB
    small = planned(known("rtx4090", HOST))
    assert small.refusal is None and small.peak < 24 * GB and 0 < small.policy.streamed[1] < 40
    assert small.host < 32 * GB and small.policy.strips > 1
    assert planned(of_memory(16, HOST)).refusal is None
    assert planned(known("h200", HOST)).policy == plans.Policy()


def test_seconds_are_near_those_that_are_published():
    """2.0 s and 38.4 s for the same work, fused, on the same card: an eager plan is slower, and not by a factor."""
    for size, published in (((448, 256), 1.6), ((1920, 1080), 32.6)):
        stages = {stage.name: stage.seconds for stage in planned(known("h100", HOST), size=size).stages}
        assert published < stages["denoise"] + stages.get("upscale", 0) < 2 * published


def test_fewest_layers_visit():
    device = known("rtx4090", HOST)
    made = planned(device)
    for which in (0, 1):
        fewer = list(made.policy.streamed)
        fewer[which] = max(0, fewer[which] - 1)
        less = under(dataclasses.replace(made.policy, streamed=tuple(fewer)), made.job, device)
        assert less.refusal is not None and "GB are free" in less.refusal


@settings(max_examples=15)
@given(st.floats(4, 150), st.floats(0, 60), st.sampled_from([(448, 256), (896, 512)]))
def test_an_accepted_plan_fits_and_more_memory_never_hurts(memory, more, size):
    small, large = (
        planned(of_memory(memory, HOST), size=size),
        planned(of_memory(memory + more, HOST), size=size),
    )
    for made in (small, large):
        assert (made.refusal is None) == (made.peak <= made.device.free)
    assert small.refusal is not None or large.refusal is None


def test_refusals_say_what_would_fit():
    asked = {"seconds": 15.0, "size": (896, 512)}
    small, tight = planned(of_memory(11), **asked), planned(of_memory(11.6), **asked)
    assert "a GPU of 11 GB is too small: to upscale takes" in small.refusal
    assert small.refusal.endswith("would fit: --size 448x256, or --seconds 10")
    for change in ({"size": (448, 256)}, {"seconds": 10.0}):
        assert planned(of_memory(11), **asked | change).refusal is None
    assert "would fit: --weights fp8, or" in tight.refusal
    assert planned(of_memory(11.6), "fp8", **asked).refusal is None
    assert "nothing that this model makes would fit" in planned(of_memory(2), **asked).refusal


def test_the_host_must_hold_what_waits():
    assert "of its own memory would hold what waits" in planned(known("rtx4090", 8 * GB)).refusal


def test_a_small_gpu_leaves_the_text_encoder_on_the_host():
    made = planned(of_memory(12, HOST), size=(448, 256))
    assert made.policy.text_on_host and made.stages[0].peak == 0 and made.refusal is None
    assert made.seconds is None and "the text encoder stays on the host" in str(made.policy)


def test_what_is_given_is_encoded_and_guidance_doubles_passes(tmp_path):
    plain = job(request(), NOWHERE, "distill")
    full = job(
        request(first_frame="a.png", audio="a.wav", guidance=5.0, upscale_guidance=2.0), NOWHERE, "base"
    )
    assert (full.passes, full.fine_passes, full.prompts) == (2 * plain.passes, 2 * plain.fine_passes, 2)
    names = [stage.name for stage in plan(full, known("h200", HOST)).stages]
    assert names[1:3] == ["encode the picture", "encode the sound"]
    assert "encode the picture" not in [stage.name for stage in plan(plain, known("h200", HOST)).stages]


def test_latents_that_a_sampler_holds_are_counted():
    """Beside them: enlarged latents, tokens that the network reads, its velocity, and that without guidance."""
    shape, most, counter = (1, 48, 4, 8, 8), 0, _Counter()

    def velocity(state, sigma):
        nonlocal most
        most = max(most, counter.held)
        return {"video": torch.empty_like(state["video"])}

    with counter, torch.no_grad():
        given, there = torch.empty(shape, device="meta"), torch.ones(4, 1, 1, dtype=torch.bool, device="meta")
        samplers.unipc(
            velocity,
            {"video": torch.empty(shape, device="meta")},
            {"video": schedules.shifted(5)},
            project=lambda state: {"video": torch.where(there, given, state["video"])},
        )
    assert most == pytest.approx((plans.LATENTS - 4) * given.nbytes, abs=100)


@pytest.mark.parametrize("strips", [1, 2])
def test_memory_of_decoding_is_what_lives_at_once(strips):
    """A whole clip on tensors without memory, its pixels made as generation makes them."""
    asked = job(request(size=(896, 512)), NOWHERE, "distill")
    with torch.device("meta"):
        turbo = in_strips(TurboDecoder(TurboConfig()).bfloat16(), strips)
        latents = torch.empty(1, 48, asked.grid.frames, 32, 56)
    counter = _Counter()
    with counter:
        for piece in turbo.stream(latents):
            pixels = (piece[0] * 0.5 + 0.5).clamp(0, 1) * 255
            pixels.byte()
    assert counter.most == pytest.approx(plans._decoding(asked, strips).work.held, rel=0.05)


def test_several_processes_share_the_work():
    one = known("h100", HOST)
    four = dataclasses.replace(one, processes=4)
    alone, together = planned(one), planned(four)
    times = [{stage.name: stage.seconds for stage in made.stages}["upscale"] for made in (alone, together)]
    peaks = [{stage.name: stage.peak for stage in made.stages}["upscale"] for made in (alone, together)]
    assert times[0] / 4 < times[1] < times[0] / 3 and peaks[1] < peaks[0]


def test_what_processes_exchange_takes_time_of_its_own():
    """Queries and what attention makes of them, keys and values of each token, to three of four processes."""
    linked = dataclasses.replace(known("h100", HOST), processes=4)
    slow = dataclasses.replace(linked, copying=linked.copying / 10)
    asked = job(request(), NOWHERE, "distill")
    network = asked.fine
    tokens = asked.fine_grid.tokens + asked.audio_steps + asked.words
    a_token = 40 * 2 * (2 * network.hidden_size + 2 * network.num_query_groups * network.head_dim)
    bytes_of_one = asked.fine_passes * a_token * tokens / 4 * 3 / 4
    times = [
        {stage.name: stage.seconds for stage in under(plans.Policy(), asked, device).stages}["upscale"]
        for device in (linked, slow)
    ]
    assert times[1] - times[0] == pytest.approx(bytes_of_one * (1 / slow.copying - 1 / linked.copying))


def test_more_devices_than_heads_cannot_share():
    with pytest.raises(ValueError, match="9 processes cannot share the 8 key-value heads"):
        planned(dataclasses.replace(known("h100"), processes=9))

"""What a clip will take, before it is begun: memory and seconds of every stage, and the policy that makes it fit.

Policies change where weights wait and what is computed at once, not the numbers, so that one seed is one clip on
every machine. In the order in which they are tried: all parts stay on the device; one at a time; as many layers of
the denoiser as must visit it from host memory. Pictures are decoded in as many strips as must be. Weights of one byte
(`quantise`) do change the clip a little, so they are only used where they are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, cast

import torch

from happyhorse import sizes
from happyhorse.codec.turbo import STRIDE_T
from happyhorse.engine.device import GB, Device
from happyhorse.engine.job import Job, job
from happyhorse.engine.offload import SLOTS, visitors
from happyhorse.engine.quantise import WEIGHT_BYTES, Weights
from happyhorse.engine.strips import PIECE, widest
from happyhorse.engine.ulysses import check_heads
from happyhorse.engine.work import Work, network, window_of_turbo
from happyhorse.model.horse import Horse
from happyhorse.model.layers import Layer, ModalLinear
from happyhorse.model.presets import HorseConfig
from happyhorse.values import HAPPYHORSE_15B, Format, Request

SPARE = GB // 2  # bytes that libraries take for themselves
SPLIT = 1.06  # of what is held: room that is too fragmented to be used
X264 = 6e-8  # seconds of a core per pixel, crf 17, preset medium
HOST_RATE = 2e11  # FLOP/s of a text encoder on the host

# Codecs: parameters, and the work per pixel of one frame or per latent step of sound. Tests hold these against the
# modules of diffusers.
WAN = 704_688_668
WAN_ENCODE, WAN_DECODE = Work(4.7e6, 0.0, 18.8e3, 985), Work(18.9e6, 0.0, 55.5e3, 10_780)
OOBLECK, OOBLECK_DECODE = 156_112_514, Work(5.05e9, 0.0, 177e6, 7_200_000)
STRIPS = (1, 2, 4, 8, 16)  # more hardly save memory
TEXT_HELD = GB // 4
LATENTS = 13  # fp32 latents that are held while the network runs: UniPC's history, what is given, velocities
TURBO, TURBO_WINDOW = 107_100_000, 7  # latent frames that a window gives; one more on either side is read


@dataclass(frozen=True)
class Policy:
    """Where things are: matrices stored as `weights`; with `swap` only the part at work is on the device; `streamed`
    layers of the base and of the super-resolution network visit it; pictures are decoded in `strips`; the text
    encoder stays on the host with `text_on_host`.
    """

    weights: Weights = "bf16"
    swap: bool = False
    streamed: tuple[int, int] = (0, 0)
    strips: int = 1
    text_on_host: bool = False

    def __str__(self) -> str:
        words = [f"{self.weights} weights"]
        words += ["one part on the device at a time" if self.swap else "all parts stay on the device"]
        for what, count in zip(("base", "super-resolution"), self.streamed, strict=True):
            words += [f"{count} layers of the {what} network visit it"] * (count > 0)
        words += [f"the picture is decoded in {self.strips} strips"] * (self.strips > 1)
        words += ["the text encoder stays on the host"] * self.text_on_host
        return "; ".join(words)


@dataclass(frozen=True)
class Stage:
    """One stage: `peak` bytes on the device, `seconds` of work (None: unknown), bytes of weights that it `reads` from
    the disk before.
    """

    name: str
    peak: int
    seconds: float | None
    reads: int


@dataclass(frozen=True)
class Plan:
    """What is to come, on each of `device.processes` devices. `host` bytes of host memory hold the layers that wait for
    one of them. `refusal` is None where it can be done.
    """

    job: Job
    device: Device
    policy: Policy
    stages: tuple[Stage, ...]
    host: int
    refusal: str | None

    @property
    def peak(self) -> int:
        """The most bytes on the device."""
        return max(stage.peak for stage in self.stages)

    @property
    def seconds(self) -> float | None:
        """Seconds of all stages without reading weights, or None where they are unknown."""
        every = [stage.seconds for stage in self.stages]
        return None if None in every else sum(cast("list[float]", every))

    def facts(self) -> dict[str, Any]:
        """As plain values, which `happyhorse plan --json` prints and the server answers: bytes, and seconds or None."""
        policy = self.policy
        return {
            "device": self.device.name,
            "devices": self.device.processes,
            "memory": self.device.memory,
            "free": self.device.free,
            "fits": self.refusal is None,
            "refusal": self.refusal,
            "policy": str(policy),
            "weights": policy.weights,
            "swap": policy.swap,
            "streamed": list(policy.streamed),
            "strips": policy.strips,
            "peak": self.peak,
            "host": self.host,
            "seconds": self.seconds,
            "stages": [
                {"stage": stage.name, "peak": stage.peak, "seconds": stage.seconds, "reads": stage.reads}
                for stage in self.stages
            ],
        }


def plan(job: Job, device: Device, weights: Weights = "bf16") -> Plan:
    """The first policy under which `job` can finish on `device`; where there is none the last, with a refusal."""
    made = None
    for policy in _policies(job, device, weights):
        made = under(policy, job, device)
        if made.refusal is None:
            break
    assert made is not None
    return made


def ask(
    request: Request,
    folder: Path,
    variant: str,
    device: Device,
    weights: Weights = "bf16",
    format: Format = HAPPYHORSE_15B,
) -> Plan:
    """The plan of `request` with the model in `folder`; a refusal says what would fit instead.

    Raises `ValueError` as `job` does, and for more devices than a network has key-value heads to share among them.
    """
    asked = job(request, folder, variant, format)
    for config in (asked.base, asked.fine or asked.base):
        check_heads(device.processes, config.num_query_groups)
    made = plan(asked, device, weights)
    if made.refusal is None:
        return made

    def fits(weights: Weights = weights, **changes: Any) -> bool:
        other = job(replace(request, **changes), folder, variant, format)
        return plan(other, device, weights).refusal is None

    remedies = ["--weights fp8"] if weights == "bf16" and fits(weights="fp8") else []
    own = sizes.find(request.width, request.height)
    for size in reversed(sizes.SIZES):
        smaller = own and size.ratio == own.ratio and size.picture < own.picture
        if smaller and fits(width=size.picture[0], height=size.picture[1]):
            remedies.append("--size {}x{}".format(*size.picture))
            break
    shorter = next((s for s in (10, 8, 5, 4, 3) if s < request.seconds and fits(seconds=s)), None)
    remedies += [f"--seconds {shorter}"] if shorter else []
    would = f"would fit: {', or '.join(remedies)}" if remedies else "nothing that this model makes would fit"
    return replace(made, refusal=f"{made.refusal}; {would}")


def _policies(job: Job, device: Device, weights: Weights) -> Iterator[Policy]:
    on_host = not device.is_host and _text(job).peak > device.free
    longer = max(job.width, job.height) // 16
    useful = [1]
    useful += [n for n in STRIPS[1:] if job.small_decoder and widest(longer, n) < widest(longer, useful[-1])]
    for swap in (False, True):
        for strips in useful:
            yield Policy(weights, swap, strips=strips, text_on_host=on_host)
    if not device.is_host:  # else layers would visit the memory that they wait in
        strips = next((n for n in useful if _decoding(job, n).peak <= device.free), useful[-1])
        away = _visits("denoise", job, weights, device), _visits("upscale", job, weights, device)
        yield Policy(weights, True, away, strips, on_host)


def _visits(name: str, job: Job, weights: Weights, device: Device) -> int:
    """The fewest layers that must be away for the network of a stage to fit."""
    config = job.fine if name == "upscale" else job.base
    for count in (0, *range(SLOTS, config.num_layers + 1)) if config else ():
        need = _network_need(name, job, Policy(weights, True, (count, count)), device)
        if need.peak <= device.free:
            return count
    return config.num_layers if config else 0


def under(policy: Policy, job: Job, device: Device) -> Plan:
    """The plan of `job` on `device` under one policy."""
    needs = [_text(job)]
    pixels = job.width * job.height
    if job.picture:
        needs.append(_Need("encode the picture", "video", 2 * WAN, _each(WAN_ENCODE, pixels)))
    if job.sound:
        needs.append(_Need("encode the sound", "audio", 4 * OOBLECK, _each(OOBLECK_DECODE, job.audio_steps)))
    needs.append(_network_need("denoise", job, policy, device))
    if job.fine:
        needs.append(_network_need("upscale", job, policy, device))
    needs.append(_Need("decode the sound", "audio", 4 * OOBLECK, _each(OOBLECK_DECODE, job.audio_steps)))
    needs.append(_decoding(job, policy.strips))

    away = {"text"} if policy.text_on_host else set()
    resident = sum({need.part: need.weights for need in needs if need.part not in away}.values())
    stages, seen = [], set()
    for need in needs:
        peak, seconds = need.peak + (0 if policy.swap else resident - need.weights), need.seconds(device)
        if need.part in away:
            peak, seconds = 0, None if seconds is None else need.work.flops / HOST_RATE
        read = 0 if need.part in seen and not policy.swap else need.stored or need.weights
        stages.append(Stage(need.name, peak, seconds, read))
        seen.add(need.part)
    encoding = X264 * pixels * job.frames / max(1, min(8, torch.get_num_threads()))  # beside the decoding
    decoding = stages[-1]
    if decoding.seconds is not None:
        stages.append(Stage("encode the file", 0, max(0.0, encoding - decoding.seconds), 0))
    host = max(*(need.waiting for need in needs), 2 * job.text_numbers if away else 0)
    return Plan(job, device, policy, tuple(stages), host, _refusal(stages, host, device))


def _refusal(stages: list[Stage], host: int, device: Device) -> str | None:
    worst = max(stages, key=lambda stage: stage.peak)
    if worst.peak > device.free:
        return (
            f"{device.name} is too small: to {worst.name} takes {worst.peak / GB:.1f} GB of its memory, and "
            f"{device.free / GB:.1f} GB are free"
        )
    if host + GB > device.host:
        return (
            f"this machine is too small: {host / GB:.1f} GB of its own memory would hold what waits for the device, "
            f"and {device.host / GB:.1f} GB are free"
        )
    return None


@dataclass(frozen=True)
class _Need:
    """What a stage takes under a policy. Bytes of its part: on the device, waiting on the host, copied from there while
    others compute, exchanged with other devices while nothing computes, stored on the disk (0: as on the device).
    """

    name: str
    part: str
    weights: int
    work: Work
    waiting: int = 0
    copied: float = 0.0
    exchanged: float = 0.0
    stored: int = 0

    @property
    def peak(self) -> int:
        """The most bytes on the device while nothing else is there."""
        return SPARE + int(self.weights + SPLIT * self.work.held)

    def seconds(self, device: Device) -> float | None:
        """Seconds of work on `device`, or None."""
        if device.matrices is None or device.attention is None or device.moving is None:
            return None
        work = self.work
        busy = (
            work.matrices / device.matrices + work.attention / device.attention + work.moved / device.moving
        )
        copying, exchanging = (
            amount / device.copying if device.copying else 0.0 for amount in (self.copied, self.exchanged)
        )
        return max(busy, work.calls * device.call, copying) + exchanging


def _network_need(name: str, job: Job, policy: Policy, device: Device) -> _Need:
    fine = name == "upscale"
    config, grid, passes = (
        (job.fine, job.fine_grid, job.fine_passes) if fine else (job.base, job.grid, job.passes)
    )
    assert config and grid
    n = device.processes
    work = network(config, grid, job.audio_steps, job.words, n)
    on_device, copied = weight_bytes(config, policy.weights, policy.streamed[fine])
    waiting, stored = copied, weight_bytes(config, "bf16", 0)[0]
    held = work.held + LATENTS * 4 * config.video_in_channels * grid.tokens
    if policy.weights != "bf16":  # loaded in bf16; then each matrix is read, written as bf16, and read again
        waiting = stored
        widest = max(2 * config.mlp_width(i) for i in range(config.num_layers)) * config.hidden_size
        work, held = replace(work, moved=work.moved + waiting * 1.5), held + 4 * widest
    # of each token: queries, keys and values, and what attention makes of them
    numbers = 2 * (config.num_heads + config.num_query_groups) * config.head_dim * config.num_layers
    tokens = (grid.tokens + job.audio_steps + job.words) / n
    exchanged = 2 * numbers * tokens * (n - 1) / n
    work = replace(work, held=held) * passes
    return _Need(name, name, on_device, work, waiting, copied * passes, exchanged * passes, stored)


def _each(work: Work, times: int) -> Work:
    """Work per pixel or step, memory included."""
    return replace(work * times, held=work.held * times)


def _text(job: Job) -> _Need:
    work = Work(matrices=job.text_flops, held=TEXT_HELD)
    return _Need("read the prompt", "text", 2 * job.text_numbers, work)


def _decoding(job: Job, strips: int) -> _Need:
    """Windows of the small decoder, which reads one latent frame more on either side; or frames of the other one."""
    if not job.small_decoder:
        work = _each(WAN_DECODE, job.width * job.height) * job.frames
        return _Need("decode the picture", "video", 2 * WAN, work)
    longer, shorter = sorted((job.width // 16, job.height // 16), reverse=True)
    part = window_of_turbo(TURBO_WINDOW + 2, shorter, widest(longer, strips))
    frame = 3 * job.width * job.height  # colours of all its pixels
    joined = 2 * frame * STRIDE_T * (TURBO_WINDOW + 2) if strips > 1 else 0  # in bf16: strips that are done
    last = PIECE if strips > 1 else STRIDE_T * TURBO_WINDOW  # frames still held, in fp32, with their pixels
    work = part * strips * ceil(job.grid.frames / TURBO_WINDOW)
    work = replace(work, held=part.held + joined + 2 * 4 * frame * last)
    return _Need("decode the picture", "turbo", 2 * TURBO, work)


def weight_bytes(config: HorseConfig, weights: Weights, streamed: int) -> tuple[int, int]:
    """Bytes of a network on the device and, of the layers that visit it, on the host."""
    rest, layers = _sizes(config, weights)
    away = [layers[i] for i in visitors(len(layers), streamed)]
    return rest + sum(layers) - sum(away) + (SLOTS * max(away) if away else 0), sum(away)


@cache
def _sizes(config: HorseConfig, weights: Weights) -> tuple[int, list[int]]:
    """Bytes beside the layers, and of each layer."""
    with torch.device("meta"):
        horse = Horse(config)
    rest = sum(tensor.nbytes for key, tensor in horse.state_dict().items() if not key.startswith("block."))
    sizes = []
    for layer in cast("list[Layer]", list(horse.block.layers)):
        matrices = [part.weight for part in layer.modules() if isinstance(part, ModalLinear)]
        width = matrices[0].itemsize if weights == "bf16" else WEIGHT_BYTES[weights]
        others = sum(p.nbytes for p in layer.parameters()) - sum(matrix.nbytes for matrix in matrices)
        sizes.append(others + width * sum(matrix.numel() for matrix in matrices))
    return rest, sizes

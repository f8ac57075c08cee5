"""Release: the weights of a run become a part of the package, with a card that says what they are.

A card is written from the facts that travel inside the checkpoints and from the table that `happyhorse eval` wrote:
nothing in it is typed by hand.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from happyhorse import checkpoint
from happyhorse.codec import latent_version
from happyhorse.generate.load import PACKAGED
from happyhorse.train.recipe import newest_codec

LARGEST_MB = 64.0  # of all released weights together, so that the package stays a quick download


def release(run: Path, name: str, report: Path | None = None, into: Path = PACKAGED) -> list[Path]:
    """Copy the parts of the folder `run` to `into/name` with a card; returns the files written.

    These are codec and denoiser, and student and upscaler where they have been trained. `report` is the Markdown page
    that `happyhorse eval` wrote of this run. An earlier release of that name stays until the new one is whole. Raises
    ValueError where a part is missing, where parts do not belong together, or where the released weights would exceed
    64 MB.
    """
    codec_path, denoiser_path = newest_codec(run), run / "flow" / "denoiser.safetensors"
    others = {
        "denoiser-lora": run / "student" / "student.safetensors",
        "upscaler": run / "upscale" / "upscaler.safetensors",
    }
    paths = {"codec": codec_path, "denoiser": denoiser_path}
    paths |= {kind: path for kind, path in others.items() if path.is_file()}
    loaded = {kind: checkpoint.load(path, kind) for kind, path in paths.items()}
    latents, base = latent_version(str(codec_path)), checkpoint.sha256(denoiser_path)
    for kind, part in loaded.items():
        if kind != "codec" and part.facts.get("codec") != latents:
            raise ValueError(
                f"{paths[kind]} was trained on other latents than those of {codec_path}: train it anew"
            )
        if kind == "denoiser-lora" and part.facts.get("base") != base:
            raise ValueError(
                f"{paths[kind]} is the student of other weights than {denoiser_path}: distil it anew"
            )
    card = _card(name, loaded, report.read_text(encoding="utf-8") if report else None)
    folder, new = into / name, into / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)  # of a release that was killed
    parts = [path for file in paths.values() for path in checkpoint.files(file)]
    kept = (path for path in into.rglob("*.safetensors") if folder not in path.parents)
    megabytes = sum(path.stat().st_size for path in (*parts, *kept)) / 1e6
    if megabytes > LARGEST_MB:
        raise ValueError(
            f"the released weights are {megabytes:.0f} MB together; at most {LARGEST_MB:.0f} fit a package"
        )
    new.mkdir(parents=True)
    for path in parts:
        shutil.copyfile(path, new / path.name)
    (new / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return [*(folder / path.name for path in parts), folder / "README.md"]


KINDS = {
    "codec": "codec",
    "denoiser": "denoiser",
    "denoiser-lora": "student, an adapter of the denoiser",
    "upscaler": "super-resolution",
}


def _card(name: str, loaded: Mapping[str, checkpoint.Checkpoint], report: str | None) -> str:
    codec, facts = loaded["codec"], loaded["denoiser"].facts
    loop, world = facts["recipe"]["loop"], facts["world"]
    counts = {
        KINDS[kind]: sum(t.numel() for t in part.weights.values()) / 1e6 for kind, part in loaded.items()
    }
    lines = [
        f"# {name}",
        "",
        f"Joint audio-video model of the happyhorse world: {world['width']}x{world['height']}, {world['seconds']:g} s, "
        "25 frames per second, 16 kHz mono. Licence: Apache-2.0. Written by `happyhorse release`.",
        "",
        "| part | parameters, millions |",
        "|---|--:|",
        *(f"| {kind} | {count:.1f} |" for kind, count in counts.items()),
        "",
        "## Training",
        "",
        f"- Denoiser: {facts['steps']} steps of {loop['batch']} clips, from {facts['recipe']['clips']} world seeds, "
        f"{facts['ranks']} process(es).",
        f"- Started from: {facts.get('started_from') or 'random weights'}. Latent space: {facts['codec']}.",
        f"- Words it knows: {len(facts['vocabulary'])}.",
    ]
    for half in ("video", "audio"):
        own = codec.facts.get(half, {})
        if "steps" in own:
            lines.append(
                f"- Codec, {half}: {own['steps']} steps; the linear part keeps {own['variance_kept']:.2%} of the "
                "variance."
            )
    if "decoder" in codec.facts:
        own = codec.facts["decoder"]
        lines.append(
            f"- Decoder of the codec, on clips that the model made anew: {own['steps']} steps of "
            f"{own['recipe']['loop']['batch']} crops."
        )
    if "denoiser-lora" in loaded:
        own = loaded["denoiser-lora"].facts
        lines.append(
            f"- Student: {own['rung']}, {own['steps']} steps; it samples in {own['defaults']['steps']} steps "
            f"({own['defaults']['sampler']}) without guidance."
        )
    if "upscaler" in loaded:
        own = loaded["upscaler"].facts
        lines.append(
            f"- Super-resolution to {own['world']['width']}x{own['world']['height']}: {own['steps']} steps of "
            f"{own['recipe']['loop']['batch']} crops; it samples in {own['sampler']['steps']} steps."
        )
    if report:
        measured = (line for line in report.splitlines() if not line.startswith("!["))
        lines += [
            "",
            "## Measured",
            "",
            *(f"##{line}" if line.startswith("#") else line for line in measured),
        ]
    return "\n".join(lines) + "\n"

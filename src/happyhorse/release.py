"""Release: the weights of a run become a part of the package, with a card that says what they are.

A card is written from the facts that travel inside the checkpoints and from the table that `happyhorse eval` wrote:
nothing in it is typed by hand.
"""

import shutil
from pathlib import Path

from happyhorse import checkpoint
from happyhorse.codec import latent_version
from happyhorse.generate.load import PACKAGED

LARGEST_MB = 64.0  # of all released weights together, so that the package stays a quick download


def release(run: Path, name: str, report: Path | None = None, into: Path = PACKAGED) -> list[Path]:
    """Copy codec and denoiser of the folder `run` to `into/name` with a card; returns the files written.

    `report` is the Markdown page that `happyhorse eval` wrote of this run. Raises ValueError where a
    part is missing, where the denoiser was trained on latents of another codec, or where the released weights would
    exceed 64 MB.
    """
    codec_path, denoiser_path = run / "codec.safetensors", run / "flow" / "denoiser.safetensors"
    codec, denoiser = checkpoint.load(codec_path, "codec"), checkpoint.load(denoiser_path, "denoiser")
    if denoiser.facts.get("codec") != latent_version(str(codec_path)):
        raise ValueError(
            f"{denoiser_path} was trained on other latents than those of {codec_path}: train it anew"
        )
    folder = into / name
    parts = [
        path
        for whole in (codec_path, denoiser_path)
        for path in sorted([whole, *whole.parent.glob(f"{whole.stem}-[0-9]*{whole.suffix}")])
    ]
    others = (path for path in into.rglob("*.safetensors") if folder not in path.parents)
    megabytes = sum(path.stat().st_size for path in (*parts, *others)) / 1e6
    if megabytes > LARGEST_MB:
        raise ValueError(
            f"the released weights are {megabytes:.0f} MB together; at most {LARGEST_MB:.0f} fit a package"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [Path(shutil.copyfile(path, folder / path.name)) for path in parts]
    card = folder / "README.md"
    card.write_text(_card(name, codec, denoiser, report.read_text() if report else None))
    return [*files, card]


def _card(
    name: str, codec: checkpoint.Checkpoint, denoiser: checkpoint.Checkpoint, report: str | None
) -> str:
    facts = denoiser.facts
    loop, world = facts["recipe"]["loop"], facts["world"]
    counts = {part.kind: sum(t.numel() for t in part.weights.values()) / 1e6 for part in (denoiser, codec)}
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
    if report:
        measured = (line for line in report.splitlines() if not line.startswith("!["))
        lines += [
            "",
            "## Measured",
            "",
            *(f"##{line}" if line.startswith("#") else line for line in measured),
        ]
    return "\n".join(lines) + "\n"

"""A clip in a notebook: one self-contained piece of HTML that plays."""

import base64
import html as markup
import tempfile
from pathlib import Path

from happyhorse.media import write
from happyhorse.values import Clip


def html(clip: Clip) -> str:
    """HTML with the clip as an embedded MP4, playing in a loop, with controls, beneath it what was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        data = base64.b64encode(write(clip, Path(folder) / "clip.mp4").read_bytes()).decode()
    zoom = max(1, 448 // clip.width)
    asked = f"{clip.request.prompt} (seed {clip.request.seed})" if clip.request else f"{clip.seconds:g} s"
    return (
        f'<figure style="margin:0"><video controls loop playsinline width="{zoom * clip.width}" '
        f'height="{zoom * clip.height}" src="data:video/mp4;base64,{data}"></video>'
        f"<figcaption>{markup.escape(asked)}</figcaption></figure>"
    )

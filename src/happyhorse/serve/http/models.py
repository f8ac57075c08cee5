"""The models that a service serves: by which names, what they make, and what one can ask them for."""

import re
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from happyhorse import sizes
from happyhorse.generate.installed import find_published, public_name
from happyhorse.generate.learnt import LEARNT
from happyhorse.generate.load import load, parts_of
from happyhorse.generate.model import Model
from happyhorse.serve.http.errors import ApiError
from happyhorse.world import scene

# Names that clients of other services send; they mean the default model.
ALIASES = re.compile(
    r"sora-2(-pro)?(-\d{4}-\d{2}-\d{2})?|happyhorse-1\.\d-(t2v|i2v|r2v|video-edit)|wanx?\d[\w.-]*|"
    r"(doubao-|dreamina-)?seedance-[\w.-]+"
)
EXAMPLES = 12  # prompts that a page can suggest


class Models:
    """What is served, by the names that clients use; the first one is the default. Loading is `load`'s."""

    def __init__(self, models: tuple[str, ...], loader: Callable[[str], Model] = load) -> None:
        self._paths = {public_name(model): model for model in models}
        self._load = cache(loader)

    @property
    def names(self) -> list[str]:
        """Names of the models, the default one first."""
        return list(self._paths)

    def find(self, name: str | None) -> tuple[str, Model]:
        """The path of a model by which a worker loads it, and the model. Raises ApiError 404."""
        chosen = self.names[0] if name is None or ALIASES.fullmatch(name) else name
        if chosen not in self._paths:
            raise ApiError(
                404,
                "model_not_found",
                f"there is no model {chosen[:80]!r}; this server has {', '.join(self.names)}",
                "model",
            )
        return self._paths[chosen], self._load(self._paths[chosen])

    def load_all(self) -> None:
        """Load every model. Raises ValueError where one is missing."""
        for path in self._paths.values():
            self._load(path)

    def describe(self, name: str) -> dict[str, Any]:
        """What can be asked of a model, for a page or a program. Raises ApiError 404."""
        _, model = self.find(name)
        format, open_request = model.format, model.request("anything")
        trained = {"width", "height", "seconds", "steps", "guidance", "audio_guidance", "sampler"}
        return {
            "fps": format.fps,
            "rate": format.rate,
            "seconds": list(format.lengths),
            "sides": None if format.tabled else list(format.sides),
            "sizes": ["{}x{}".format(*size.picture) for size in sizes.SIZES]
            if format.tabled
            else self._common(model),
            "defaults": {key: getattr(open_request, key) for key in sorted(trained)},
            "takes": takes(model),
            "examples": self.examples if not format.tabled else [],
        }

    def _common(self, model: Model) -> list[str]:
        from happyhorse.serve.http.sizes import RATIOS, named

        found = (named(model, None, ratio, ("", "")) for ratio in RATIOS[:5])
        return list(dict.fromkeys("{}x{}".format(*size) for size in found))

    @cached_property
    def examples(self) -> list[str]:
        """Prompts of the world that the small model knows, one of each family."""
        prompts = [scene.sample(1, families=[family]).captions[0] for family in scene.available()]
        return prompts[:EXAMPLES]


def takes(model: Model) -> list[str]:
    """What a model can be given, by fields of a request; what takes a training of its own only where it had that."""
    if model.format.tabled:
        return ["prompt", "first_frame", "audio"]
    learnt = [field for field in LEARNT if field in model.facts.get("learnt", ())]
    own = ["last_frame", "key_frames", "video", "extend", "retake", "language"]
    return ["prompt", "first_frame", "audio", *own, *learnt]


def check_serveable(models: tuple[str, ...]) -> None:
    """Raise ValueError where one of `models` is not there, or two would have one name. Nothing is loaded."""
    for model in models:
        if find_published(model) is None:
            parts_of(model)
    names = [public_name(str(Path(model))) for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name!r}; serve one of them, or rename a folder")

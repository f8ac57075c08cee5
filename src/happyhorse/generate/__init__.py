"""USE: a prompt becomes a clip. One file per stage; `pipeline` composes them and reads as the life of a clip.

The package is also the function: `happyhorse.generate("a red ball bounces")` is `pipeline.generate`, because
importing any stage makes the name `happyhorse.generate` this module, and calling it should work either way.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from happyhorse.generate.pipeline import generate

        return generate(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable

"""What `make shapes` checks calls with: beartype, on the arguments and results whose shapes are annotated.

Other arguments are left to the messages of the package, which say more, and to protocols, which say too little at run
time. A whole number passes where a float is due, as it does for every static checker.
"""

from collections.abc import Callable
from typing import Any, get_args

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

CONF = BeartypeConf(is_pep484_tower=True)


def has_shape(hint: Any) -> bool:
    """Whether a jaxtyping annotation is in a hint, or in one of its parts."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its shaped arguments and results checked at each call; itself where it has none."""
    hints = {name: hint for name, hint in function.__annotations__.items() if has_shape(hint)}
    function.__annotations__ = hints
    return beartype(conf=CONF)(function) if hints else function

"""The checker with which `make shapes` runs the tests: jaxtyping's shapes, and an int where a float is due, as in Python."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))

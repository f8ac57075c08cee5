"""`python -m happyhorse` is the command `happyhorse`."""

from happyhorse.cli import main

main()

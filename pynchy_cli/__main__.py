"""`python -m pynchy_cli` is `pynchy`."""

from pynchy_cli.cli import main

main()

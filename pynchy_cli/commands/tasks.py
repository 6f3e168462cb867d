"""`pynchy tasks`: adds, shows and changes them."""

from __future__ import annotations

import typer

app = typer.Typer(help="Add, list, change and end them.", no_args_is_help=True)

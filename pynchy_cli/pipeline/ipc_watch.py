"""Carry out what agents ask for, as far as they may. This module only gives the loop the desk."""

from __future__ import annotations

from typing import Any

from pynchy_cli.context import Context
from pynchy_cli.ipc.desk import Desk

SINGLE = True


def make(context: Context, options: dict[str, Any]) -> Desk:
    """The stage."""
    return Desk(context)

"""The library that speaks WhatsApp, neonize: a Go program in a shared object, with Python around
it. It is loaded when a connection is held or an account paired, and by nothing else."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import ParamSpec, TypeVar

from pynchy_cli.errors import ChannelBroken

P = ParamSpec("P")
T = TypeVar("T")

INSTALL = 'Install it: pip install "pynchy[whatsapp]"'


def load() -> None:
    """Import neonize, leaving the logging as it is. Raises ChannelBroken where it isn't there, or
    can't be loaded."""
    if "neonize.aioze.client" in sys.modules:
        return
    _require()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves a process to itself
            import neonize.aioze.client  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        hint = " It needs libmagic1 (apt install libmagic1)." if "magic" in str(error) else ""
        raise ChannelBroken(f"neonize can't be loaded: {error}.{hint} {INSTALL}.") from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _require() -> None:
    """See that it is there with its shared object; it would fetch a missing one from the net."""
    spec = importlib.util.find_spec("neonize")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise ChannelBroken(f"WhatsApp needs the package neonize, which isn't there. {INSTALL}.")
    if not any(Path(folders[0]).glob("neonize-*")):
        raise ChannelBroken(f"neonize has no shared object for this machine. {INSTALL}.")


class DaemonThreads(ThreadPoolExecutor):
    """A thread for each call, for which nobody waits at the end of the process: a call into Go can
    block for as long as it likes."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a thread of its own."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as raised:  # noqa: BLE001 - an executor's own: the waiter gets it
                future.set_exception(raised)
            else:
                future.set_result(result)

        Thread(target=call, name="whatsapp-call", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """There is nothing to be waited for."""

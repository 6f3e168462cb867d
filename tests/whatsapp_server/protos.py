"""The messages of WhatsApp's protocol, as the client library's package defines them.

Importing that package would load its Go library, 70 MB; the definitions alone import each other
from a folder of theirs, and so they are imported here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def _module(name: str) -> Any:
    package = find_spec("neonize")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("The tests' WhatsApp needs neonize's definitions: make setup")
    folder = f"{package.submodule_search_locations[0]}/proto"
    if folder not in sys.path:
        sys.path.append(folder)
    return import_module(name)


adv = _module("waAdv.WAAdv_pb2")
cert = _module("waCert.WACert_pb2")
e2e = _module("waE2E.WAWebProtobufsE2E_pb2")
handshake = _module("waWa6.WAWebProtobufsWa6_pb2")
history = _module("waHistorySync.WAWebProtobufsHistorySync_pb2")
web = _module("waWeb.WAWebProtobufsWeb_pb2")

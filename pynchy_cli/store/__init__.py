"""The SQLite file: the only SQL in the tree. A module for each family of tables; functions
take a connection, and those that write are called inside `Store.atomic()`."""

from pynchy_cli.store.connection import Store

__all__ = ["Store"]

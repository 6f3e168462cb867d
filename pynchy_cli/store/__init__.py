"""The SQLite file: the only SQL in the tree. A module for each family of tables; functions
take a connection, and those that write are called inside `Store.atomic()`."""

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`

if TYPE_CHECKING:
    from pynchy_cli.store.connection import Store

__all__ = ["Store"]


def __getattr__(name: str) -> object:
    """`Store` when somebody asks for it: `pynchy status` needs none of what it loads."""
    if name == "Store":
        from pynchy_cli.store.connection import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

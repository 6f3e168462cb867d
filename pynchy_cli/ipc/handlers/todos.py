"""`list_todos`, `add_todo`, `complete_todo`: a group's own notes of what is to be done."""

from __future__ import annotations

from typing import Any

from agent_runner.protocol import requests
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.store import todos
from pynchy_cli.store.connection import Connection


def _list(db: Connection, asked: Asked[requests.ListTodos], now: str, prepared: Any) -> Result:
    found = todos.all(db, asked.group.folder, asked.request.include_done, limit=todos.SHOWN + 1)
    return {
        "todos": [
            {
                "id": one.id,
                "content": one.content,
                "done": one.done,
                "created_at": one.created_at,
                **({"done_at": one.done_at} if one.done else {}),
            }
            for one in found[-todos.SHOWN :]
        ],
        "more": len(found) > todos.SHOWN,
    }


def _add(db: Connection, asked: Asked[requests.AddTodo], now: str, prepared: Any) -> Result:
    return {"id": todos.add(db, asked.group.folder, asked.request.content, now)}


def _complete(
    db: Connection, asked: Asked[requests.CompleteTodo], now: str, prepared: Any
) -> Result:
    id = asked.request.todo_id
    if not todos.complete(db, asked.group.folder, id, now):
        raise RequestRefused("todo_unknown", f"There is no todo {id} of this group.")
    return {"id": id, "done": True}


EFFECTS: dict[str, Effect[Any]] = {
    "list_todos": Effect(rows=_list, summary=lambda request: "List what is to be done."),
    "add_todo": Effect(rows=_add, summary=lambda request: f"Note a todo: {request.content}"),
    "complete_todo": Effect(
        rows=_complete, summary=lambda request: f"Tick off the todo {request.todo_id}."
    ),
}

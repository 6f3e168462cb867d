"""An agent has its conversation begin anew, with a brief or without: the new one begins with it,
the old one hears nothing of it, and what people say meanwhile is answered once. Sandboxes are
coroutines of this process; their files, the desk and the worker are real."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runner.protocol import Answer, FollowUp, RunInput, Steer, TurnEnded, requests
from pynchy_cli import clock
from pynchy_cli.config.settings import GroupRules
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.handlers.conversations import EFFECTS
from pynchy_cli.model import NewMessage
from pynchy_cli.pipeline.route import Router
from pynchy_cli.store import conversations, messages, runs, sessions
from tests.asking import asking
from tests.fired import fire
from tests.unit.test_children import agent, ask, attended, idle, rows
from tests.unit.test_worker import Bench, Place, script

BRIEF = "go on with the sheep"


def prompts(place: Place) -> list[str]:
    return [one.prompt for one in place.told if isinstance(one, RunInput | FollowUp | Steer)]


def said(b: Bench, text: str) -> int:
    """Something said in the chat, and not routed yet; its place."""
    now = clock.now()
    with b.store.atomic() as db:
        number = messages.highest(db) + 1
        message = NewMessage(f"n{number}", "local:team", "owner", "Ann", text, now)
        assert messages.add(db, message, now) == number
    return number


@pytest.mark.parametrize(
    "wish",
    [requests.Handoff(brief=BRIEF), requests.ResetContext(message=BRIEF)],
    ids=["handoff", "reset_context"],
)
@pytest.mark.parametrize("follow_up", ["steer", "interrupt", "queue"])
def test_a_new_conversation_begins_with_the_brief(
    tmp_path: Path, wish: requests.Request, follow_up: str
) -> None:
    go = asyncio.Event()
    told: list[Answer] = []

    async def chat(place: Place, prompt: str) -> str:
        if BRIEF in prompt:
            return f"new: {'more' in prompt}"
        told.append(await ask(place, wish))
        await go.wait()
        return "old"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=chat)) as b:
            b.context.settings.groups["team"] = GroupRules(follow_up=follow_up)  # type: ignore[arg-type]
            b.ask("first")
            await b.until(lambda: told, "the answer of the host")
            assert told[0].ok
            assert "End it now" in told[0].result["next"]
            b.ask("more")
            for _ in range(10):
                await b.drained()
            go.set()
            await b.answered("old", "new: True")
            await idle(b)
            old, new = b.runtime.places
            assert len(prompts(old)) == 1
            assert isinstance(new.told[0], RunInput)
            assert new.told[0].session_id is None
            (prompt,) = prompts(new)
            assert "first" not in prompt
            assert prompt.index(BRIEF) < prompt.index("more")
            assert rows(b, "SELECT audience, message_type FROM messages WHERE content LIKE '(You%'")
            assert not [one for one in messages.last(b.store.db, None, 9) if BRIEF in one.content]

    script(story)


def test_without_a_brief_nothing_is_asked_by_it(tmp_path: Path) -> None:
    async def chat(place: Place, prompt: str) -> str:
        if "again" in prompt:
            return "new"
        assert (await ask(place, requests.ResetContext())).ok
        place.write(TurnEnded(turn=place.told[-1].turn, reply="old", session_id="one"))
        await asyncio.Event().wait()
        return ""

    async def story() -> None:
        async with attended(tmp_path, agent(chat=chat)) as b:
            b.ask("first")
            await b.answered("old")
            await idle(b)
            assert sessions.get(b.store.db, "team", "chat").session_id is None
            b.ask("again")
            await b.answered("old", "new")
            assert "first" not in prompts(b.runtime.places[1])[0]

    script(story)


def test_what_people_said_just_before_is_answered_once(tmp_path: Path) -> None:
    """It was not routed yet when the brief was left."""

    async def chat(place: Place, prompt: str) -> str:
        return "".join(
            word for word in ("first", "late", "brief", "next") if f"{word} word" in prompt
        )

    async def story() -> None:
        async with attended(tmp_path, agent(chat=chat)) as b:
            router = Router(b.context)
            said(b, "first word")
            router.drain()
            await b.answered("first")
            said(b, "late word")
            with b.store.atomic() as db:
                now = clock.now()
                conversations.begin_with(db, "team", "local:team", "request:1", "brief word", now)
            await b.answered("first", "brief")
            router.drain()
            await b.answered("first", "brief", "late")
            said(b, "next word")
            router.drain()
            await b.answered("first", "brief", "late", "next")
            assert router.drain() == 0
            assert not runs.unfinished(b.store.db, "team")

    script(story)


def test_what_people_said_just_before_goes_with_the_brief(tmp_path: Path) -> None:
    """It is routed before the brief is told."""

    async def chat(place: Place, prompt: str) -> str:
        return "".join(word for word in ("late", "brief") if f"{word} word" in prompt)

    async def story() -> None:
        async with attended(tmp_path, agent(chat=chat)) as b:
            said(b, "late word")
            with b.store.atomic() as db:
                now = clock.now()
                conversations.begin_with(db, "team", "local:team", "request:1", "brief word", now)
            Router(b.context).drain()
            await b.answered("latebrief")
            await idle(b)

    script(story)


def test_only_the_chat_has_a_conversation_to_begin_anew(tmp_path: Path) -> None:
    with asking(tmp_path) as made:
        group = made.group("team")
        asked = made.asked(group, requests.Handoff(brief=BRIEF))
        shell = replace(asked, row=replace(asked.row, lane="shell:1"))
        with pytest.raises(RequestRefused) as refusal:
            made.told(EFFECTS["handoff"], shell)
        assert refusal.value.code == "no_conversation"
        assert messages.highest(made.store.db) == 0


@pytest.mark.parametrize(
    "wish",
    [requests.Handoff(brief=BRIEF), requests.ResetContext(), requests.ResetContext(message=BRIEF)],
)
def test_a_task_s_run_ends_no_conversation_of_its_group_s(
    tmp_path: Path, wish: requests.Request
) -> None:
    with asking(tmp_path) as made:
        group = made.group("team")
        firing = fire(made.store, context_mode="group")
        asked = made.asked(group, wish)
        asked = replace(asked, row=replace(asked.row, run_id=firing))
        with pytest.raises(RequestRefused) as refusal:
            made.told(EFFECTS[asked.row.type], asked)
        assert refusal.value.code == "no_conversation"
        assert sessions.get(made.store.db, "team", "chat").generation == 0

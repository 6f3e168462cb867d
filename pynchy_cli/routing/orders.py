"""What the host itself does because of something said in a chat, as rows of one transaction: chat
commands, and answers to what agents have asked. What comes to nothing is talk like any other."""

from __future__ import annotations

import json

from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.model import CHAT_LANE, THREAD_LANE, Group, Message
from pynchy_cli.routing import answering, deciding, holding_up, said, telling, triggers
from pynchy_cli.routing.chat_commands import Words
from pynchy_cli.routing.said import Said
from pynchy_cli.security import senders
from pynchy_cli.store import (
    audit,
    cancelling,
    conversations,
    edits,
    holds,
    messages,
    questions,
    requests,
    sessions,
    todos,
)
from pynchy_cli.store.connection import Connection

ENDED = "👋 See you. The next message takes the conversation up again."
STOPPING = "✋ Stopping. What was said so far stays, and the conversation goes on."
NOTED = "📝 Noted as {id}."
TOO_LONG = "That is too long: at most {limit} characters."
RUNNING = "⏳ Running it; what comes of it is said here."
GONE = "That can't be answered any more; nothing is changed."
LONGEST_NOTED = 2000
COMMAND_LIMIT = 10_000


class Orders:
    """Obeys what is said, as the settings have it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.people = senders.People.of(settings)
        self.words = Words(settings.commands)
        self.waking = triggers.words(settings.agent.name, settings.agent.trigger_aliases)

    def read(self, message: Message, group: Group) -> Said:
        """What a message says."""
        return said.read(message, group, self.waking, self.words, self.lane_of(message, group))

    def lane_of(self, message: Message, group: Group) -> str:
        """The conversation that a message belongs to: the chat's, or its thread's own."""
        if message.thread and for_group(self.settings, group.folder).session_per_thread:
            return f"{THREAD_LANE}{message.thread}"
        return CHAT_LANE

    def reread(self, db: Connection, message: Message, group: Group) -> Said:
        """What an edit says; nothing where no agent may read what it is of."""
        original = messages.replaced(db, message)
        lane = self.lane_of(original or message, group)
        if original is not None and not _is_readable(original):
            return Said(message, group, message.content, lane=lane)
        earlier = edits.versions(db, message)
        return said.reread(message, group, self.waking, self.words, lane, original, earlier)

    def obey(self, db: Connection, said: Said, now: str) -> str | None:
        """Do what was said; what is answered to it, or None where it is for the assistant."""
        if not said.is_speech:
            return None
        if said.command is not None and (answer := self._command(db, said, now)) is not None:
            return answer
        waking = triggers.word_needed(said.group, self.waking)
        answer = answering.answer(db, said, waking, now)
        return _over(db, said) if answer is None and said.is_press else answer

    def would_obey(self, db: Connection, said: Said, now: str) -> bool:
        """Whether that would be obeyed now. It changes nothing."""
        if said.command is None:
            return answering.reads(db, said, now)
        match said.command.name:
            case "stop":
                is_held = holds.of_group(db, said.group.folder) is not None
                return is_held or cancelling.is_stoppable(db, said.group.folder, said.lane)
            case "stop_all" | "release_all":
                return said.is_triggered or holding_up.may(said, self.people)
            case "approve" | "deny":
                return deciding.is_for_us(db, said, now) or deciding.is_asked_in(
                    db, said.command.id, said.message.chat_jid
                )
            case "shell":
                return self._may_shell(said)
        return True

    def _command(self, db: Connection, said: Said, now: str) -> str | None:
        assert said.command is not None, "a command"
        folder = said.group.folder
        match said.command.name:
            case "reset":
                conversations.reset(db, folder, said.lane, said.message.seq, now)
                return conversations.FORGOTTEN
            case "end_session":
                sessions.let_go(db, folder, said.lane)
                return ENDED
            case "stop":
                # Where nothing is at work, it is said to the assistant, unless that would wait.
                if cancelling.stop(db, folder, now, said.lane):
                    return STOPPING
                return telling.held_now(db, folder)
            case "stop_all" | "release_all":
                return holding_up.obey(db, said, self.people, self.settings.commands, now)
            case "approve" | "deny":
                approvers = self.settings.approvals.approvers
                return deciding.decide(db, said, self.people, approvers, now)
            case "pending":
                return telling.pending(db, said.group, said.message.chat_jid, now)
            case "status":
                return telling.status(db, said.group, now)
            case "help":
                return telling.help(self.settings.commands, said.group)
            case "todo":
                return _note(db, folder, said.command.text, now)
            case "shell":
                return self._shell(db, said, now)

    def _may_shell(self, said: Said) -> bool:
        names = (senders.OWNER, *self.settings.approvals.approvers)
        return said.group.is_admin and self.people.is_one_of(names, *said.sender, everyone=False)

    def _shell(self, db: Connection, said: Said, now: str) -> str | None:
        """Have a command of the owner's carried out by whoever attends to requests."""
        assert said.command is not None, "a command"
        if not self._may_shell(said):
            return None
        command = said.command.text
        if len(command) > COMMAND_LIMIT:
            return TOO_LONG.format(limit=COMMAND_LIMIT)
        id = requests.id_of_message(said.message.seq)
        if requests.find(db, said.group.folder, requests.CHAT, id) is not None:
            return RUNNING
        row = requests.add(
            db,
            group_folder=said.group.folder,
            session=requests.CHAT,
            request_id=id,
            lane=CHAT_LANE,
            role="admin",
            type="host_shell",
            payload=json.dumps({"command": command}, ensure_ascii=False),
            state="accepted",
            now=now,
            chat_jid=said.message.chat_jid,
        )
        audit.add(
            db,
            "shell",
            "accepted",
            who=senders.name_of(*said.sender),
            subject="host_shell",
            now=now,
            group_folder=said.group.folder,
            request=row.id,
            digest=row.digest,
            detail={"command": command},
        )
        return RUNNING


def _is_readable(message: Message) -> bool:
    """Whether a message is one that an agent may be given."""
    return message.verdict == "allowed" and message.audience != "chat"


def _over(db: Connection, said: Said) -> str:
    """What is said to whoever presses a button under something that is over."""
    id = said.text.partition(" ")[0]
    asked = questions.get(db, id)
    if asked is None or asked.state == "pending":
        return GONE
    return deciding.OVER.format(id=id, state=asked.state, by="")


def _note(db: Connection, folder: str, text: str, now: str) -> str:
    if len(text) > LONGEST_NOTED:
        return TOO_LONG.format(limit=LONGEST_NOTED)
    return NOTED.format(id=todos.add(db, folder, text, now))

"""What tests call: the phone, people, faults and books of one server in another process."""

from __future__ import annotations

import base64
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
OWNER = "4915550001"
"""The number of the phone to which the client is linked."""
PATIENCE = 30.0


class Control(ABC):
    """People by phone number, groups by JID. Raises `RuntimeError` for what can't be."""

    @abstractmethod
    def _call(self, op: str, /, **arguments: Any) -> Any: ...

    # The owner's phone

    def scan(self, qr: str) -> None:
        """The phone reads a QR code (the whole text in it) and links the device."""
        self._call("scan", qr=qr)

    def type_code(self, code: str) -> None:
        """The owner types a pairing code (`ABCD-EFGH` or without the dash) into the phone. That it
        was a wrong one shows later: as `wrong_code` in the log."""
        self._call("type_code", code=code)

    def code_asked(self) -> bool:
        """Whether a client waits for its pairing code to be typed."""
        return bool(self._call("code_asked"))

    def qr_codes(self, number: int) -> None:
        """How many codes the next device that wants to be linked gets (6 in life). The library
        shows each for 20 s, and the first of six for 60 s."""
        self._call("qr_codes", number=number)

    def unlink(self) -> None:
        """The owner removes the linked device on the phone: 401 `device_removed`, now or at the
        next login."""
        self._call("unlink")

    def linked(self) -> Row | None:
        """The linked device (`jid`, `lid`, `device`, `platform`), or None."""
        found: Row | None = self._call("linked")
        return found

    def own(
        self,
        text: str = "",
        chat: str = "",
        *,
        message: bytes = b"",
        address: str = "phone",
        peer: bool = False,
        id: str = "",
        device: int = 0,
    ) -> str:
        """A message from the owner's phone, or from another device of the account, by default in
        the self-chat; gives its id.

        `chat` is a JID; `address` is `phone` or `lid`, as the phone writes both ends. `peer`: one
        from the phone to the device itself, such as a piece of history.
        """
        how = {"message": _b64(message), "address": address, "peer": peer, "id": id}
        return str(self._call("own", text=text, chat=chat, device=device, **how))

    def history(self, phone: str, *texts: str, chat: str = "") -> str:
        """The phone hands the device a piece of history, in which somebody has said these texts
        yesterday; gives the id of the message that tells of it."""
        return str(self._call("history", phone=phone, texts=list(texts), chat=chat))

    def app_state(self, name: str) -> None:
        """The client is told that a part of the app's state (`regular`) has changed; when it asks,
        nothing has."""
        self._call("app_state", name=name)

    # People and groups

    def person(self, phone: str, name: str = "", lid: str = "") -> str:
        """Somebody new, or with another name; gives the JID. Who isn't made is there all the same,
        named by the number."""
        return str(self._call("person", phone=phone, name=name, lid=lid))

    def group(self, name: str, *phones: str, by_lid: bool = False) -> str:
        """A new group with the owner and these people; gives its JID. `by_lid`: its members are
        addressed by LID, as in newer groups."""
        return str(self._call("group", name=name, phones=list(phones), by_lid=by_lid))

    def rename_group(self, group: str, name: str) -> None:
        """A group is called otherwise; a client that is online is told."""
        self._call("rename_group", group=group, name=name)

    def leave_group(self, group: str, phone: str = OWNER) -> None:
        """Somebody, by default the owner, is in a group no more."""
        self._call("leave_group", group=group, phone=phone)

    def invite(self, group: str) -> None:
        """The owner is taken into a group; a client that is online is told."""
        self._call("invite", group=group)

    # What people do

    def say(
        self,
        phone: str,
        text: str = "",
        chat: str = "",
        *,
        reply_to: str = "",
        quoted_text: str = "",
        quoted_from: str = "",
        mentions: Sequence[str] = (),
        message: bytes = b"",
        address: str = "phone",
        id: str = "",
        at: int = 0,
    ) -> str:
        """A message to the owner, or in a group; gives its id.

        `message` is a whole serialised E2E message instead of a text. `reply_to` is the id of the
        message that is quoted, with `quoted_text` by the person (or JID) `quoted_from`. `address`:
        `phone` (with the LID beside it), `lid` (with the number beside it), `lid_only`,
        `phone_only`; in a group these two leave out what the group would tell besides. `at`:
        seconds of epoch.
        """
        how = {"address": address, "id": id, "at": at, "message": _b64(message)}
        quote = {"reply_to": reply_to, "quoted_text": quoted_text, "quoted_from": quoted_from}
        what = {"text": text, "chat": chat, "mentions": list(mentions)}
        return str(self._call("say", phone=phone, **what, **quote, **how))

    def flood(self, phone: str, texts: Sequence[str], chat: str = "") -> list[str]:
        """Many messages at once, in order; gives their ids."""
        return list(self._call("flood", phone=phone, texts=list(texts), chat=chat))

    def edit(self, phone: str, id: str, text: str, chat: str = "") -> str:
        """Somebody changes a message of theirs; gives the id of the change."""
        return str(self._call("edit", phone=phone, target=id, text=text, chat=chat))

    def revoke(self, phone: str, id: str, chat: str = "") -> str:
        """Somebody takes a message of theirs back; gives the id of that."""
        return str(self._call("revoke", phone=phone, target=id, chat=chat))

    def react(self, phone: str, id: str, emoji: str, chat: str = "", ours: bool = True) -> str:
        """Somebody reacts to a message, of the owner's account or else their own; "" takes it
        off."""
        what = {"target": id, "emoji": emoji, "chat": chat, "ours": ours}
        return str(self._call("react", phone=phone, **what))

    def share(
        self,
        phone: str,
        kind: str,
        content: bytes,
        chat: str = "",
        *,
        mimetype: str = "",
        name: str = "",
        caption: str = "",
        once: bool = False,
        said_size: int = -1,
        wrong_hash: bool = False,
    ) -> str:
        """A file in a chat; gives the message's id. `kind`: image, video, audio, voice, document,
        sticker. `once`: a view-once message. `said_size`: the length that the message claims."""
        how = {"mimetype": mimetype, "name": name, "caption": caption, "once": once}
        how |= {"said_size": said_size, "wrong_hash": wrong_hash}
        return str(
            self._call("share", phone=phone, kind=kind, content=_b64(content), chat=chat, **how)
        )

    def typing(self, phone: str, chat: str = "", on: bool = True) -> None:
        """Somebody is typing, or stops to."""
        self._call("typing", phone=phone, chat=chat, on=on)

    def unreadable(self, phone: str, chat: str = "", *, times: int = 1) -> str:
        """A message whose ciphertext is broken for the first `times` deliveries; gives its id. The
        client asks for it again by a retry receipt."""
        return str(self._call("unreadable", phone=phone, chat=chat, times=times))

    def read(self, phone: str, *ids: str, kind: str = "read", chat: str = "") -> None:
        """Somebody's receipts for what the client sent: `read`, `delivered` or `played`."""
        self._call("read", phone=phone, ids=list(ids), kind=kind, chat=chat)

    def cannot_read(self, phone: str, id: str, chat: str = "") -> None:
        """Somebody's phone can't read a message of the client's, and asks for it once more. What
        comes then is in the log, and isn't a second message."""
        self._call("cannot_read", phone=phone, id=id, chat=chat)

    def unavailable(self, phone: str, chat: str = "", kind: str = "view_once") -> str:
        """A message that linked devices are told no more of than its id, which this gives. One of
        another kind than `view_once` is sent by the owner's phone when the client asks that."""
        return str(self._call("unavailable", phone=phone, chat=chat, kind=kind))

    def again(self, id: str, *, anew: bool = False) -> None:
        """Delivers a message once more, though it had its receipt: as it was (which the
        client ignores, and confirms, since it has used the key up), or encrypted `anew`."""
        self._call("again", id=id, anew=anew)

    # Books

    def log(self, *what: str, after: int = 0) -> list[Row]:
        """All that happened `after` the row of that number, or only rows of these kinds."""
        rows: list[Row] = self._call("log", what=list(what), after=after)
        return rows

    def outbound(self, chat: str = "") -> list[Row]:
        """The messages that the client sent and the server accepted; of one chat, if given."""
        said = [row for row in self.log("message") if row["accepted"]]
        return [row for row in said if not chat or row["chat"] == chat]

    def waiting(self) -> list[str]:
        """The ids of what was said and has no receipt of the client yet."""
        return list(self._call("waiting"))

    def file(self, id: str) -> bytes:
        """The content of the file in a message that the client sent, decrypted and checked."""
        return base64.b64decode(self._call("file", id=id))

    def media(self, id: str) -> bytes:
        """What lies on the media host of a file that somebody has shared: its ciphertext."""
        return base64.b64decode(self._call("media", id=id))

    def online(self) -> bool:
        """Whether a client is logged in now."""
        return bool(self._call("online"))

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Waits for something to be so, and gives it. Raises AssertionError after `seconds`."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it never became so"
            time.sleep(0.02)
        return found

    def wait_online(self, seconds: float = PATIENCE) -> None:
        """Waits until a client is logged in."""
        self.until(self.online, seconds)

    def wait_outbound(self, number: int, chat: str = "", seconds: float = PATIENCE) -> list[Row]:
        """Waits until so many messages were sent, and gives all."""

        def enough() -> list[Row]:
            rows = self.outbound(chat)
            return rows if len(rows) >= number else []

        found: list[Row] = self.until(enough, seconds)
        return found

    def wait_received(self, seconds: float = PATIENCE) -> None:
        """Waits until all that was said has its receipt."""
        self.until(lambda: not self.waiting(), seconds)

    # Faults

    def drop(self) -> None:
        """Resets the client's connection now."""
        self._call("drop")

    def refuse(self, on: bool = True) -> None:
        """Refuses all new connections, until told otherwise."""
        self._call("refuse", on=on)

    def stall(self, on: bool = True) -> None:
        """Takes what comes and answers nothing at all, as over a dead link; also at login."""
        self._call("stall", on=on)

    def slow(self, seconds: float) -> None:
        """Every answer and every delivery comes so much later; 0 ends it."""
        self._call("slow", seconds=seconds)

    def lose_acks(self, number: int = 1, *, accepted: bool = True) -> None:
        """The next messages are accepted (or else forgotten), and the client isn't told."""
        self._call("lose_acks", number=number, accepted=accepted)

    def drop_at(self, number: int = 1, *, accepted: bool = True) -> None:
        """At each of the next messages the connection is reset instead of an ack, after it was
        accepted or before."""
        self._call("drop_at", number=number, accepted=accepted)

    def lose_receipts(self, number: int = 1) -> None:
        """The next receipts for messages get lost on their way: what they confirm comes again
        with the next login, as it was."""
        self._call("lose_receipts", number=number)

    def nack(self, code: int, number: int = 1) -> None:
        """The next messages aren't accepted, and the client is told this error code."""
        self._call("nack", code=code, number=number)

    def hold_acks(self, on: bool = True) -> None:
        """Accepted messages get their acks only when this is ended."""
        self._call("hold_acks", on=on)

    def fail_login(self, reason: int, *, number: int = 1, code: int = 0, expire: int = 0) -> None:
        """The next logins (-1: all) end with this `failure`: 401, 402 (with the ban's `code` and
        its seconds), 403, 405, 406, 409, 500, 503."""
        self._call("fail_login", reason=reason, number=number, code=code, expire=expire)

    def stream_error(self, code: str = "", conflict: str = "") -> None:
        """Ends the stream with a code (`515`, `503`, `401`) or a conflict (`replaced`,
        `device_removed`)."""
        self._call("stream_error", code=code, conflict=conflict)

    def fail_query(self, name: str, code: int = 500, number: int = 1) -> None:
        """The next queries of a kind get an error, or no answer (code 0): `usync`, `w:g2`,
        `prekeys`, `media_conn`, `logout`, or any `xmlns`."""
        self._call("fail_query", name=name, code=code, number=number)

    def fail_media(self, kind: str, number: int = 1, *, where: str = "download") -> None:
        """The next downloads (or uploads) go wrong: `404`, `410`, `429`, `500`, `drop`, `stall`,
        `slow`, `short` (less than was said), `long` (more and more, without an end), `garbage`."""
        self._call("fail_media", kind=kind, number=number, where=where)

    def mend(self) -> None:
        """Ends all faults."""
        self._call("mend")


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()

"""conversations.*, users.*, bots.info and auth.test."""

from __future__ import annotations

from collections.abc import Callable

from tests.slack_server import shapes
from tests.slack_server.calls import Answer, Call
from tests.slack_server.state import PREFIX, Chat, Message, SlackError

KINDS = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def auth_test(call: Call) -> Answer:
    """Who the token belongs to."""
    return {
        "url": f"{call.work.url}/",
        "team": "Pynchy",
        "user": call.actor.name,
        "team_id": call.work.team,
        "user_id": call.actor.id,
        "bot_id": call.actor.bot_id,
        "is_enterprise_install": False,
    }


def bots_info(call: Call) -> Answer:
    """A bot, and the app that it belongs to."""
    call.need("users:read")
    for one in call.work.users.values():
        if one.bot_id and one.bot_id == call.text("bot"):
            told = {"id": one.bot_id, "deleted": one.deleted, "name": one.real_name}
            more = {"updated": 1700000000, "app_id": one.app_id, "user_id": one.id, "icons": {}}
            return {"bot": {**told, **more}}
    raise SlackError("bot_not_found")


def users_info(call: Call) -> Answer:
    """One user."""
    call.need("users:read")
    found = call.work.users.get(call.text("user"))
    if found is None:
        raise SlackError("user_not_found")
    return {"user": shapes.user(call.work.team, found)}


def users_list(call: Call) -> Answer:
    """All users, also those who left."""
    call.need("users:read")
    page, more = call.page(list(call.work.users.values()), most=1000)
    told = [shapes.user(call.work.team, one) for one in page]
    return {"members": told, "cache_ts": int(call.work.now()), **more}


def listing(mine: bool) -> Callable[[Call], Answer]:
    """conversations.list, or users.conversations: only those that the caller is in."""

    def give(call: Call) -> Answer:
        kinds = []
        for name in call.text("types", "public_channel").split(","):
            if name.strip() not in KINDS:
                raise SlackError("invalid_types")
            kinds.append(KINDS[name.strip()])
        call.need(*(f"{PREFIX[kind]}:read" for kind in kinds))
        seen = [
            one
            for one in call.work.chats.values()
            if one.kind in kinds
            and not (one.archived and call.flag("exclude_archived"))
            and (call.actor.id in one.members or (one.kind == "channel" and not mine))
        ]
        page, more = call.page(seen, most=999)
        return {"channels": [shapes.chat(call.work, one, call.actor) for one in page], **more}

    return give


def info(call: Call) -> Answer:
    """One chat."""
    place = call.chat(scope="read", member=False)
    return {"channel": shapes.chat(call.work, place, call.actor)}


def members(call: Call) -> Answer:
    """Who is in a chat, by id."""
    place = call.chat(scope="read", member=False)
    page, more = call.page(list(place.members), most=1000)
    return {"members": page, **more}


def history(call: Call) -> Answer:
    """What stands in a chat, newest first, without what hangs in threads."""
    place = call.chat(scope="history")
    top = [one for one in place.ordered() if not one.is_reply or one.broadcast]
    found = _within(call, top)
    found.reverse()
    page, more = call.page(found, most=999)
    return {
        "messages": _told(call, place, page),
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
        **_next(more),
    }


def replies(call: Call) -> Answer:
    """A thread, oldest first; its parent is in every page. Of a reply: that alone."""
    place = call.chat(scope="history")
    parent = place.messages.get(call.text("ts"))
    if parent is None:
        raise SlackError("thread_not_found")
    if parent.is_reply:
        return {"messages": _told(call, place, [parent]), "has_more": False}
    found = _within(call, place.replies(parent.ts))
    page, more = call.page(found, most=1000, default=1000)
    return {"messages": _told(call, place, [parent, *page]), **_next(more)}


def _told(call: Call, place: Chat, found: list[Message]) -> list[Answer]:
    asked = call.flag("include_all_metadata")
    return [shapes.message(call.work, place, one, asked) for one in found]


def _next(more: Answer) -> Answer:
    """History says has_more, and nothing of a cursor at the end."""
    if more["response_metadata"]["next_cursor"]:
        return {"has_more": True, **more}
    return {"has_more": False}


def _within(call: Call, found: list[Message]) -> list[Message]:
    oldest = moment(call.text("oldest", "0"), "invalid_ts_oldest")
    latest = moment(call.text("latest") or "9999999999", "invalid_ts_latest")
    if call.flag("inclusive"):
        return [one for one in found if oldest <= moment(one.ts) <= latest]
    return [one for one in found if oldest < moment(one.ts) < latest]


def moment(ts: str, wrong: str = "invalid_arguments") -> int:
    """A ts in microseconds."""
    whole, _, rest = ts.partition(".")
    if not whole.isdigit() or (rest and not rest.isdigit()):
        raise SlackError(wrong)
    return int(whole) * 1_000_000 + int(f"{rest:0<6}"[:6])


def open_chat(call: Call) -> Answer:
    """A DM or a group DM."""
    if call.text("channel"):
        place = call.chat(member=False)
        if place.kind not in ("im", "mpim"):
            raise SlackError("method_not_supported_for_channel_type")
    else:
        people = [one.strip() for one in call.text("users").split(",") if one.strip()]
        if not people:
            raise SlackError("users_list_not_supplied")
        call.need("im:write" if len(people) == 1 else "mpim:write")
        if len(people) > 8:
            raise SlackError("too_many_users")
        if any(one not in call.work.users for one in people):
            raise SlackError("user_not_found")
        place = call.work.together([call.actor.id, *people])
    if call.flag("return_im"):
        return {"channel": shapes.chat(call.work, place, call.actor)}
    return {"channel": {"id": place.id}}


def join(call: Call) -> Answer:
    """Into a public channel."""
    call.need("channels:join")
    place = call.chat(member=False)
    if place.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if place.archived:
        raise SlackError("is_archived")
    if call.actor.id in place.members:
        told = {"warning": "already_in_channel"}
        return {"channel": shapes.chat(call.work, place, call.actor), **told}
    call.work.join(place, call.actor.id)
    return {"channel": shapes.chat(call.work, place, call.actor)}

"""The JSON that Slack gives for people, chats, messages and files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.slack_server.state import Chat, File, Message, User

if TYPE_CHECKING:
    from tests.slack_server.workspace import Workspace

Shape = dict[str, Any]


def user(team: str, one: User) -> Shape:
    """As users.info gives it."""
    profile = {
        "title": "",
        "phone": "",
        "real_name": one.real_name,
        "real_name_normalized": one.real_name,
        "display_name": one.display_name,
        "display_name_normalized": one.display_name,
        "team": team,
        "avatar_hash": "g0",
        **({"bot_id": one.bot_id, "api_app_id": one.app_id} if one.is_bot else {}),
    }
    full = {
        "id": one.id,
        "team_id": team,
        "name": one.name,
        "deleted": one.deleted,
        "profile": profile,
        "is_bot": one.is_bot,
        "is_app_user": False,
        "updated": 1700000000,
    }
    if one.deleted:
        return full
    told = {"real_name": one.real_name, "tz": "Europe/London", "tz_offset": 0, "color": "9f69e7"}
    flags = {"is_admin": False, "is_owner": False, "is_restricted": False}
    return {**full, **told, **flags, "is_ultra_restricted": False}


def chat(work: Workspace, one: Chat, viewer: User) -> Shape:
    """As conversations.info gives it; a DM has no name but the other's id."""
    member = viewer.id in one.members
    common = {
        "id": one.id,
        "created": one.created,
        "is_archived": one.archived,
        "is_im": one.kind == "im",
        "is_org_shared": False,
        "context_team_id": work.team,
        "updated": one.created * 1000,
    }
    if one.kind == "im":
        other = next((each for each in one.members if each != viewer.id), viewer.id)
        return {**common, "user": other, "is_open": True, "priority": 0}
    return {
        **common,
        "name": one.name,
        "name_normalized": one.name,
        # Since 2021 all of them are channels; only the old private ones are groups.
        "is_channel": True,
        "is_group": False,
        "is_mpim": one.kind == "mpim",
        "is_private": one.is_private,
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_pending_ext_shared": False,
        "is_member": member,
        "creator": one.creator,
        "unlinked": 0,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
        **({"num_members": len(one.members)} if one.kind != "mpim" else {}),
    }


def message(work: Workspace, place: Chat, one: Message, metadata: bool = False) -> Shape:
    """As history tells it; `metadata` only when asked for."""
    shape: Shape = {"type": "message", "ts": one.ts, "text": one.text}
    if one.user:
        shape["user"] = one.user
    if one.client_msg_id:
        shape["client_msg_id"] = one.client_msg_id
    if one.subtype:
        shape["subtype"] = one.subtype
    if one.bot_id:
        shape["bot_id"] = one.bot_id
    if one.app_id:
        shape |= {"app_id": one.app_id, "bot_profile": _bot(work, one)}
    shape |= {"team": work.team, **_content(work, one), **one.more}
    if one.edited:
        shape["edited"] = dict(one.edited)
    if one.reactions:
        shape["reactions"] = [
            {"name": name, "users": list(who), "count": len(who)}
            for name, who in one.reactions.items()
        ]
    if metadata and one.metadata:
        shape["metadata"] = one.metadata
    return {**shape, **thread(place, one)}


def thread(place: Chat, one: Message) -> Shape:
    """What says where in a thread a message stands."""
    if one.is_reply:
        parent = place.messages.get(one.thread_ts)
        told = {"parent_user_id": parent.user} if parent else {}
        return {"thread_ts": one.thread_ts, **told}
    replies = place.replies(one.ts)
    if not replies:
        return {}
    people = list(dict.fromkeys(each.user or each.bot_id for each in replies))
    return {
        "thread_ts": one.ts,
        "reply_count": len(replies),
        "reply_users_count": len(people),
        "latest_reply": replies[-1].ts,
        "reply_users": people[:5],
        "is_locked": False,
        "subscribed": False,
    }


def _content(work: Workspace, one: Message) -> Shape:
    told: Shape = {}
    if one.blocks:
        told["blocks"] = one.blocks
    elif one.text and not one.subtype.startswith("channel_"):
        told["blocks"] = [rich_text(one.ts, one.text)]
    if one.attachments:
        told["attachments"] = one.attachments
    if one.files:
        told |= {
            "files": [file(work, work.files[each]) for each in one.files],
            "upload": False,
            "display_as_bot": False,
        }
    return told


def _bot(work: Workspace, one: Message) -> Shape:
    name = next((each.real_name for each in work.users.values() if each.bot_id == one.bot_id), "")
    return {
        "id": one.bot_id,
        "deleted": False,
        "name": name,
        "updated": 1700000000,
        "app_id": one.app_id,
        "icons": {"image_36": "https://example.com/36.png"},
        "team_id": work.team,
    }


def rich_text(ts: str, text: str) -> Shape:
    """The block that Slack itself makes of a text."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "block_id": ts[-5:], "elements": [section]}


def file(work: Workspace, one: File) -> Shape:
    """As messages and files.info tell it."""
    if one.hidden:
        return {"id": one.id, "mode": "file_access", "file_access": "check_file_info"}
    if one.removed:
        return {"id": one.id, "mode": "tombstone"}
    return whole_file(work, one)


def whole_file(work: Workspace, one: File) -> Shape:
    """As files.info tells it, whatever events say."""
    if one.elsewhere:
        return {**_hosted(work, one), **_external(one)}
    return _hosted(work, one)


def _external(one: File) -> Shape:
    kind = {"mode": "external", "is_external": True, "external_type": "gdrive", "size": 0}
    return {**kind, "url_private": one.elsewhere, "url_private_download": one.elsewhere}


def _hosted(work: Workspace, one: File) -> Shape:
    extension = one.name.rpartition(".")[2] if "." in one.name else "binary"
    private = f"{work.url}/files-pri/{work.team}-{one.id}"
    plain = re.sub(r"[^a-z0-9._-]", "_", one.name.lower())
    return {
        "id": one.id,
        "created": one.created,
        "timestamp": one.created,
        "name": one.name,
        "title": one.title,
        "mimetype": one.mimetype,
        "filetype": extension,
        "pretty_type": extension.upper(),
        "user": one.user,
        "user_team": work.team,
        "editable": False,
        "size": len(one.content or b""),
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": True,
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": f"{private}/{plain}",
        "url_private_download": f"{private}/download/{plain}",
        "permalink": f"{work.url}/files/{one.user}/{one.id}/{plain}",
        "permalink_public": f"https://slack-files.com/{work.team}-{one.id}-0",
        "has_rich_preview": False,
        "file_access": "visible",
    }

"""What the linked device asks, and what it is answered (`iq`)."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.people import Published
from tests.whatsapp_server.world import GROUPS, SERVER, Group, World

Answer = list[Node]


def names(node: Node) -> tuple[str, ...]:
    """By what a fault may name a query: its namespace, and what it is about."""
    space, first = node.attrs.get("xmlns", ""), _first(node)
    known = {
        ("encrypt", "key"): "prekeys",
        ("md", "remove-companion-device"): "logout",
        ("w:m", "media_conn"): "media_conn",
    }
    return (space, known.get((space, first), f"{space} {first}"))


def answer(world: World, node: Node) -> Answer:
    """The content of the result; empty for what nobody here knows about."""
    kinds: dict[tuple[str, str], Callable[[World, Node], Answer]] = {
        ("encrypt", "count"): _count,
        ("encrypt", "key"): _keys,
        ("usync", "usync"): _usync,
        ("w:m", "media_conn"): _media_hosts,
        ("w:sync:app:state", "sync"): _app_state,
    }
    space = node.attrs.get("xmlns", "")
    if space == "encrypt" and node.child("identity") is not None:
        return _upload(world, node)
    if space == "w:g2":
        return _groups(world, node)
    if space == "privacy" and node.attrs.get("type") == "get":
        return [Node("privacy", {}, [])]
    kind = kinds.get((space, _first(node)))
    return kind(world, node) if kind is not None else []


def _first(node: Node) -> str:
    return node.children[0].tag if node.children else ""


def _count(world: World, _: Node) -> Answer:
    left = len(world.bundle.prekeys) if world.bundle is not None else 0
    return [Node("count", {"value": str(left)})]


def _number(node: Node, *path: str) -> int:
    return int.from_bytes(node.within(*path).data, "big")


def _upload(world: World, node: Node) -> Answer:
    """The device's keys; one-time keys come on top of those that are there."""
    published = Published(
        _number(node, "registration"),
        node.within("identity").data,
        _number(node, "skey", "id"),
        node.within("skey", "value").data,
        node.within("skey", "signature").data,
    )
    if world.bundle is not None:
        published.prekeys |= world.bundle.prekeys
    for key in node.within("list").children:
        published.prekeys[_number(key, "id")] = key.within("value").data
    world.bundle = published
    return []


def _keys(world: World, node: Node) -> Answer:
    """The keys of people, for who writes to them first."""
    users = []
    for asked in node.within("key").children:
        one = world.by_jid(asked.attrs["jid"]).person.bundle()
        kept = [
            Node("registration", {}, one.registration.to_bytes(4, "big")),
            Node("type", {}, b"\x05"),
            Node("identity", {}, one.identity),
            Node(
                "skey", {}, [*_key(one.signed_id, one.signed), Node("signature", {}, one.signature)]
            ),
        ]
        if one.prekey_id is not None and one.prekey is not None:
            kept.append(Node("key", {}, _key(one.prekey_id, one.prekey)))
        users.append(Node("user", {"jid": asked.attrs["jid"], "t": "1700000000"}, kept))
    return [Node("list", {}, users)]


def _key(number: int, public: bytes) -> Answer:
    return [Node("id", {}, number.to_bytes(3, "big")), Node("value", {}, public)]


def _usync(world: World, node: Node) -> Answer:
    """Devices, LIDs and whether somebody is there at all."""
    asked = node.within("usync")
    wanted = [one.tag for one in asked.within("query").children]
    users = [_user(world, one, wanted) for one in asked.within("list").children]
    attrs = {"sid": asked.attrs["sid"], "index": "0", "last": "true"}
    attrs |= {"mode": asked.attrs["mode"], "context": asked.attrs["context"]}
    result = Node("result", {}, [Node(one) for one in wanted])
    return [Node("usync", attrs, [result, Node("list", {}, users)])]


def _user(world: World, asked: Node, wanted: list[str]) -> Node:
    number = asked.child("contact")
    jid = asked.attrs.get("jid") or f"{number.text.lstrip('+') if number else ''}{SERVER}"
    contact = world.by_jid(jid)
    found = {
        "devices": Node("devices", {}, [_devices(world, contact is world.owner)]),
        "lid": Node("lid", {"val": contact.lid_jid}),
        "contact": Node("contact", {"type": "in"}, number.data if number else None),
    }
    return Node("user", {"jid": jid}, [found[one] for one in wanted if one in found])


def _devices(world: World, own: bool) -> Node:
    numbers = [0]
    if own and world.linked is not None:
        numbers.append(world.linked.number)
    keyed = {one: {"key-index": "1"} if one else {} for one in numbers}
    devices = [Node("device", {"id": str(one), **keyed[one]}) for one in numbers]
    return Node("device-list", {"hash": "2:none"}, devices)


def _groups(world: World, node: Node) -> Answer:
    """One group, or all that the owner is in. Raises ValueError for one that isn't."""
    to = node.attrs.get("to", "")
    if to == f"@{GROUPS}" or to == GROUPS:
        mine = [one for one in world.groups.values() if world.owner_phone in one.members]
        return [Node("groups", {}, [group_node(world, one) for one in mine])]
    if _first(node) != "query":
        return []
    group = world.group(to)
    if world.owner_phone not in group.members:
        raise PermissionError("not in the group")
    return [group_node(world, group)]


def group_node(world: World, group: Group) -> Node:
    """A group as the server tells of it."""
    creator = world.contact(group.creator)
    made = str(group.created)
    attrs = {"id": group.jid.partition("@")[0], "subject": group.name, "creation": made}
    attrs |= {"s_t": made, "addressing_mode": "lid" if group.by_lid else "pn"}
    attrs |= dict.fromkeys(("creator", "s_o"), creator.lid_jid if group.by_lid else creator.jid)
    members = [_member(world, group, phone) for phone in group.members]
    return Node("group", attrs, members)


def _member(world: World, group: Group, phone: str) -> Node:
    one = world.contact(phone)
    who = {"jid": one.jid, "lid": one.lid_jid}
    if group.by_lid:
        who = {"jid": one.lid_jid, "phone_number": one.jid}
    return Node("participant", {**who, **({"type": "admin"} if phone == group.creator else {})})


def _media_hosts(_: World, __: Node) -> Answer:
    hosts = [Node("host", {"hostname": "mmg.whatsapp.net"}, [])]
    attrs = {"auth": secrets.token_urlsafe(12), "ttl": "300", "auth_ttl": "21600"}
    return [Node("media_conn", {**attrs, "max_buckets": "12"}, hosts)]


def _app_state(_: World, node: Node) -> Answer:
    """Nothing has ever changed."""
    asked = node.within("sync").children
    collections = [
        Node("collection", {"name": one.attrs["name"], "version": one.attrs.get("version", "0")})
        for one in asked
    ]
    return [Node("sync", {}, collections)]

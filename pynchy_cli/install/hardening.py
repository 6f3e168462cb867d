"""What units take away from the processes that they start: nearly all that no stage needs. One that
makes sandboxes keeps what bubblewrap needs, and so do the sandboxes, which inherit all of it."""

from __future__ import annotations

Settings = dict[str, str | list[str]]
"""A unit's settings, in order. A list is a setting that is written several times."""

BARE: Settings = {
    "NoNewPrivileges": "yes",
    "LockPersonality": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": ["@system-service", "~@privileged @resources"],
}
"""What can be had everywhere, also where a user may make no namespaces."""

FULL: Settings = {
    "ProtectSystem": "strict",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateMounts": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "DevicePolicy": "closed",
    "KeyringMode": "private",
    "RemoveIPC": "yes",
}

SANDBOXES: Settings = {
    "ProtectHostname": "no",
    "ProtectKernelLogs": "no",
    "ProtectKernelTunables": "no",
    "ProcSubset": "all",
    "MemoryDenyWriteExecute": "no",
    "RestrictNamespaces": "user pid net mnt ipc uts cgroup",
    "RestrictAddressFamilies": ["", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"],
    "SystemCallFilter": [
        "",
        "@system-service",
        "~@privileged @resources",
        "@chown capset mount pivot_root sethostname umount2",
    ],
}
"""What bubblewrap, and what agents run in it, must be left. The kernel lets nobody mount a /proc
in a namespace of his own where parts of the host's are covered, as ProtectKernelTunables and
ProtectKernelLogs do; and Claude's command line compiles what it runs."""

ALONE: Settings = {
    "PrivateNetwork": "yes",
    "IPAddressDeny": "any",
    "IPAddressAllow": "localhost",
}
"""For what speaks to nobody but this machine."""

JOBS: Settings = {
    "MemoryDenyWriteExecute": "no",
    "ProcSubset": "all",
}
"""What commands of all kinds can hardly do without."""

_FILES = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL"
ROOT_FILES: Settings = {"PrivateUsers": "no", "CapabilityBoundingSet": _FILES}
"""Where the home is root's: each group has a uid, and what is in its folders is that uid's."""

ROOT: Settings = {
    "PrivateUsers": "no",
    "ProtectControlGroups": "no",
    "CapabilityBoundingSet": f"{_FILES} CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN "
    "CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_NET_ADMIN",
    "SystemCallFilter": ["", "@system-service", "@mount @privileged"],
}
"""What root needs besides to give each group's sandboxes their uid and a control group."""


def loose(hardened: Settings) -> Settings:
    """The same settings, each taking nothing away."""
    found: Settings = {}
    for name, value in hardened.items():
        if name == "CapabilityBoundingSet":
            found[name] = "~"
        elif name == "ProtectProc":
            found[name] = "default"
        elif name == "ProcSubset":
            found[name] = "all"
        elif name == "DevicePolicy":
            found[name] = "auto"
        elif name == "KeyringMode":
            found[name] = "shared"
        elif isinstance(value, list) or value not in ("yes", "strict", "read-only"):
            found[name] = ""
        else:
            found[name] = "no"
    return found

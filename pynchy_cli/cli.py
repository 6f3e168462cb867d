"""The table: verb -> module, in pipeline order, loaded when called. Nothing else is decided
here but which home is meant, and how an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys


class Verb:
    """One command: its module below `commands`, its panel in `--help`, its one line. (A tuple
    with names would load the module typing, a tenth of the time of `status`.)"""

    def __init__(self, module: str, panel: str, help: str) -> None:
        self.module = module
        self.panel = panel
        self.help = help


PIPELINE, PEOPLE, KEEP = "The pipeline", "For people", "Keeping it"

VERBS: dict[str, Verb] = {
    "listen": Verb("listen", PIPELINE, "Take messages in from a channel."),
    "route": Verb("route", PIPELINE, "Decide what is for the assistant, and queue runs."),
    "run-agent": Verb("run_agent", PIPELINE, "Run agents in sandboxes; or one, in a shell."),
    "ipc-watch": Verb("ipc_watch", PIPELINE, "Carry out what agents ask for, as far as they may."),
    "schedule": Verb("schedule", PIPELINE, "Start tasks and host jobs when they are due."),
    "serve": Verb("serve", PIPELINE, "Be asked and told things over HTTP."),
    "gateway": Verb("gateway", PIPELINE, "Be the agents' only way to a model."),
    "up": Verb("up", PIPELINE, "Run all stages together."),
    "send": Verb("send", PEOPLE, "Say something to a group."),
    "chat": Verb("chat", PEOPLE, "Talk with a group in this terminal."),
    "tail": Verb("tail", PEOPLE, "Show what is said, as it comes."),
    "messages": Verb("messages", PEOPLE, "List and show what was said, as rows."),
    "logs": Verb("logs", PEOPLE, "Show what the stages have logged."),
    "outbox": Verb("outbox", PEOPLE, "See to replies that didn't get to their chats."),
    "stop": Verb("stop", PEOPLE, "End what a group's agent is at work on."),
    "why": Verb("why", PEOPLE, "Tell what became of a message, run, task or reply, and why."),
    "hold": Verb("hold", PEOPLE, "Have a group, or all, begin nothing until released."),
    "release": Verb("release", PEOPLE, "Let a held group, or all, go on again."),
    "tasks": Verb("tasks", PEOPLE, "Have agents do something later, or again and again."),
    "jobs": Verb("jobs", PEOPLE, "Have this machine run commands on a schedule."),
    "approvals": Verb("approvals", PEOPLE, "Say yes or no to what agents ask for."),
    "status": Verb("status", PEOPLE, "Tell how everything is."),
    "init": Verb("init", KEEP, "Make a home: folders, configuration, a first group."),
    "install": Verb("install", KEEP, "Have systemd or launchd start pynchy."),
    "uninstall": Verb("uninstall", KEEP, "Take back what install made."),
    "auth": Verb("auth", KEEP, "Link a WhatsApp account, check what Slack needs."),
    "groups": Verb("groups", KEEP, "Add, list, show and remove groups."),
    "mounts": Verb("mounts", KEEP, "Tell what of the host agents may see."),
    "runs": Verb("runs", KEEP, "List, show, retry and cancel runs."),
    "sessions": Verb("sessions", KEEP, "List, show, reset and export conversations."),
    "config": Verb("config", KEEP, "Check and show the configuration."),
    "directives": Verb("directives", KEEP, "Show what agents are told about where they are."),
    "skills": Verb("skills", KEEP, "Show which skills agents have."),
    "db": Verb("db", KEEP, "Look after the database."),
    "rights": Verb("rights", KEEP, "Show what agents may ask for."),
    "audit": Verb("audit", KEEP, "Show what was decided, and check that nothing was changed."),
    "retry": Verb("retry", KEEP, "Bring back what was set aside or given up."),
    "image": Verb("image", KEEP, "Build the sandboxes' image, or tell how it stands."),
    "doctor": Verb("doctor", KEEP, "Look for every known cause of failure, and mend it."),
    "backup": Verb("backup", KEEP, "Make a backup, now or again and again."),
    "restore": Verb("restore", KEEP, "Bring a backup back."),
    "prune": Verb("prune", KEEP, "Remove old traces, and look the database over."),
    "check": Verb("check", KEEP, "Ask a rule what it would decide, carrying nothing out."),
}


def main() -> None:
    """The `pynchy` command."""
    _hold_descriptors()
    arguments = sys.argv[1:]
    if "status" in arguments[:3]:
        from pynchy_cli.status_quick import answer

        code = answer(arguments)
        if code is not None:
            sys.exit(code)
    from pynchy_cli.commands.app import run

    sys.exit(run(arguments))


def _hold_descriptors() -> None:
    """Open what of standard input, output and error was closed by the caller, or the next file
    that is opened, even the database, would be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)

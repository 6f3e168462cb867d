"""Every setting there is, typed, with the default that works. Nothing here reads a file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.01, le=4096)]
Bytes = Annotated[int, msgspec.Meta(ge=1)]
WORD = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Word = Annotated[str, msgspec.Meta(pattern=WORD)]
WordOrAll = Annotated[str, msgspec.Meta(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9_.-]{0,63})$")]
ASKED = r"^(service:)?[a-z][a-z0-9_]{0,63}$"
Ask = Annotated[str, msgspec.Meta(pattern=ASKED)]
SPAN = r"^[0-9]{1,10} ?(s|sec|m|min|h|d|w)?$"
"""A time span such as 30m, 6h or 1d; without a letter it is seconds."""
Line = Annotated[str, msgspec.Meta(min_length=1)]
Limit = Annotated[float, msgspec.Meta(gt=0, le=600)]
Span = Annotated[str, msgspec.Meta(pattern=SPAN)]
Day = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
LINES = {"lines": True}
"""Of a text that may have several lines."""
Prompt = Annotated[str, msgspec.Meta(max_length=100_000, extra=LINES)]
Command = Annotated[str, msgspec.Meta(max_length=10_000, extra=LINES)]
SPOKEN = r"^[^\s@!][^\s]{0,39}$"
ADDRESS = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"
"""Without a login: addresses are told in logs, in `status` and to sandboxes."""
Spoken = Annotated[str, msgspec.Meta(pattern=SPOKEN)]
"""A word as people say it in a chat: `@` is for names, and `!` for the shell."""
Phrase = Annotated[str, msgspec.Meta(pattern=rf"{SPOKEN[:-1]}( {SPOKEN[1:-1]}){{0,3}}$")]
"""One word to four of them, with a blank between."""


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table of the configuration file; unknown keys are refused."""


class Agent(Section, frozen=True):
    """Who the assistant is."""

    name: Word = "pynchy"
    """What it is called: the word after @ that wakes it."""
    trigger_aliases: tuple[Word, ...] = ()
    """Further words after @ that wake it."""
    core: Word = "claude"
    """The agent framework in the sandbox: claude or echo."""
    model: str = ""
    """The model's name; empty leaves the choice to the core."""
    git_name: str = ""
    """Who agents commit as; empty is what git knows on the host, else the assistant's name."""
    git_email: str = ""
    """The address for that; empty is what git knows on the host."""


class Sandbox(Section, frozen=True):
    """Where agents live, and what they may use up."""

    runtime: Word = "auto"
    """auto, docker, apple, bubblewrap or unsafe."""
    idle_timeout: Annotated[float, msgspec.Meta(ge=0)] = 1800.0
    """Seconds for which a sandbox stays warm after a run; 0 ends it at once."""
    max_warm: Annotated[int, msgspec.Meta(ge=0)] = 20
    """Warm sandboxes kept at most; the oldest goes first."""
    run_timeout: Seconds = 1800.0
    """Seconds a turn may take in all."""
    activity_timeout: Seconds = 600.0
    """Seconds without a sign of life after which a turn is ended."""
    start_timeout: Seconds = 180.0
    """Seconds a sandbox may take until its first record; on a busy machine it takes many."""
    stop_grace: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    """Seconds that working agents get when run-agent is asked to stop; in docker they work on."""
    memory: Bytes = 2 * 1024**3
    """Bytes of memory for all of a sandbox, where that can be limited."""
    cpus: Share | None = 2.0
    """Processors that a sandbox may keep busy, where they can be limited."""
    max_children: Annotated[int, msgspec.Meta(ge=0)] = 4
    """Sandboxes that a group's agents may have started for tasks of theirs, at once."""
    max_depth: Annotated[int, msgspec.Meta(ge=0)] = 2
    """How many such sandboxes may have been started one by the other."""
    max_processes: Count = 512
    """Processes and threads in one sandbox."""
    max_file: Bytes = 2 * 1024**3
    """Bytes in one file that a sandbox writes."""
    max_output: Bytes = 100 * 1024**2
    """Bytes of output log after which a turn is ended with a notice."""
    folder_limit: Bytes = 5 * 1024**3
    """Bytes in a group's folder, above which its sandboxes are stopped; beyond as many bytes of
    files that people share in its chats no more are fetched."""
    min_free: Annotated[int, msgspec.Meta(ge=0)] = 1024**3
    """Bytes that stay free on the home's disk; below, sandboxes are stopped."""
    image: Line = "pynchy-agent:latest"
    """The image from which docker and apple make sandboxes."""
    base_image: Line = "python:3.13-slim"
    """The image on which that one is built."""
    uid_base: Annotated[int, msgspec.Meta(ge=1000, le=2_000_000_000)] = 700_000
    """Started by root, a group's sandboxes run as this uid plus the group's number."""


class Queue(Section, frozen=True):
    """How much goes on at once, and how failures are retried."""

    max_concurrent: Count = 5
    """Runs at work at the same time, over all workers of the file."""
    max_retries: Annotated[int, msgspec.Meta(ge=0)] = 5
    """Retries of a failed run before it is given up and said so."""
    base_retry: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    """Seconds before the first retry; doubled each time."""


class Gateway(Section, frozen=True):
    """The agents' only way to a model."""

    mode: Literal["auto", "anthropic", "rehearsal"] = "auto"
    """auto is anthropic where there is a key, else rehearsal: a scripted model."""
    upstream: Annotated[str, msgspec.Meta(pattern=ADDRESS)] = "https://api.anthropic.com"
    """Where the model is."""


class Secrets(Section, frozen=True):
    """Credentials; they belong into .env, and are never printed."""

    anthropic_api_key: str = ""
    """A key of the Anthropic API; also read from ANTHROPIC_API_KEY."""
    claude_code_oauth_token: str = ""
    """A Claude login's token (`claude setup-token`); also CLAUDE_CODE_OAUTH_TOKEN."""
    gh_token: str = ""
    """A GitHub token for the admin group; also GH_TOKEN, else what `gh auth token` says."""
    api_token: Annotated[str, msgspec.Meta(pattern=r"^(|\S{16,})$")] = ""
    """What whoever uses the HTTP interface from elsewhere must show: sixteen characters at least,
    such as `openssl rand -hex 32` prints."""


class Approvals(Section, frozen=True):
    """What people decide, and who may."""

    approvers: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1)] = ("owner",)
    """Who may say yes or no: owner (who has this machine's shell), or people as channels name
    them, such as slack:U123."""
    expiry: Seconds = 900.0
    """Seconds in which a request must be approved; no answer means no."""
    question_expiry: Seconds = 1800.0
    """Seconds in which an agent's question must be answered."""
    in_admin_chat: bool = False
    """Whether what other groups ask is put to the admin group's chat, too."""


class Commands(Section, frozen=True):
    """What people say in a chat to the host itself, in whatever case; an empty list leaves a
    command out."""

    reset_verbs: tuple[Spoken, ...] = ("reset", "restart", "clear", "new", "wipe")
    """With one of `reset_nouns`, in either order: forget the conversation."""
    reset_nouns: tuple[Spoken, ...] = ("context", "session", "chat", "conversation")
    """With one of `reset_verbs`."""
    reset_aliases: tuple[Spoken, ...] = ("boom", "c")
    """The same in a single word."""
    end_session_verbs: tuple[Spoken, ...] = ("end", "stop", "close", "finish")
    """With one of `end_session_nouns`, in either order: let the sandbox go."""
    end_session_nouns: tuple[Spoken, ...] = ("session",)
    """With one of `end_session_verbs`."""
    end_session_aliases: tuple[Spoken, ...] = ("done", "bye", "goodbye", "cya")
    """The same in a single word."""
    stop: tuple[Spoken, ...] = ("stop", "/stop")
    """End the turn at work."""
    stop_all: tuple[Phrase, ...] = ("stop all",)
    """The owner alone: end all turns at work, and have every group begin nothing."""
    release_all: tuple[Phrase, ...] = ("go on all", "release all")
    """The owner alone: end that."""
    approve: tuple[Spoken, ...] = ("approve",)
    """With an id: what waits for a yes may be done."""
    deny: tuple[Spoken, ...] = ("deny",)
    """With an id, and a reason if there is one: it may not."""
    pending: tuple[Spoken, ...] = ("pending",)
    """Tell what waits for a person."""
    status: tuple[Spoken, ...] = ("status",)
    """Tell how the group is."""
    help: tuple[Spoken, ...] = ("help",)
    """Tell these words."""
    todo: tuple[Spoken, ...] = ("todo",)
    """With a text: note something to be done."""
    shell: bool = False
    """Whether the owner may have the host run a command, by ! and the command in the admin
    group's chat."""
    shell_timeout: Limit = 30.0
    """Seconds after which such a command is ended."""


class Scheduler(Section, frozen=True):
    """When tasks and host jobs are due, and how many go on at once."""

    timezone: str = ""
    """The time zone of schedules that name none, such as Europe/Berlin; empty is this machine's."""
    max_jobs: Count = 32
    """Host jobs and conditions of tasks at work at the same time."""


class Log(Section, frozen=True):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important kind of line that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """auto is text on a terminal and JSON elsewhere."""


class Serve(Section, frozen=True):
    """The HTTP interface, besides its unix socket."""

    host: Line = "127.0.0.1"
    """The address at which it listens; one of other machines' needs a token in .env."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8484
    """The port; 0 leaves only the unix socket, which is always there."""
    trusted_networks: tuple[Line, ...] = ()
    """Networks from which people may come who show the token, such as 100.64.0.0/10 for Tailscale;
    this machine always may."""
    hosts: tuple[Line, ...] = ()
    """Further names by which browsers may call it, such as pynchy.tailnet.ts.net."""
    max_body: Bytes = 1024**2
    """Bytes of a request's body at most."""


class Backup(Section, frozen=True):
    """Backups that are made by themselves."""

    folder: str = ""
    """Where they are put, such as /mnt/backups, or below the home; empty makes none."""
    every: Span = "24h"
    """How often, such as 6h or 1d."""
    keep: Count = 7
    """How many of them are kept; older ones are removed."""
    secrets: bool = False
    """Whether .env and what WhatsApp was paired with are in them, too."""


class Retention(Section, frozen=True):
    """How long is kept what is only a trace; messages, replies and the audit are never removed."""

    events: Span = "30d"
    """Steps of agents: tool calls, thoughts, results."""
    logs: Span = "90d"
    """Firings of tasks and host jobs (a week at least), what jobs printed, and log files."""
    runs: Span = "365d"
    """Runs that are over and what agents asked in them, but for those that failed; a week at
    least."""
    processes: Span = "30d"
    """That a stage ran, and why it ended."""
    free_after: Annotated[float, msgspec.Meta(ge=0)] = 0.2
    """The share of the file that must be empty before it is made smaller; 0 never does it."""


class Supervise(Section, frozen=True):
    """What `pynchy up` starts."""

    stages: tuple[str, ...] = (
        "gateway",
        "listen",
        "route",
        "run-agent",
        "ipc-watch",
        "schedule",
        "serve",
        "backup",
    )
    """The stages, in the order in which they are started; listen stands for all channels that are
    configured, and backup for nothing where [backup] has no folder."""


class MountRule(Section, frozen=True):
    """A host folder or file that a group's agents see, where the allowlist permits it."""

    host_path: Line
    """What is mounted: an absolute path, or one that begins with ~."""
    container_path: Line
    """Where it is seen, below /workspace/extra."""
    readonly: bool = True
    """Whether agents may only read it."""


class GroupRules(Section, frozen=True):
    """What holds for all groups, unless a profile or a group's own section says otherwise."""

    # None and an empty list say nothing. What holds for a group says `config.tiers.for_group`.

    profile: Word | None = None
    """The profile whose rules hold; named by a group, or for all of them by the defaults."""
    directives: tuple[Word, ...] = ()
    """Directives, added to those of the tiers before: texts that agents are always told."""
    skills: tuple[WordOrAll, ...] = ()
    """Skills besides those of the tier core, likewise added: tiers, names of skills, or * for
    all."""
    mounts: tuple[MountRule, ...] = ()
    """Host folders that agents also see, where the allowlist permits it; likewise added."""
    gate: tuple[Ask, ...] = ()
    """What agents ask that a person must approve, besides what always needs it: a type of request
    such as send_message, or service:NAME; likewise added."""
    tools: tuple[Word, ...] = ()
    """Plugins whose tools agents may use; they run on the host. Likewise added."""
    follow_up: Literal["steer", "queue", "interrupt"] | None = None
    """What a message does that comes while the agent works: it is told at once (steer), waits
    (queue), or ends the turn (interrupt). Steer where nothing is said."""
    idle_timeout: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Instead of [sandbox] idle_timeout."""
    run_timeout: Seconds | None = None
    """Instead of [sandbox] run_timeout."""
    activity_timeout: Seconds | None = None
    """Instead of [sandbox] activity_timeout."""
    model: str | None = None
    """Instead of [agent] model."""
    core: Word | None = None
    """Instead of [agent] core."""
    memory: Bytes | None = None
    """Instead of [sandbox] memory."""
    cpus: Share | None = None
    """Instead of [sandbox] cpus."""
    max_processes: Count | None = None
    """Instead of [sandbox] max_processes."""
    folder_limit: Bytes | None = None
    """Instead of [sandbox] folder_limit."""
    session_per_thread: bool | None = None
    """Whether each thread of a chat is a conversation of its own; else they are all one."""
    show_strangers: bool | None = None
    """Whether the agent is shown what people say who may not speak to it, marked as such, when
    somebody who may asks it something."""
    gh_token: str = ""
    """A GitHub token for the group's own repository, of a single group alone; it belongs into
    .env, as PYNCHY_GROUPS__<GROUP>__GH_TOKEN, and is never printed."""


class TimedRules(Section, frozen=True):
    """When something is due."""

    cron: str = ""
    """When it is due, as minute, hour, day, month and weekday, such as 0 18 * * 1-5; also @hourly,
    @daily, @weekly, @monthly and @yearly. One of `cron`, `every` and `at` is needed."""
    every: str = ""
    """How often it is due, such as 30m, 2h or, in seconds, 90; from when it was configured on."""
    at: str = ""
    """The single time at which it is due, such as 2030-12-01 09:00; once passed, it does nothing
    any more."""
    timezone: str = ""
    """The time zone for these, such as Europe/Berlin; empty is that of [scheduler]."""
    catch_up: Literal["once", "skip"] = "once"
    """What was missed while nothing ran is made up for once, or left out (skip)."""
    enabled: bool = True
    """Whether it is ever due; what is not stays listed, as paused."""
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """What it is called, where the section's name doesn't tell enough."""


class TaskRules(TimedRules, frozen=True):
    """A prompt that a group's agent is given when it is due."""

    group: str = ""
    """The group, by its folder's name; needed. Until there is such a group, the task waits."""
    prompt: Prompt = ""
    """What its agent is told; needed."""
    chat: str = ""
    """Which of the group's chats gets the answer, such as local:main; empty is its first one."""
    context_mode: Literal["isolated", "group"] = "isolated"
    """Whether it is asked in a conversation of its own, or goes on with the group's (group)."""
    overlap: Literal["skip", "queue"] = "skip"
    """Whether it is left out while the last one is at work, or waits for that (queue)."""
    condition: Command = ""
    """A command that the host runs first, in the home; unless it ends with 0, nothing is asked."""
    condition_timeout: Day = 60.0
    """Seconds after which that command is ended, and nothing is asked."""


class JobRules(TimedRules, frozen=True):
    """A command that the host itself runs when it is due."""

    command: Command = ""
    """The command, for /bin/sh; needed. It has this user's rights, and nothing keeps it in."""
    cwd: str = ""
    """The folder in which it runs; empty is the home."""
    timeout_seconds: Day = 600.0
    """Seconds after which it is ended, with all that it has started."""


class NetworkRules(Section, frozen=True):
    """A chat network: how it is spoken to."""

    enabled: bool = True
    """Whether `pynchy up` connects to it."""
    owner: str = ""
    """Who the owner is there, by the network's id, such as U012ABCDEF; that person may do all that
    is the owner's to do, also approve."""
    answer_within: Seconds = 86_400.0
    """Seconds after which what was said while we were away is kept, and not answered any more."""
    on_unknown: Literal["resend-marked", "ask", "drop"] = "ask"
    """What happens to a reply where it can't be found out whether it got there: it is sent again
    with a mark, waits for you (`pynchy outbox`), or is given up."""
    max_file: Bytes = 50 * 1024**2
    """Bytes of a file that somebody shares; a larger one is not fetched."""


class SlackRules(NetworkRules, frozen=True):
    """A Slack workspace. `pynchy auth slack` tells what is needed, and checks it."""

    bot_token: str = ""
    """The bot's token, xoxb-…; it belongs into .env, as PYNCHY_CHANNELS__SLACK__<NAME>__BOT_TOKEN,
    or where there is one workspace as SLACK_BOT_TOKEN. Never printed."""
    app_token: str = ""
    """The app's token, xapp-…, likewise: APP_TOKEN, or SLACK_APP_TOKEN."""
    base_url: Annotated[str, msgspec.Meta(pattern=ADDRESS)] = "https://slack.com/api/"
    """Where Slack's Web API is."""
    edit_interval: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.2
    """Seconds between two changes of an answer that is being written, at least."""
    settle: Annotated[float, msgspec.Meta(ge=0, le=60)] = 3.0
    """Seconds after which a post whose answer was lost is looked for in the history."""
    ping_interval: Annotated[float, msgspec.Meta(gt=0, le=60)] = 3.0
    """Seconds between two signs of life of the connection; one that is silent for longer than one
    and a half times that is made anew."""


class WhatsAppRules(NetworkRules, frozen=True):
    """The WhatsApp account, which `pynchy auth whatsapp` pairs: yours, or one that is the
    assistant's alone."""

    owner: str = ""
    """Your own phone number, with the country's code, where the account is the assistant's alone;
    whoever has it may do all that is the owner's to do, also approve. Leave it out where the
    account is yours."""
    typing: bool = True
    """Whether a chat shows that the assistant is at work in it."""
    read_marks: bool = True
    """Whether what the assistant takes up is marked as read."""
    reactions: bool = True
    """Whether the message that the assistant takes up gets an 👀."""
    max_upload: Bytes = 4 * 1024**2
    """Bytes of a file that the assistant sends; a larger one is not sent. While a file is uploaded
    the library holds it in memory three times."""


class Channels(Section, frozen=True):
    """The chat networks, by kind and name."""

    slack: dict[str, SlackRules] = {}
    whatsapp: dict[str, WhatsAppRules] = {}


class PeopleRules(Section, frozen=True):
    """A list of people, for `allowed_users` and `approvers`."""

    members: tuple[Line, ...] = ()
    """Who is on it: owner, people as channels name them, such as slack:U012ABCDEF, or other
    lists."""


class Settings(Section, frozen=True):
    """Everything, as one object that is passed down."""

    agent: Agent = Agent()
    sandbox: Sandbox = Sandbox()
    queue: Queue = Queue()
    gateway: Gateway = Gateway()
    approvals: Approvals = Approvals()
    commands: Commands = Commands()
    secrets: Secrets = Secrets()
    scheduler: Scheduler = Scheduler()
    log: Log = Log()
    serve: Serve = Serve()
    backup: Backup = Backup()
    retention: Retention = Retention()
    supervise: Supervise = Supervise()
    defaults: GroupRules = GroupRules(directives=("base", "idle"))
    profiles: dict[str, GroupRules] = {}
    groups: dict[str, GroupRules] = {}
    tasks: dict[str, TaskRules] = {}
    jobs: dict[str, JobRules] = {}
    people: dict[str, PeopleRules] = {}
    channels: Channels = Channels()

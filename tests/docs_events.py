"""What each event of the log means, for docs/logs.md; a test demands a sentence for every event
that the code logs, and no other."""

from __future__ import annotations

EVENTS = {
    "the port is tried again": (
        "The HTTP interface can't listen at its port yet; its unix socket works."
    ),
    "listening": "The HTTP interface can be called at these addresses.",
    "a call failed": "A call of the HTTP interface raised an error, and was answered with 500.",
    "nobody may call from there: [serve] trusted_networks": (
        "Somebody called from a network that isn't trusted, and was not answered."
    ),
    "events can't be read": (
        "Whoever listens to events of the HTTP interface gets none until the database can be read."
    ),
    "Connected to …": "A channel has its connection, with the network's name.",
    "Connection closed": (
        "A channel's connection is over: told to end, or, as a warning, with `why`."
    ),
    "The model refuses the key in …. Put a valid one into .env.": (
        "The model's host answered that the key is not valid; nobody is answered until it is."
    ),
    "a configured task waits": (
        "A task of config.toml names a group or a chat that isn't there yet."
    ),
    "a dead worker's log can't be read": (
        "What an agent wrote last can't be read; its run is tried again without it."
    ),
    "a file is no request": (
        "A sandbox wrote a file that is no request; it was answered with `reason`."
    ),
    "a group's folder can't be made": (
        "A group was asked for and its folder can't be made on the disk."
    ),
    "a message can't be read; it is asked for again": (
        "WhatsApp sent something that its keys don't open; the phone is asked to repeat it."
    ),
    "a message is lost": "What was asked for again never came: its content is lost.",
    "a mount is refused": "Something of the host isn't shown to a group's agents, and why.",
    "a note waits": (
        "What was sent is not noted yet, for the database can't be written; it is tried on."
    ),
    "a plugin's tools can't be used": "A plugin's tools are left out, with the `reason`.",
    "a reply can't be changed any more": (
        "The network lets a message be edited no longer, or it is gone."
    ),
    "a reply can't be delivered": "A reply never gets to its chat; `pynchy outbox list` shows it.",
    "a reply is not sent any more": "A person gave a reply up while it was being sent.",
    "a reply waits": "The network refused a reply for now; it is tried again by itself.",
    "a reply waits for a person": (
        "Nobody knows whether a reply got there: `pynchy outbox` decides."
    ),
    "a request can't be carried out yet": "What an agent asked waits, for something is in its way.",
    "a run can't be settled yet": "How a run ended can't be noted yet; it is tried until it is.",
    "a sandbox can't be told": (
        "What was said meanwhile can't be given to an agent; its next turn has it."
    ),
    "a sandbox is stopped": "It wrote more than it may, or the disk is full.",
    "a sandbox outlives its worker": "It can't be ended; it is tried again.",
    "a sandbox's end can't be noted yet": "It is noted as soon as the database can be written.",
    "a tool failed": "A plugin's tool raised an error; the agent was told so.",
    "a warm sandbox had gone": "A conversation goes on in a new sandbox.",
    "an answer can't be written yet": "A sandbox can't be answered yet; it is tried again.",
    "answer cut off": "The model's answer ended in its midst; the client asks again.",
    "answered": "A run is done, after so many `seconds`.",
    "asked for again": "Messages of WhatsApp that couldn't be read are asked for once more.",
    "audit head": "The newest row of the audit, to be compared with what is noted elsewhere.",
    "can't go on": "A stage ends, for what is wrong doesn't pass by itself: `error` tells what.",
    "can't be stored": "A message of a network can't be a row; it is passed over.",
    "can't be taken over": "A sandbox that outlived its worker is ended, and its run goes back.",
    "chats named": "A network told what its chats are called.",
    "chats not listed": "Slack didn't tell which chats we are in; it is asked again.",
    "chats not named": "A network didn't tell what its chats are called; it is asked again.",
    "condition checked": "The condition of a task ran, and how it ended.",
    "configured": "A task or job of config.toml was made, changed or ended.",
    "drain failed": "A stage can't do its work just now; it tries again, after longer and longer.",
    "due": "A task or a job fires, or is left out with a `reason`.",
    "ending a turn": "Somebody wants a turn at work to end.",
    "errand done": "A backup was made, or old traces removed, by a child of the stage.",
    "errand failed": "A backup or the removal of old traces failed; `error` says why.",
    "file not fetched": "A file that came with a message can't be had; the agent is told so.",
    "groups loaded": "How many groups there are; logged when that changes.",
    "history not read": "What was said in a chat while we were away can't be read yet.",
    "it isn't known whether a reply got there": (
        "The chat's history is asked for it before anything else."
    ),
    "job ended": "A host job is over: its status, exit code and time.",
    "job started": "A host job runs, as a process.",
    "job was interrupted": "The stage ended while a host job ran; what became of it isn't known.",
    "keys not forgotten": "Old keys of WhatsApp can't be removed; it is tried again.",
    "left at work": "A sandbox goes on without us, and the next run-agent takes it over.",
    "looked for a reply in the chat": (
        "Whether a reply got there was unknown; it was `found` or not."
    ),
    "message waits": "A message on standard input waits until the database can be written.",
    "neonize": "What the library of WhatsApp printed.",
    "no answer from the model": "The model's host can't be reached, or answered with an error.",
    "not connected": "A channel tries to connect and can't, with `why`.",
    "others are connected as this app, too": (
        "Slack shares what is said among all of an app's connections, so some of it is missed here."
    ),
    "removed an orphan": "A sandbox of ours that no run and no conversation has was ended.",
    "replies that were being sent": (
        "The process before ended while sending; each is looked for first."
    ),
    "run lost": "Somebody else has the run now, or it is gone; nothing of it is written here.",
    "who answers changes with the next start": (
        "The configuration wants another mode of the gateway."
    ),
    "started": "A stage runs; `owner` is its number in the table processes.",
    "step failed": (
        "Something could not be done; `pynchy status` shows it, it is tried again twice."
    ),
    "stop failed": "Something went wrong while a stage was ending; it ended all the same.",
    "stopped": "A stage has ended, with this exit code.",
    "stopped while a reply was being sent": "Whether it got there is looked for at the next start.",
    "task failed": "Work in the background raised an error that nothing else deals with.",
    "the admin group can't be told": "A channel gave up, and the note of it can't be written.",
    "the clock was set back": "What is due is reckoned anew from now on.",
    "the configuration stays as it was": (
        "A changed configuration is not valid; the old one is in force."
    ),
    "the ends of jobs can't be noted yet": "They are noted as soon as the database can be written.",
    "the network is away": "Nothing is brought to it until it can be reached; logged once.",
    "the runtime can't be asked": (
        "Docker or another runtime doesn't tell which sandboxes there are."
    ),
    "the sandbox lacks protections": "This machine can't give sandboxes all that keeps them in.",
    "the state can't be noted": "Whether a channel is connected isn't in the database yet.",
    "thread not read": "What was said in a thread while we were away can't be read.",
    "too much waits; the oldest is fetched again later": (
        "More came than could be stored; Slack's history is read for it."
    ),
    "took over": "A sandbox that outlived its worker, or a run in it, is ours now.",
    "took over from a dead worker": "What a process that ended had at work goes on, or goes back.",
    "turn failed": "An attempt of a run failed; it is tried again, or given up.",
    "turn put back": "An attempt ended through no fault of its own; it doesn't count.",
    "waiting for agents": "The stage ends when its agents have, or after so many seconds.",
    "what came can't be dealt with": "Something of a network raised an error; it is passed over.",
    "what came can't be read": "A network sent something in a form that we don't know.",
    "what came waits": "What a network sent is kept until the database can be written.",
    "what was left of interrupted commands is ended": (
        "Processes of host jobs that nobody waits for."
    ),
    "works again": "What failed before is done.",
}
"""Event -> what it means."""
OTHERS = {
    "agent.sandboxes": "What is wrong with a group's skills, directives or mounts, in a sentence.",
    "agent.talks": "What is wrong with a group's skills, in a sentence.",
    "channels.whatsapp.talk": "A line of WhatsApp's library, at its own words.",
    "channels.whatsapp.wire": "A line of WhatsApp's library, at its own words.",
    "pipeline.gateway": "Who answers: a model's host, a script or a recording, in a sentence.",
    "pipeline.run_agent": "Which runtime makes the sandboxes, and of what image, in a sentence.",
}
"""Module -> what it logs in words that the code makes."""

"""A WhatsApp that tests talk to: the phone, people, groups, faults, and a log of all that came.

It stands for the network's other end, in a process of its own; nothing of ours is in it. The real
neonize is led there by environment variables alone, as a copy in which the server's pinned key is
another one:

    with WhatsAppProcess(tmp_path / "whatsapp") as whatsapp:
        child = subprocess.Popen([…], env={**environment, **whatsapp.environ()})
        whatsapp.scan(qr)                                # what the QR code says; or type_code(…)
        whatsapp.wait_online()
        whatsapp.person("4915550100", "Bob")
        one = whatsapp.say("4915550100", "hello")        # a message in the chat with Bob; its id
        group = whatsapp.group("Family", "4915550100")   # gives …@g.us
        whatsapp.say("4915550100", "hello all", chat=group)
        whatsapp.own("note to self")                     # the owner's phone, in the self-chat
        [row] = whatsapp.wait_outbound(1)
        assert (row["chat"], row["text"], row["quoted"]) == (…)

All that tests may ask for is in `control.Control`. People are named by their phone number, groups
by their JID. The owner's number is `OWNER`. A person's LID is `999` and the number, unless given.

What is said while nobody is connected waits, and is delivered at the next login; what was
delivered without a receipt comes again then, with the same id. `waiting()` lists both.

`outbound()` has what the client sent, decrypted, in order: `id`, `chat` (the JID by phone number),
`to` (as addressed), `kind` (text, image, video, audio, document, sticker, reaction, edit, revoke,
other), `text` (or caption, or emoji), `quoted` (an id), `mentions`, `target` (the id that a
reaction, edit or revoke is about), `media` (`mimetype`, `name`, `size`, `sha256`, `voice`), `acked`
(whether the client was told), `proto` (the E2E message, base64), `problems` (what people couldn't
decrypt). `log()` has all the rest, too: `what` is `message`, `receipt`, `chatstate`, `presence`,
`online`, `offline`, `paired`, `unpaired` (a connection without a login), `refused` (a login),
`wrong_code`, `logout`, `query`, `upload`, `download`, `ack`, `lost` (a receipt), each with `n` (its
number) and `at` (epoch seconds). The log is the file `log.jsonl` in the server's folder: what is in
it outlives every kill.

What real WhatsApp does beyond this: history at linking, the state of the app, calls, channels,
business accounts, and whether it takes a client at all.
"""

from tests.whatsapp_server.control import OWNER, Control
from tests.whatsapp_server.process import WhatsAppProcess

__all__ = ["OWNER", "Control", "WhatsAppProcess"]

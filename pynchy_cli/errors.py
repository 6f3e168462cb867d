"""Every error that a user can meet. The class says the fact; the message says what was wrong,
with what value, and what to do. A command turns one into a sentence and an exit code."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_BROKEN = 100
EXIT_AGAIN = 111


class PynchyError(Exception):
    """The root. `exit_code` is what a command ends with when nobody handles it;
    `name` is what its JSON form calls it."""

    exit_code = EXIT_FAILED

    @property
    def name(self) -> str:
        """The class's name in snake case, such as `config_invalid`."""
        return "".join(
            ("_" if at and letter.isupper() else "") + letter.lower()
            for at, letter in enumerate(type(self).__name__)
        )


class UsageWrong(PynchyError):
    """An option or argument that can't be."""

    exit_code = EXIT_USAGE


class ConfigInvalid(PynchyError):
    """config.toml, .env or the environment holds something that can't be used."""

    exit_code = EXIT_BROKEN


class HomeUnusable(PynchyError):
    """The home can't be made, read or written."""

    exit_code = EXIT_BROKEN


class ChannelBroken(PynchyError):
    """A channel can't be connected to until a person mends something."""

    exit_code = EXIT_BROKEN


class DatabaseMissing(PynchyError):
    """There is no database yet; `pynchy init` makes one."""

    exit_code = EXIT_BROKEN


class DatabaseForeign(PynchyError):
    """The file is not a database of ours, or is damaged."""

    exit_code = EXIT_BROKEN


class DatabaseReplaced(PynchyError):
    """The file is no longer the one that this process has open."""

    exit_code = EXIT_AGAIN


class SchemaTooNew(PynchyError):
    """A newer pynchy wrote this database."""

    exit_code = EXIT_BROKEN


class SchemaTooOld(PynchyError):
    """A migration is pending."""

    exit_code = EXIT_BROKEN


class DatabaseBusy(PynchyError):
    """Somebody else holds the write lock for longer than we wait."""

    exit_code = EXIT_AGAIN


class DatabaseFull(PynchyError):
    """The disk, or the place where the database lies, is full or broken."""

    exit_code = EXIT_AGAIN


class AlreadyRunning(PynchyError):
    """Another process holds the lock of a single-instance stage."""

    exit_code = EXIT_FAILED


class ArchiveInvalid(PynchyError):
    """What is to be restored is no whole backup of ours, or holds what no backup holds."""


class BackupFailed(PynchyError):
    """No backup could be made, or the one that was made isn't whole; older ones are kept."""


class HomeInUse(PynchyError):
    """A home that runs, or that holds something, can't be put in another's place."""


class ProcessWorn(PynchyError):
    """This process has used up what a library never gives back; another one will do."""

    exit_code = EXIT_AGAIN


class GroupUnknown(PynchyError):
    """No group of that name."""


class GroupInvalid(PynchyError):
    """A group that can't be made as asked."""

    exit_code = EXIT_USAGE


class GroupBusy(PynchyError):
    """A group that can't be changed while it works."""


class RunUnknown(PynchyError):
    """No run of that number."""


class SessionUnknown(PynchyError):
    """No conversation in that lane."""


class PluginUnknown(PynchyError):
    """No channel, runtime or core of that name is installed."""

    exit_code = EXIT_BROKEN


class PluginBroken(PynchyError):
    """A plugin can't be loaded."""

    exit_code = EXIT_BROKEN


class SandboxUnavailable(PynchyError):
    """The runtime can't make sandboxes here."""


class SandboxDied(PynchyError):
    """The sandbox ended before its turn did."""


class LoggedOut(PynchyError):
    """A chat network doesn't let us in, and only a person can mend that."""

    exit_code = EXIT_BROKEN


class PairingFailed(PynchyError):
    """No phone took what it was asked to link, or the network doesn't want that."""


class NetworkAway(PynchyError):
    """A network can't be reached just now."""

    exit_code = EXIT_AGAIN


class AgentFailed(PynchyError):
    """The agent reported that its turn failed."""


class GatewayUnavailable(PynchyError):
    """The sandbox's way to the model isn't there."""


class ApprovalUnknown(PynchyError):
    """Nothing was asked under that id."""


class ApprovalDecided(PynchyError):
    """Somebody has decided on it already."""

    exit_code = EXIT_REFUSED


class ApprovalExpired(PynchyError):
    """Its time is over: no answer means no."""

    exit_code = EXIT_REFUSED


class ApprovalForbidden(PynchyError):
    """Others may decide on it."""

    exit_code = EXIT_REFUSED


class ScheduleInvalid(PynchyError):
    """A schedule that can't be, or is never due."""

    exit_code = EXIT_USAGE


class TaskUnknown(PynchyError):
    """No task, or no host job, of that id."""


class TaskFixed(PynchyError):
    """A task or a host job that can't be changed so, because of where it comes from or how it
    stands."""

    exit_code = EXIT_USAGE


class TaskBusy(PynchyError):
    """A task or a host job whose last firing is not over yet."""


class DeliveryUnknown(PynchyError):
    """No reply of that number, or none for that chat."""


class DeliveryBusy(PynchyError):
    """A reply that its channel is just now sending."""


class DeliveryDropped(PynchyError):
    """A reply that a person has given up."""


class DeliveryHeld(PynchyError):
    """A reply that waits because people have told what goes out to wait."""


class GroupHeld(PynchyError):
    """A group that people have told to begin nothing until it is released."""

    exit_code = EXIT_REFUSED


class CommandUnstartable(PynchyError):
    """A command of the host can't become a process."""


class RequestRefused(PynchyError):
    """What an agent asked can't be done: `code` is stable, the message is for the agent."""

    exit_code = EXIT_REFUSED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


DATABASES = (DatabaseBusy, DatabaseForeign, DatabaseFull, DatabaseReplaced)
"""What is no message's fault: nothing can be stored."""


class SystemdUnavailable(PynchyError):
    """systemd can't be asked, or refuses."""


class RightMissing(PynchyError):
    """What was asked for needs root's rights."""

    exit_code = EXIT_REFUSED

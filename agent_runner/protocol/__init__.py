"""What the host and a sandbox say to each other, typed, and imported by both sides.

The host writes documents, the agent writes records on its output, and asks things of the host by
request files, each of which gets one answer. Nothing that an agent says carries authority: there
is no group, right, taint or cost in any of it.
"""

from agent_runner.protocol.answers import Answer, Error, read_answer, write_answer
from agent_runner.protocol.documents import (
    VERSION,
    Document,
    FollowUp,
    Interrupt,
    Offer,
    RunInput,
    ServiceTool,
    Steer,
    read_document,
    write_document,
)
from agent_runner.protocol.records import (
    DEPTH,
    END,
    RECORD_LIMIT,
    START,
    UNREADABLE,
    Notice,
    Record,
    RecordReader,
    Replied,
    Started,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    TurnEnded,
    is_deep,
    read_record,
    write_record,
)

INPUT = "input"
OUTPUT = "output"
REQUESTS = "requests"
RESPONSES = "responses"
CLOSE = "_close"
"""Its presence among the input documents asks the agent to leave."""

__all__ = [
    "CLOSE",
    "DEPTH",
    "END",
    "INPUT",
    "OUTPUT",
    "RECORD_LIMIT",
    "REQUESTS",
    "RESPONSES",
    "START",
    "UNREADABLE",
    "VERSION",
    "Answer",
    "Document",
    "Error",
    "FollowUp",
    "Interrupt",
    "Notice",
    "Offer",
    "Record",
    "RecordReader",
    "Replied",
    "RunInput",
    "ServiceTool",
    "Started",
    "Steer",
    "Text",
    "Thinking",
    "ToolResult",
    "ToolUse",
    "TurnEnded",
    "is_deep",
    "read_answer",
    "read_document",
    "read_record",
    "write_answer",
    "write_document",
    "write_record",
]

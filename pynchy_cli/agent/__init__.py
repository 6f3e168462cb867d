"""The host's side of a conversation with an agent: its folder of documents and records, what
becomes of each record, and the worker that drives runs."""

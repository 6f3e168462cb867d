"""Where agents live: one protocol, and a runtime for each way to make such a place."""

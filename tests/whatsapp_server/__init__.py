"""A WhatsApp for tests: a multi-device server that the real client library speaks with."""

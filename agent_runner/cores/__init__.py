"""What answers inside a sandbox: one protocol, and a core for each way to talk to a model."""

"""What runs inside a sandbox: reads a run's input, talks to a model, writes records."""

__version__ = "0.1.0"

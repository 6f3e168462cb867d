"""Pynchy: a personal Claude assistant as a toolkit of small commands around one SQLite file."""

__version__ = "0.1.0"

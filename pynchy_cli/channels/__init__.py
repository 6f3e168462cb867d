"""Adapters to chat networks. One protocol; the terminal and a pipe are channels like any."""

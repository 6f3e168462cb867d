"""A command of the host as a child process: in a group of its own, with an end to its time and to
what is kept of its output, and without anything that it has started when it is over."""

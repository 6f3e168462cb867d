"""What is due: firings of tasks and host jobs, and the commands that they run on the host."""

"""What people see of a chat in a terminal: following the file, and the screen around it."""

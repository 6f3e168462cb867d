"""What a person needs around pynchy: how it is installed, and what is wrong where it fails."""

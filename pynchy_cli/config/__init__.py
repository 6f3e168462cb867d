"""Configuration: the settings model, where it is read from, and the home's paths."""

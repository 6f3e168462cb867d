"""`make demo`: two messages on their way through all stages, in a home of its own."""

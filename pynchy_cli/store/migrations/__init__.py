"""Numbered changes of the schema, each in a module of its own with its reason, applied by
sqlite-utils under an exclusive lock. A change that was released is never edited."""

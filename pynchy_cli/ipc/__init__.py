"""Requests of agents: read from files that nobody trusts, decided by one table, carried out once,
and answered."""

"""What keeps an installation for years: backups, their way back, and the removal of old traces."""

"""Find what a killed run made but didn't record; empty what must be empty to be destroyed."""

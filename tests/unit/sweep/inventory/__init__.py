"""Sweeps without a cloud: decisions, plans, deletes."""

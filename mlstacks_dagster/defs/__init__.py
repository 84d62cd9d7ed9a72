"""Stacks in Dagster: assets, cleanup assets, checks, jobs, and what runs them."""

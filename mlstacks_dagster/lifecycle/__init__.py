"""What to do with units: deploy, destroy, check for drift. Knows nothing of Dagster."""

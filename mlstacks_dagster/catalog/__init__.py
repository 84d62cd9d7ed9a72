"""The catalog: every unit definition on disk, and stacks resolved against it."""

"""AWS's side of sweeps: list, read again, delete; a module for each family of types."""

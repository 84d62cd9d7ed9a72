"""What exists in an account, whose it is, and how it goes: one module a question."""

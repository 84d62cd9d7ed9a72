"""One file a schema change, numbered; a released one is never edited."""

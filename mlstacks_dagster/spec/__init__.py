"""Stack and component files: reading, checking, and the words for what is wrong."""

"""Model files: their format, and whether they can be opened safely."""

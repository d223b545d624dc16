"""The report of saved records, and its renderers."""

"""Terminal output of the commands: progress, tables and results."""

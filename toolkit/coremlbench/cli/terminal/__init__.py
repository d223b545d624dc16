"""What the command line prints: tables, progress and results."""

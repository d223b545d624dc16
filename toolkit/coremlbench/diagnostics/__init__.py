"""What works on a machine, and what a failed run leaves to be sent on, without personal data."""

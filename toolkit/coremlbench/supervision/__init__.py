"""Child processes: how they are started, watched, stopped, and what they report."""

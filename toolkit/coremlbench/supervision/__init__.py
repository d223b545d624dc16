"""Child processes: start, watch and stop them, and read what they report."""

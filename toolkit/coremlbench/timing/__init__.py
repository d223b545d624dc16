"""The timing matrix: packages on compute units, in rounds, and its statistics."""

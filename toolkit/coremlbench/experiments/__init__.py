"""The catalogue of experiments, published figures, and the comparison of runs with both."""

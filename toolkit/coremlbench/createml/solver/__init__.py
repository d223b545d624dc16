"""Turi Create's logistic regression in NumPy: the same iterations, on any platform."""

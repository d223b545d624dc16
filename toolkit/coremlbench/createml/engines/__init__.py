"""Engines of the Create ML run: what trains the classifier, one module each, behind one protocol."""

"""Convert models to Core ML packages and compare each package with its original."""

"""Models become Core ML packages, and each package is compared with its original."""

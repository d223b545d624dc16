"""Where a Core ML model can be executed: one module for each runtime."""

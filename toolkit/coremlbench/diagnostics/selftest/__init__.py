"""Self-test: try with a tiny model, in child processes, every part that figures rest on."""

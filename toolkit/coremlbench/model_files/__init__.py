"""What is known of a model file before a library opens it."""

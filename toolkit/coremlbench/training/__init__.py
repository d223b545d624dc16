"""The TensorFlow experiments: input, weights, devices, checkpoints and runs."""

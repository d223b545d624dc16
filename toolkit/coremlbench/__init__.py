"""How this machine trains image classifiers, and where a model should run on Apple hardware."""

__version__ = "0.1.0"

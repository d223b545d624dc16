"""The operating system: files, locks, downloads, signals, and a description of the machine."""

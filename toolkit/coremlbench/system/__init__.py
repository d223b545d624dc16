"""What the toolkit asks of the operating system: files, locks, downloads, signals, what the machine is and has."""

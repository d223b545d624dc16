"""What runs inside a supervised child process, one file each."""

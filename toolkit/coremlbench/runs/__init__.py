"""What every run shares: its record on disk, its stages, its resumption and its retries."""

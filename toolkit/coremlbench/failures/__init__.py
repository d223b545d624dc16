"""What went wrong with a run: the rules that tell it, the list of failed runs, and the page of documentation."""

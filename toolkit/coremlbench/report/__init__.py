"""The report of saved records, and the forms it is written in."""

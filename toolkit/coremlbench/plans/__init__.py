"""What long commands would do, for ``--dry-run``: runs, cells, images, disk, downloads and time."""

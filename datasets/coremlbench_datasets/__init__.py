"""The datasets that coremlbench trains on, one file each."""

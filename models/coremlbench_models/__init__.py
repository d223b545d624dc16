"""The networks that coremlbench trains, one file each."""

"""``python -m coremlbench``."""

from coremlbench.cli import main

if __name__ == "__main__":
    main()

"""``python -m coremlbench``."""

from coremlbench.cli.main import main

if __name__ == "__main__":
    main()

"""The nouns of coremlbench: what runs take and what their records say. The standard library only."""

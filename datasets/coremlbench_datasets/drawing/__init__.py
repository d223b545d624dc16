"""How drawn-food is drawn: a brush, tiles of texture, tableware, and one file per kind of food."""

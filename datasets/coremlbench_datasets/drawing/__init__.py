"""Drawing of the dataset drawn-food: brush, textures, tableware, and one module for each kind of food."""

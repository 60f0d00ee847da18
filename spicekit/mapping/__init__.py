"""From a network's layers to tiles, with or without BinSparX."""

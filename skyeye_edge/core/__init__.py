"""The nouns that training and runtime share: numpy, Pillow and the standard library only."""

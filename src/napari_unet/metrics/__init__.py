"""How good a result is: by pixel, by object, by boundary, by value."""

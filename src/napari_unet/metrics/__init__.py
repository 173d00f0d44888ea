"""How good a result is: by pixel and by object."""

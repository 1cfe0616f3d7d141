"""How good a result is, told without the truth: the noise that is left, the error, and whether structure was removed."""

"""Recipes: the exact configuration that made each shipped weight file."""

"""The dock that finds the noise of a layer, and says how good a result is."""

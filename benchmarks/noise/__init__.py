"""What is found of the noise of an image, and whether making it the same everywhere helps."""

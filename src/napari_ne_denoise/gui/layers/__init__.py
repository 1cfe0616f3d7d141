"""From layers to arrays and back, to files and from them, and the sample data."""

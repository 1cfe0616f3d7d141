"""Weight files: which there are, how they are opened, and how published ones are fetched."""

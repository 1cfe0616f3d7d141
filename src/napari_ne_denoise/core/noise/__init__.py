"""What noise an image has: estimated in the image itself, or known from the microscope."""

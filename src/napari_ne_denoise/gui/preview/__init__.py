"""What the viewer shows of a layer, denoised while it is looked at."""

"""Look inside: which input pixels made an output pixel."""

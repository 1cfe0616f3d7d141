"""The dock that denoises files."""

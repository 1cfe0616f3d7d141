"""The dock that denoises layers: its form, its queue, its results and their strength."""

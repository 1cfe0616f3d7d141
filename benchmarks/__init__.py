"""Measurements, as commands that print what they measure."""

"""The first minute: a sample, the docks, and steps that tick themselves."""

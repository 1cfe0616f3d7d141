"""Times and memory: what each part measures, and what was tried to make it less."""

"""The docks that look inside: filters under the mouse, and maps of what all filters do."""

"""What docks are made of: threads, fields, messages, boxes of layers and models, preferences."""

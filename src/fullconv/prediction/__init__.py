"""Images as files -> masks, heat maps."""

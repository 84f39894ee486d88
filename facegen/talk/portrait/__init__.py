"""The `portrait` engine: one picture, moved as an elastic surface in perspective."""

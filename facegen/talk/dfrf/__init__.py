"""A person's own dynamic radiance field: prepared from a short video, trained, drawn to any sound. See docs/talk.md."""

"""A person's own dynamic radiance field: prepared from a short video, trained, rendered to any audio. See docs/talk.md."""

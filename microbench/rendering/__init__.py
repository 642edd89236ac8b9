"""Pictures and videos of evaluated episodes."""

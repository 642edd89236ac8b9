"""A finding is a number that answers one question about a study."""

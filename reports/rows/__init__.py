"""The table of episodes: its schema, and how it is read, checked, packed and written."""

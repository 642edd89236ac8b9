"""The table of episodes: what it looks like, how it is read, checked, packed and written."""

"""A study: the table of episodes, checked, prepared and summarized once."""

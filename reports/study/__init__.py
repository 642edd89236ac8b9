"""A study is the table of episodes, checked, prepared and summed up once."""

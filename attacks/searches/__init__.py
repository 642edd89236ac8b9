"""A search looks for the point inside a budget at which an objective is lowest."""

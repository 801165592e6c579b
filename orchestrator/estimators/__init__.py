"""How accuracy is known during the search."""

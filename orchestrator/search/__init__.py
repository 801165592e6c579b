"""Proposals, the journal, and the loop that has Ray evaluate them."""

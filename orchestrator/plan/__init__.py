"""What a search will cost and whether its budgets can be met; a survey of the space."""

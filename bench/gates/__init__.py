"""What gates decide and cost: controls, ways to train them, budgets that images share, training speed."""

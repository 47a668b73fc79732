"""What a model is shown: prompts, the first message of a turn, budgets."""

"""The planner, held against transformers, peft and torch themselves."""

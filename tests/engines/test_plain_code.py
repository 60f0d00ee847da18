"""The compiled loops with their machine code, and the same loops in plain Python, give the same."""

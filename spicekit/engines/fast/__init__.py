"""The surrogate of the exact engine that whole networks run on, and the compiled loops behind it."""

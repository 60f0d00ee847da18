"""Four fidelities of one tile: spice, exact, fast, ideal; and the converter behind it."""

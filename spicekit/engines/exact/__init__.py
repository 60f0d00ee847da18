"""The nonlinear network of a tile, solved with the I-V table; and how far a quicker answer can be from that."""

"""ngspice, driven in worker processes through PySpice."""

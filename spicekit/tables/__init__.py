"""I-V tables: swept in ngspice, kept in HDF5, evaluated by the engines."""

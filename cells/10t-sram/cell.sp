* Buffered read port: bit line - access - mid - storage (gate: q) - low - foot - source line; access and foot have the read
* word line as gate. While that is low, the keeper holds mid at the supply: access and foot are off, whatever q is.
.subckt buffered_port rbl rwl rsl q vdd
Maccess rbl rwl mid 0 nmos fins={fins}
Mstorage mid q low 0 nmos fins={fins}
Mfoot low rwl rsl 0 nmos fins={fins}
Mkeeper mid rwl vdd vdd pmos fins=1
.ends buffered_port

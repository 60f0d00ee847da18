* Read port: read bit line - access (gate: read word line) - mid - storage (gate: q) - read source line.
.subckt read_port rbl rwl rsl q
Maccess rbl rwl mid 0 nmos fins={fins}
Mstorage mid q rsl 0 nmos fins={fins}
.ends read_port

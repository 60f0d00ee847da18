* Bit line - ReRAM element - mid - access transistor (gate: word line) - source line.
* cell_1 is in the low-, cell_0 in the high-resistance state, set by the gap, m.
.subckt cell_{bit} bl wl sl
Xelement bl mid {element} gap={gap}
Maccess mid wl sl 0 nmos fins={fins}
.ends cell_{bit}

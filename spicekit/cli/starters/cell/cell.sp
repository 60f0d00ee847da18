* One cell: bit line - resistive element - mid - access transistor (gate: word line) - source line.
* Transistors are 'M... drain gate source bulk nmos fins=2' or pmos; the design's [device] cards give model and size.
* {fins} stands for the design's fins, {ohm} for the sheet's value of the stored bit. R, C, B, E, G and X are taken as
* they are; commands, sources and model lines are refused.
.subckt cell_{bit} bl wl sl
Relement bl mid {ohm}
Maccess mid wl sl 0 nmos fins={fins}
.ends cell_{bit}

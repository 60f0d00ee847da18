* Bit line - magnetic tunnel junction - mid - access transistor (gate: word line) - source line.
* cell_1 is parallel (low), cell_0 antiparallel (high), whose magnetoresistance falls with the voltage across it.
.subckt cell_{bit} bl wl sl
Bjunction bl mid i=v(bl,mid)/({r_p}*(1+{tmr}/(1+(v(bl,mid)/{v_half})^2)))
Maccess mid wl sl 0 nmos fins={fins}
.ends cell_{bit}

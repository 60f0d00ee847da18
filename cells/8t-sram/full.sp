* Whole cell: 6T core (pull-up 1, access 1, pull-down 2 fins) and read port; cell_1 holds q high, cell_0 low.
* What the state turns off starts `off`: that leads the operating point to the state, at no cost.
.subckt cell_0 rbl rwl rsl wbl wblb wwl vdd
Mup q qb vdd vdd pmos fins=1 off
Mdown q qb 0 0 nmos fins=2
Mupb qb q vdd vdd pmos fins=1
Mdownb qb q 0 0 nmos fins=2 off
Mwrite wbl wwl q 0 nmos fins=1 off
Mwriteb wblb wwl qb 0 nmos fins=1 off
Xread rbl rwl rsl q read_port
.nodeset v(q)=0 v(qb)={vdd}
.ends cell_0

.subckt cell_1 rbl rwl rsl wbl wblb wwl vdd
Mup q qb vdd vdd pmos fins=1
Mdown q qb 0 0 nmos fins=2 off
Mupb qb q vdd vdd pmos fins=1 off
Mdownb qb q 0 0 nmos fins=2
Mwrite wbl wwl q 0 nmos fins=1 off
Mwriteb wblb wwl qb 0 nmos fins=1 off
Xread rbl rwl rsl q read_port
.nodeset v(q)={vdd} v(qb)=0
.ends cell_1

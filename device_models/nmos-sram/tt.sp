* nmos-sram at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_tt nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.600063e-10
+ cgdo=1.600063e-10 vth0=0.4325379 nfactor=-0.01916101 eta0=0.06021658 u0=0.01719922 vsat=240411.2
+ pclm=0.08068986 minv=-0.5889433 rdsw=241.3135 ua=4.885901e-10 ub=6.923201e-18 prwg=1.905705
+ delta=0.005603853 pvag=-2 cdscd=0.001435262 voff=-0.1204929 a2=0.8706348 vtl=122233.7
+ xn=3 ute=-0.7887152 kt1=-0.01695101 at=-52910.77 ua1=5.312129e-10 ub1=-2.827063e-18
+ prt=7.630459 tvoff=0.003625702 tnfactor=-0.1989343 teta0=0.01)

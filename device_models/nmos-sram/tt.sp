* nmos-sram at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_tt nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.588361e-10
+ cgdo=1.588361e-10 vth0=0.4246369 nfactor=-0.05334439 eta0=0.05289893 u0=0.06629334 vsat=250388.4
+ pclm=0.0705975 minv=-0.4955359 rdsw=152.1341 ua=-3.571193e-09 ub=7.829134e-18 prwg=0.4158545
+ delta=0.009073139 pvag=-2 cdscd=0.001475905 voff=-0.1123597 a2=0.9657758 vtl=118599.2
+ xn=3 ute=-1.361778 kt1=-0.03792584 at=-125596.6 ua1=-1.168509e-09 ub1=6.237277e-19
+ prt=-53.99899 tvoff=0.003391056 tnfactor=-0.2182049 teta0=0.008097282)

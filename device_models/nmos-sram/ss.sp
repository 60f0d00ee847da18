* nmos-sram at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_ss nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.475156e-10
+ cgdo=1.475156e-10 vth0=0.4395019 nfactor=-0.01978297 eta0=0.04044967 u0=0.01625283 vsat=220095.3
+ pclm=0.06774943 minv=-0.5900333 rdsw=294.7767 ua=3.389401e-10 ub=1.05021e-17 prwg=2.188426
+ delta=0.00646233 pvag=-2 cdscd=0.0008188219 voff=-0.1143847 a2=0.8850306 vtl=115044.9
+ xn=3.071947 ute=-0.7536811 kt1=-0.01331802 at=-41667.47 ua1=8.943678e-11 ub1=-2.832702e-18
+ prt=22.20846 tvoff=0.003716177 tnfactor=-0.1555494 teta0=0.01)

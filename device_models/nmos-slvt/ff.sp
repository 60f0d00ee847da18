* nmos-slvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_ff nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.934701e-10
+ cgdo=1.934701e-10 vth0=0.2198472 nfactor=0.1117376 eta0=0.1269554 u0=0.02402238 vsat=185511.2
+ pclm=0.05437998 minv=-0.5563555 rdsw=282.9082 ua=-2.878179e-09 ub=4.031074e-18 prwg=4.136127
+ delta=0.01578668 pvag=-1.775657 cdscd=0.002653755 voff=-0.1175565 a2=0.6106402 vtl=114325.8
+ xn=3.046338 ute=-0.2390582 kt1=-0.03527313 at=19316.07 ua1=1.923356e-09 ub1=-5.896401e-19
+ prt=19.90031 tvoff=0.003532724 tnfactor=-0.3 teta0=-0.004215991)

* nmos-lvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_tt nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.774235e-10
+ cgdo=1.774235e-10 vth0=0.2821609 nfactor=0.06734476 eta0=0.08111305 u0=0.01273465 vsat=167011.2
+ pclm=0.05138687 minv=-0.5085104 rdsw=416.2736 ua=-3.175787e-09 ub=3.643218e-18 prwg=5
+ delta=0.0155185 pvag=-1.363154 cdscd=0.001496584 voff=-0.1045247 a2=0.6843959 vtl=115381.7
+ xn=3.068044 ute=-0.1886474 kt1=-0.04460677 at=19387.62 ua1=9.13548e-10 ub1=4.863589e-20
+ prt=22.22521 tvoff=0.003505279 tnfactor=-0.3 teta0=-0.0005536579)

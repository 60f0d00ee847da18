* pmos-rvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_rvt_tt pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.738349e-10
+ cgdo=1.738349e-10 vth0=-0.2816824 nfactor=0.0714492 eta0=0.2148682 u0=0.1548486 vsat=86393.57
+ pclm=0.7294774 minv=1.179498 rdsw=418.3161 ua=4.329202e-10 ub=2.520024e-18 prwg=0.500692
+ delta=0.05687322 pvag=-0.09182929 cdscd=0.000297852 voff=-0.0250684 a2=0.407509 vtl=97069.61
+ xn=3.243877 ute=-0.1004399 kt1=-0.1766478 at=9885.818 ua1=1e-08 ub1=-1.996928e-18
+ prt=117.541 tvoff=0.00178618 tnfactor=-0.002506361 teta0=0.002046832)

* pmos-slvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_slvt_tt pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.759081e-10
+ cgdo=1.759081e-10 vth0=-0.1579621 nfactor=-0.04869963 eta0=0.2005992 u0=0.0903785 vsat=78089.46
+ pclm=0.9469844 minv=0.9619809 rdsw=527.8871 ua=1.028412e-09 ub=3.400274e-18 prwg=1.340429
+ delta=0.02840103 pvag=-0.1264468 cdscd=0.001734421 voff=-0.02379602 a2=0.3112376 vtl=91560.21
+ xn=3.659474 ute=-0.6611721 kt1=-0.1801236 at=16430.82 ua1=1e-08 ub1=-1.972194e-18
+ prt=95.19271 tvoff=0.002114085 tnfactor=-0.2330214 teta0=-0.007982491)

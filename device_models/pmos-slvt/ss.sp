* pmos-slvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_slvt_ss pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.613438e-10
+ cgdo=1.613438e-10 vth0=-0.1540468 nfactor=-0.08348 eta0=0.1141009 u0=0.0586668 vsat=69359.37
+ pclm=0.8691435 minv=0.7935199 rdsw=800 ua=7.912118e-11 ub=3.315666e-18 prwg=1.903404
+ delta=0.02393003 pvag=-0.1059428 cdscd=0.001520537 voff=-0.01436862 a2=0.335451 vtl=97628.41
+ xn=3 ute=-0.3525203 kt1=-0.1733398 at=17533.26 ua1=1e-08 ub1=-4.464342e-18
+ prt=167.905 tvoff=0.003436551 tnfactor=-0.127463 teta0=-0.01)

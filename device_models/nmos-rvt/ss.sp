* nmos-rvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_ss nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.633073e-10
+ cgdo=1.633073e-10 vth0=0.3632401 nfactor=0.04801874 eta0=0.05979888 u0=0.02593215 vsat=189878.2
+ pclm=0.06557593 minv=-0.5081513 rdsw=499.7232 ua=2.1281e-09 ub=1.260691e-17 prwg=5
+ delta=0.009379497 pvag=-1.736988 cdscd=0.0007548013 voff=-0.1073442 a2=0.9250339 vtl=113038.7
+ xn=3.002504 ute=-1.028012 kt1=-0.02573156 at=-30249.23 ua1=1.148625e-10 ub1=-6.641946e-18
+ prt=0.7727024 tvoff=0.003551987 tnfactor=-0.2841417 teta0=0.01)

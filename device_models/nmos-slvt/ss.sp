* nmos-slvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_ss nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.619841e-10
+ cgdo=1.619841e-10 vth0=0.2088005 nfactor=-0.01034037 eta0=0.05228624 u0=0.01307985 vsat=118475.9
+ pclm=0.0635275 minv=-0.4300966 rdsw=531.0448 ua=-3.408788e-09 ub=5.545946e-18 prwg=4.588283
+ delta=0.01210019 pvag=-0.8483074 cdscd=0.0009143937 voff=-0.08537287 a2=0.6489749 vtl=108352
+ xn=3 ute=-0.1277131 kt1=-0.05879795 at=17401 ua1=1.795399e-09 ub1=-4.94826e-19
+ prt=38.93812 tvoff=0.00357578 tnfactor=-0.3 teta0=-0.0003422097)

* pmos-rvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_rvt_ss pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.606046e-10
+ cgdo=1.606046e-10 vth0=-0.2805264 nfactor=0.06222326 eta0=0.1404858 u0=0.09088714 vsat=94654.64
+ pclm=0.5749797 minv=1.172476 rdsw=477.84 ua=-2.254345e-10 ub=1.200299e-18 prwg=0.2955202
+ delta=0.0688674 pvag=-0.07357797 cdscd=0.0001139883 voff=-0.01704068 a2=0.369104 vtl=97221.77
+ xn=3 ute=0.3517548 kt1=-0.1792273 at=9773.026 ua1=1e-08 ub1=-7.103752e-18
+ prt=168.6671 tvoff=0.0007680986 tnfactor=-0.008304806 teta0=0.004536013)

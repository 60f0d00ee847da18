* pmos-rvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_rvt_ff pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.86604e-10
+ cgdo=1.86604e-10 vth0=-0.2821892 nfactor=0.0860007 eta0=0.3682299 u0=0.174494 vsat=83360.48
+ pclm=0.8589757 minv=1.21243 rdsw=357.1615 ua=8.290925e-10 ub=1.590887e-18 prwg=0.5708752
+ delta=0.05005647 pvag=-0.1088119 cdscd=0.0003295328 voff=-0.03426299 a2=0.4404533 vtl=101040
+ xn=3 ute=-0.0712314 kt1=-0.1785418 at=6754.195 ua1=1e-08 ub1=-2.45341e-18
+ prt=88.22577 tvoff=0.002046654 tnfactor=-0.07163265 teta0=0.005009623)

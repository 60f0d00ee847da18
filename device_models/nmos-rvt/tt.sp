* nmos-rvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_tt nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.751299e-10
+ cgdo=1.751299e-10 vth0=0.332123 nfactor=-0.01270797 eta0=0.07419667 u0=0.05377202 vsat=239296.5
+ pclm=0.05464347 minv=-0.4882748 rdsw=65.86354 ua=-1.661963e-09 ub=8.094566e-18 prwg=-0.3680172
+ delta=0.008272186 pvag=-2 cdscd=0.001779607 voff=-0.1058064 a2=0.8267392 vtl=121544.4
+ xn=3.001652 ute=-1.081588 kt1=-0.04782431 at=-73909.95 ua1=7.851643e-10 ub1=-2.87873e-19
+ prt=-51.08366 tvoff=0.003510184 tnfactor=-0.3 teta0=0.009672737)

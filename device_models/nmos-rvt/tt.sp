* nmos-rvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_tt nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.778874e-10
+ cgdo=1.778874e-10 vth0=0.3575491 nfactor=0.07906038 eta0=0.08902775 u0=0.02748019 vsat=212163.7
+ pclm=0.07805471 minv=-0.5094676 rdsw=387.6839 ua=1.943951e-09 ub=8.620078e-18 prwg=4.162865
+ delta=0.008726962 pvag=-1.924204 cdscd=0.001280743 voff=-0.1145469 a2=0.8978938 vtl=116215.9
+ xn=3 ute=-1.006152 kt1=-0.02602122 at=-37636.84 ua1=8.042753e-10 ub1=-5.528373e-18
+ prt=-4.279346 tvoff=0.003475021 tnfactor=-0.3 teta0=0.01)

* nmos-lvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit nmos-lvt` from device.toml; figures in fit.md.
.model nmos_lvt_ff nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 ua=0 ub=0 uc=0 prwg=0
+ a0=0 ags=0 keta=0 b0=0 cit=0 cdsc=0
+ cdscd=0 cdscb=0 voff=0 voffl=0 pdiblc1=0 pdiblc2=0
+ pscbe1=0 pscbe2=0 delta=0.01 kt1l=0 kt2=0 ua1=0
+ ub1=0 uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0
+ cjs=0 cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09
+ cgso=1.6e-10 cgdo=1.6e-10 ute=-0.7 at=23225.42 vth0=0.1234533 nfactor=0.1373088
+ eta0=0.06118929 u0=0.01710013 vsat=77898.46 pclm=0.07409517 minv=0.4648227 rdsw=230.0329
+ kt1=-0.1624681)

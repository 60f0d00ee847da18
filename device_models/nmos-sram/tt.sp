* nmos-sram at tt: one fin, BSIM4 for stock ngspice
.model nmos_sram_tt nmos (level=14
+ tnom=25 version=4.8 mobmod=0 capmod=2 igcmod=0 igbmod=0 rdsmod=0 paramchk=0
+ toxe=1e-09 toxp=1e-09 toxm=1e-09 ndep=1e+18 k1=0 k2=0 k3=0 lpe0=0
+ lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0 dsub=1 ua=0 ub=0
+ uc=0 a0=0 ags=0 cit=0 cdsc=0 cdscd=0 cdscb=0 voff=0
+ voffl=0 minv=0 pdiblc1=0 pdiblc2=0 pdiblcb=0 drout=0.56 pvag=0 prwg=0
+ prwb=0 wr=1 dwg=0 dwb=0 b0=0 b1=0 keta=0 pscbe1=0
+ pscbe2=0 delta=0.01 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0 cjswgs=0
+ vth0=0.333146 nfactor=0.395605 eta0=0 u0=0.0558312 vsat=88430.6 rdsw=465.71 pclm=0.30938 kt1=-0.11
+ ute=-1.2 at=0)

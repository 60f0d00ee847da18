* nmos-lvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_ss nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.627906e-10
+ cgdo=1.627906e-10 vth0=0.2814073 nfactor=0.03240235 eta0=0.05751136 u0=0.009076967 vsat=134106.8
+ pclm=0.05632725 minv=-0.4583042 rdsw=565.0758 ua=-3.402851e-09 ub=4.130749e-18 prwg=5
+ delta=0.01337237 pvag=-0.9521462 cdscd=0.0008211074 voff=-0.09270031 a2=0.7556206 vtl=111699.5
+ xn=3 ute=-0.08787249 kt1=-0.05114178 at=18476.24 ua1=7.37523e-10 ub1=3.448907e-19
+ prt=26.9615 tvoff=0.003532763 tnfactor=-0.3 teta0=0.0009366186)

* nmos-sram at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_ff nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.709521e-10
+ cgdo=1.709521e-10 vth0=0.4175921 nfactor=-0.0584058 eta0=0.08595905 u0=0.07628088 vsat=348355.7
+ pclm=0.06924138 minv=-0.53007 rdsw=70.84607 ua=-4.631254e-09 ub=7.073683e-18 prwg=-0.4241687
+ delta=0.007804474 pvag=-2 cdscd=0.002767216 voff=-0.1209644 a2=0.4436516 vtl=153029.5
+ xn=3 ute=-1.016244 kt1=-0.02883448 at=-200000 ua1=-9.650685e-11 ub1=2.829833e-19
+ prt=-35.9369 tvoff=0.003570587 tnfactor=-0.2912763 teta0=0.01)

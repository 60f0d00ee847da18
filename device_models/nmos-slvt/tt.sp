* nmos-slvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_tt nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.773104e-10
+ cgdo=1.773104e-10 vth0=0.2100183 nfactor=0.03136169 eta0=0.07702208 u0=0.01664081 vsat=140431.2
+ pclm=0.06123426 minv=-0.4878384 rdsw=386.3994 ua=-2.996299e-09 ub=4.559573e-18 prwg=4.122853
+ delta=0.01370854 pvag=-1.11703 cdscd=0.001517995 voff=-0.09829968 a2=0.620298 vtl=112857.4
+ xn=3 ute=-0.2447481 kt1=-0.05208724 at=18721.76 ua1=1.836594e-09 ub1=-7.011124e-19
+ prt=28.8293 tvoff=0.003538256 tnfactor=-0.3 teta0=-0.001619573)

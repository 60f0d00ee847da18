* pmos-lvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_lvt_tt pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.746904e-10
+ cgdo=1.746904e-10 vth0=-0.2225816 nfactor=0.07394698 eta0=0.2236082 u0=0.1174682 vsat=83506.07
+ pclm=0.8904837 minv=1.158734 rdsw=386.5493 ua=4.812966e-10 ub=1.476638e-18 prwg=0.4523753
+ delta=0.05625868 pvag=-0.07832663 cdscd=0.0003310921 voff=-0.02507632 a2=0.3783647 vtl=104279.4
+ xn=3 ute=-0.1073644 kt1=-0.1811292 at=11419.81 ua1=1e-08 ub1=-4.953637e-18
+ prt=109.0218 tvoff=0.001512896 tnfactor=-0.08980494 teta0=-0.001971829)

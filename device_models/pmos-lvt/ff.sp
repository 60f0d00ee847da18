* pmos-lvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_lvt_ff pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.882099e-10
+ cgdo=1.882099e-10 vth0=-0.2236776 nfactor=0.09404122 eta0=0.3823482 u0=0.1534102 vsat=82884.63
+ pclm=1.002739 minv=1.218701 rdsw=329.0948 ua=1.160819e-09 ub=1.406456e-18 prwg=0.4992939
+ delta=0.04824364 pvag=-0.1043511 cdscd=0.000334866 voff=-0.03466939 a2=0.3866969 vtl=103456.2
+ xn=3 ute=-0.3046779 kt1=-0.1830281 at=9222.573 ua1=1e-08 ub1=-3.229953e-18
+ prt=75.1644 tvoff=0.001815824 tnfactor=-0.2094602 teta0=-0.0009852728)

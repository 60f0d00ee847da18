* pmos-slvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_slvt_ff pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.898789e-10
+ cgdo=1.898789e-10 vth0=-0.1624555 nfactor=0.06990988 eta0=0.383638 u0=0.131471 vsat=82665.24
+ pclm=1.100458 minv=1.215734 rdsw=313.9858 ua=1.465818e-09 ub=1.655913e-18 prwg=0.5108557
+ delta=0.04515401 pvag=-0.1087238 cdscd=0.0007938298 voff=-0.03486047 a2=0.3325758 vtl=103636.1
+ xn=3 ute=-0.6714105 kt1=-0.1842661 at=12544.03 ua1=1e-08 ub1=-3.423845e-18
+ prt=59.61202 tvoff=0.001816266 tnfactor=-0.3 teta0=-0.008275594)

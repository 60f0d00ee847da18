* nmos-lvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_ff nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.942747e-10
+ cgdo=1.942747e-10 vth0=0.2920694 nfactor=0.1459711 eta0=0.1363297 u0=0.01323409 vsat=217911
+ pclm=0.0513324 minv=-0.571225 rdsw=323.1077 ua=-2.759379e-09 ub=2.451434e-18 prwg=5
+ delta=0.01704224 pvag=-2 cdscd=0.002760126 voff=-0.1236006 a2=0.7799597 vtl=119733.4
+ xn=3 ute=-0.1566591 kt1=-0.02458198 at=9275.46 ua1=5.341785e-10 ub1=1.19451e-19
+ prt=16.22769 tvoff=0.003545297 tnfactor=-0.3 teta0=-0.002878829)

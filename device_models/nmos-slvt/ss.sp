* nmos-slvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_ss nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.621474e-10
+ cgdo=1.621474e-10 vth0=0.2118016 nfactor=0.02573437 eta0=0.05916046 u0=0.03170031 vsat=106648.1
+ pclm=0.08929794 minv=-0.3570985 rdsw=510.5837 ua=-7.913813e-10 ub=1.243652e-17 prwg=2.817965
+ delta=0.01428281 pvag=-0.5690694 cdscd=0.0005684479 voff=-0.08436612 a2=0.7427177 vtl=107645.1
+ xn=3 ute=-0.770748 kt1=-0.04188439 at=10178.32 ua1=2.131594e-09 ub1=-8.826245e-18
+ prt=56.6086 tvoff=0.003806087 tnfactor=-0.3 teta0=0.01)

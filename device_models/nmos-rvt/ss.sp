* nmos-rvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_ss nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.610365e-10
+ cgdo=1.610365e-10 vth0=0.3356789 nfactor=-0.03603582 eta0=0.05075572 u0=0.04551213 vsat=215279.6
+ pclm=0.04985708 minv=-0.4604413 rdsw=66.65312 ua=-7.797813e-10 ub=9.266323e-18 prwg=-0.5
+ delta=0.007893359 pvag=-2 cdscd=0.00105032 voff=-0.09726679 a2=0.8145303 vtl=111507.2
+ xn=3.054379 ute=-1.239775 kt1=-0.05100501 at=-71931.71 ua1=-1.375113e-09 ub1=1.66915e-18
+ prt=-77.40786 tvoff=0.003499991 tnfactor=-0.2820115 teta0=0.01)

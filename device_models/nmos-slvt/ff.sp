* nmos-slvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_ff nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.935821e-10
+ cgdo=1.935821e-10 vth0=0.2208889 nfactor=0.1125794 eta0=0.1128901 u0=0.03776478 vsat=136630.2
+ pclm=0.2204802 minv=-0.4235608 rdsw=313.3956 ua=-5.594941e-10 ub=5.907577e-18 prwg=1.739213
+ delta=0.01613505 pvag=-0.5713176 cdscd=0.001943595 voff=-0.1140897 a2=0.4842859 vtl=115001.7
+ xn=3.163653 ute=-0.6987217 kt1=-0.01631448 at=7492.138 ua1=1.798242e-09 ub1=-3.871722e-18
+ prt=37.28898 tvoff=0.003717372 tnfactor=-0.3 teta0=0.006050855)

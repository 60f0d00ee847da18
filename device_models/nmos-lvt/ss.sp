* nmos-lvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_ss nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.625218e-10
+ cgdo=1.625218e-10 vth0=0.2773329 nfactor=0.003898955 eta0=0.06127067 u0=0.02399257 vsat=153107.6
+ pclm=0.05956711 minv=-0.4092774 rdsw=418.9753 ua=2.356957e-09 ub=9.246387e-18 prwg=4.53164
+ delta=0.0091669 pvag=-1.434081 cdscd=0.0008309588 voff=-0.09297582 a2=0.7146033 vtl=108452.5
+ xn=3 ute=-0.9407475 kt1=-0.04532573 at=-9841.252 ua1=1.503695e-09 ub1=-7.345385e-18
+ prt=-16.73881 tvoff=0.003554899 tnfactor=-0.3 teta0=0.01)

* nmos-lvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_tt nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.76381e-10
+ cgdo=1.76381e-10 vth0=0.2702145 nfactor=-0.002638316 eta0=0.08961795 u0=0.0217985 vsat=174069.1
+ pclm=0.06641527 minv=-0.4276857 rdsw=260.8566 ua=1.706838e-09 ub=5.506397e-18 prwg=2.641707
+ delta=0.008140555 pvag=-1.711027 cdscd=0.001642677 voff=-0.1026075 a2=0.6992474 vtl=110722.9
+ xn=3 ute=-0.9270036 kt1=-0.04597569 at=-15454.07 ua1=1.361676e-09 ub1=-4.208375e-18
+ prt=-23.56106 tvoff=0.003495901 tnfactor=-0.3 teta0=0.01)

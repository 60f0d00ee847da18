* nmos-slvt at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_slvt_tt nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.771219e-10
+ cgdo=1.771219e-10 vth0=0.2074075 nfactor=0.05367168 eta0=0.09083907 u0=0.03066208 vsat=113882.1
+ pclm=0.1036047 minv=-0.3716455 rdsw=391.9222 ua=-8.054548e-10 ub=7.912018e-18 prwg=2.138853
+ delta=0.01384472 pvag=-0.5994811 cdscd=0.0009182601 voff=-0.09455766 a2=0.7859402 vtl=109260.9
+ xn=3.048136 ute=-0.7814853 kt1=-0.03982836 at=12544.14 ua1=1.986076e-09 ub1=-5.651757e-18
+ prt=39.40365 tvoff=0.003764835 tnfactor=-0.3 teta0=0.006375268)

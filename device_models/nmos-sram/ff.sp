* nmos-sram at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_ff nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.756596e-10
+ cgdo=1.756596e-10 vth0=0.4394941 nfactor=0.01949883 eta0=0.09815408 u0=0.02327232 vsat=240941.8
+ pclm=0.1188324 minv=-0.5641745 rdsw=330.137 ua=2.689135e-10 ub=5.96467e-18 prwg=3.268348
+ delta=0.004962881 pvag=-1.999492 cdscd=0.002286402 voff=-0.1318562 a2=0.9940767 vtl=118303.5
+ xn=3.009282 ute=-0.827719 kt1=-0.006447927 at=-54458.05 ua1=9.199927e-10 ub1=-3.008543e-18
+ prt=20.53871 tvoff=0.003565874 tnfactor=-0.2741507 teta0=0.01)

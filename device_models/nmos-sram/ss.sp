* nmos-sram at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_sram_ss nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.456047e-10
+ cgdo=1.456047e-10 vth0=0.4223898 nfactor=-0.01159932 eta0=0.06123376 u0=0.05835757 vsat=164810.7
+ pclm=0.001436349 minv=-0.3737037 rdsw=392.2892 ua=-3.756458e-09 ub=8.179332e-18 prwg=2.025547
+ delta=0.02164462 pvag=-2 cdscd=0.0003544041 voff=-0.09082414 a2=0.8292078 vtl=1416948
+ xn=5.210849 ute=-1.783356 kt1=-0.05962917 at=9033.261 ua1=1.804706e-09 ub1=-4.023011e-18
+ prt=15.34496 tvoff=0.003070984 tnfactor=-0.1192967 teta0=0.01)

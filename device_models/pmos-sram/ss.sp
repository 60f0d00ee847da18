* pmos-sram at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_sram_ss pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.457975e-10
+ cgdo=1.457975e-10 vth0=-0.3123911 nfactor=-0.01188624 eta0=0.1059331 u0=0.08772886 vsat=97318.11
+ pclm=0.454814 minv=1.187558 rdsw=516.0775 ua=-1.547714e-10 ub=9.490994e-19 prwg=0.2702612
+ delta=0.07180778 pvag=-0.08165135 cdscd=3.012742e-05 voff=-0.01587586 a2=0.3628159 vtl=87065.11
+ xn=3.178597 ute=0.4190021 kt1=-0.1782284 at=5976.24 ua1=1e-08 ub1=-7.114863e-18
+ prt=195.9744 tvoff=0.0005702997 tnfactor=0.01193895 teta0=-8.946354e-06)

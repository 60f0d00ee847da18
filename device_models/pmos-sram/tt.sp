* pmos-sram at tt: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_sram_tt pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1e-09 toxp=1e-09 toxm=1e-09 cgso=1.583237e-10
+ cgdo=1.583237e-10 vth0=-0.3131407 nfactor=-0.02224205 eta0=0.1615635 u0=0.1212916 vsat=91036.11
+ pclm=0.5782434 minv=1.205485 rdsw=428.9953 ua=3.093957e-10 ub=1.009755e-18 prwg=0.3685288
+ delta=0.06648082 pvag=-0.08744531 cdscd=2.150762e-05 voff=-0.02297788 a2=0.4112638 vtl=95653.16
+ xn=3 ute=0.2814285 kt1=-0.1782584 at=4621.732 ua1=1e-08 ub1=-4.898786e-18
+ prt=144.8956 tvoff=0.001357184 tnfactor=-0.01153197 teta0=0.001202578)
